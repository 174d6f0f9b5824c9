"""Regularisers of others, to compare with."""

import math
from collections.abc import Callable

import torch
from torch import nn

from training.errors import TrainingError
from training.functionals.base import Functional, NetworkFunctional, SampledGeometry


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


class FlatMetric(Functional):
    """E ‖G − α I‖²_F over the sample, α > 0 learned: in units of L⁴ per latent unit⁴.

    It goes down where latents are stretched, too: then G is small. The flattening loss of FlatVI,
    for a decoder whose metric is the pullback of the Euclidean one. Reference: Palma et al.,
    *Enforcing latent Euclidean geometry in single-cell VAEs*, ICML 2025.

    Args:
        alpha: at the start.
    """

    order = 1

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 < alpha < math.inf:
            raise TrainingError(f"alpha must be positive; got {alpha}.")
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        metric = on.geometry.metric
        flat = self.log_alpha.exp().expand(metric.shape[-1]).diag_embed()
        return on.mean((metric - flat).square().sum((1, 2)))


class ContractiveEncoder(NetworkFunctional):
    """E ‖∂enc/∂x‖²_F over the data. Reference: Rifai et al., ICML 2011.

    Unlike the others it is a functional of the encoder, on data: ``functional(encoder, x)``.
    """

    def of(self, autoencoder: nn.Module, x: torch.Tensor, seed: int) -> torch.Tensor:
        return self(autoencoder.encoder, x)

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


class SquaredWeights(NetworkFunctional):
    """Σ W², over all weight matrices and kernels of the autoencoder, biases left out.

    It knows nothing of a metric: the control of every term that is said to make an autoencoder
    better on unseen data. ``functional(autoencoder)``. Reference: Krogh and Hertz, *A simple weight
    decay can improve generalization*, NeurIPS 1991.
    """

    def of(self, autoencoder: nn.Module, x: torch.Tensor, seed: int) -> torch.Tensor:
        return self(autoencoder)

    def forward(self, autoencoder: nn.Module) -> torch.Tensor:
        """A scalar tensor."""
        return torch.stack([w.square().sum() for w in autoencoder.parameters() if w.ndim > 1]).sum()
