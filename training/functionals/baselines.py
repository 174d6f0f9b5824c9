"""Regularisers of others, to compare with."""

from collections.abc import Callable

import torch
from torch import nn

from training.functionals.base import Functional, SampledGeometry


class RelaxedDistortion(Functional):
    """E[tr G²] / E[tr G]², without units, at least 1/d: then G = c I, a scaled isometry.

    E is the mean over the sample. Reference: Lee, Yoon, Son, Park, ICLR 2022.
    """

    order = 1

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        metric = on.geometry.metric
        squares = metric.square().sum((1, 2))
        traces = torch.einsum("bii->b", metric)
        return on.mean(squares) / on.mean(traces).square()


class VarianceOfLogDet(Functional):
    """Var(log det G) over the sample, without units. Reference: Nazari et al., ICML 2023."""

    order = 1

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        log_det = 2 * on.log_volume_density
        return on.mean((log_det - on.mean(log_det)).square())


class ContractiveEncoder(nn.Module):
    """E ‖∂enc/∂x‖²_F over the data. Reference: Rifai et al., ICML 2011.

    Unlike the others it is a functional of the encoder, on data: ``functional(encoder, x)``.
    """

    __call__: Callable[..., torch.Tensor]

    def forward(
        self,
        encoder: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """A scalar tensor, for x (B, D)."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            z = encoder(x)
            rows = [
                torch.autograd.grad(z[:, i].sum(), x, create_graph=True)[0]
                for i in range(z.shape[1])
            ]
        squares = sum(row.flatten(1).square().sum(1) for row in rows)
        return squares.mean() if weights is None else (weights * squares).sum()
