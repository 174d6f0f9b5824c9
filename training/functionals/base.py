"""What functionals are made of: the geometry of a decoder on a sample of its latent space.

A sample stands for a measure on M, and Σ w φ(z) for an integral over it:

===============  =====================  ==================================================
``of``           Σ w φ(z) estimates     ``SampledGeometry.integral`` of a function φ
===============  =====================  ==================================================
``"dz"``         ∫ φ dz                 ∫ φ dμ = Σ w φ √det g
``"data"``       ∫ φ dm                 ∫ φ dm = Σ w φ
===============  =====================  ==================================================

Here m is the distribution of encoded data, or one near it, a probability measure on M. Neither
integral depends on latent coordinates; a mean of φ √det g over encoded data would, and would fall
when they are stretched, which a network learns to do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import nn

import curvcore
from training import waiting
from training.densities import KernelMixture, curvature_of_density, density_of
from training.errors import CollapsedError, TrainingError
from training.reductions import processes, total

KINDS = ("dz", "data")
Decoder: TypeAlias = Callable[[torch.Tensor], torch.Tensor]  # (B, d) -> (B, ...)


@dataclass(frozen=True, eq=False)
class LatentSample:
    """Points of the latent space M with weights, and what Σ w_b φ(z_b) estimates.

    Attributes:
        z: (B, d), without gradient: functionals move the decoder, not the points.
        weights: (B,) positive.
        of: ``"dz"``, ∫ φ dz, or ``"data"``, the mean of φ over the distribution of the points.
        law: that distribution, if its density is known; else kernels estimate it.
    """

    z: torch.Tensor
    weights: torch.Tensor
    of: Literal["dz", "data"] = "dz"
    law: KernelMixture | None = None

    def __post_init__(self):
        if self.of not in KINDS:
            raise TrainingError(f"A sample is of one of {KINDS}; got {self.of!r}.")

    @classmethod
    def encoded(cls, z: torch.Tensor, law: KernelMixture | None = None) -> "LatentSample":
        """Encoded data with equal weights, which add up to one over all processes."""
        z = z.detach()
        return cls(z, torch.ones_like(z[:, 0]) / total(torch.ones_like(z[:, 0])), "data", law)

    @classmethod
    def weighted(cls, z: torch.Tensor, weights: torch.Tensor) -> "LatentSample":
        """Points with weights of ∫ φ dz."""
        is_checked = waiting.reading_is_free(weights)
        if weights.shape != z.shape[:1] or (is_checked and not (weights > 0).all()):
            raise TrainingError(
                f"weights must be ({len(z)},) and positive; got {tuple(weights.shape)}."
            )
        return cls(z.detach(), weights.detach())

    @property
    def log_density(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(log ρ, ∂ log ρ) where the sample stands for ρ dz: (B,) and (B, d)."""
        if self.of == "dz":
            return torch.zeros_like(self.weights), torch.zeros_like(self.z)
        return density_of(self.z) if self.law is None else self.law.log_density(self.z)

    @property
    def log_density_hessian(self) -> torch.Tensor:
        """∂_k∂_l log ρ: (B, d, d)."""
        if self.of == "dz":
            return torch.zeros_like(self.z[:, :, None] * self.z[:, None])
        return curvature_of_density(self.z) if self.law is None else self.law.hessian(self.z)


class SampledGeometry:
    """The pullback geometry of a decoder at a sample, and integrals over it.

    Points where the metric is degenerate are left out, of everything, and counted. On a GPU, where
    their number is not known without waiting for it, they stay with weight zero, and their metric
    is flat: the same sums, as long as the decoder's own derivatives are finite there.

    Args:
        decoder: callable (B, d) -> (B, ...).
        sample: LatentSample.
        order: 1 where the metric suffices, 2 where curvature or Christoffel symbols are needed, 3
            where second derivatives of √det g are.
        estimator: of R, where d is large; there are no Christoffel symbols then.

    Attributes:
        drawn: the LatentSample, degenerate points included.
        weights: (B,).
        geometry: curvcore.PullbackGeometry at the points, or EstimatedGeometry.
        degenerate_points: how many were left out, on this process: a tensor ().

    Raises:
        CollapsedError: all points are degenerate; on a GPU everything is NaN then.
        TrainingError: points are not finite; on a GPU they count as degenerate.
    """

    def __init__(
        self,
        decoder: Decoder,
        sample: LatentSample,
        order: Literal[1, 2, 3] = 2,
        estimator: curvcore.Hutchinson | None = None,
    ) -> None:
        self._log_density = None  # until it is asked for
        geometry = _geometry(decoder, sample.z, order, estimator)
        degenerate = geometry.is_degenerate | ~torch.isfinite(geometry.log_volume_density.detach())
        self.degenerate_points = degenerate.sum()
        self.drawn, self.dimension = sample, sample.z.shape[1]
        self.regular, self.weights = slice(None), sample.weights
        if not waiting.reading_is_free(sample.z):
            none_left = torch.where(degenerate.all(), torch.nan, 0).to(self.weights)
            self.weights = torch.where(degenerate, none_left, self.weights)
        elif self.degenerate_points:  # a decoder that is singular there would make NaN of gradients
            _check_finite(sample.z)
            self.regular = ~degenerate
            self.weights = self.weights[self.regular]
            geometry = _geometry(decoder, self.z, order, estimator)
        self.geometry = geometry
        if waiting.reading_is_free(sample.z) and not _count(self.weights):
            raise CollapsedError(
                f"The decoder's metric is degenerate at all {len(sample.z)} points: the latent "
                "space has collapsed."
            )

    @property
    def z(self) -> torch.Tensor:
        """The points: (B, d)."""
        return self.drawn.z[self.regular]

    @property
    def log_density(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(log ρ, ∂ log ρ) where the sample stands for ρ dz: (B,) and (B, d)."""
        if self._log_density is None:
            self._log_density = tuple(array[self.regular] for array in self.drawn.log_density)
        return self._log_density

    @property
    def log_density_hessian(self) -> torch.Tensor:
        """∂_k∂_l log ρ where the sample stands for ρ dz: (B, d, d)."""
        return self.drawn.log_density_hessian[self.regular]

    @property
    def log_volume_density(self) -> torch.Tensor:
        """log √det g: (B,)."""
        return self.geometry.log_volume_density

    @property
    def squared_scalar(self) -> torch.Tensor:
        """R², or an unbiased estimate of it, from four probes at least: (B,)."""
        if isinstance(self.geometry, curvcore.EstimatedGeometry):
            return self.geometry.estimate.square
        return self.geometry.scalar.square()

    @property
    def log_volume_gradient(self) -> torch.Tensor:
        """∂_k log √det g = Γ^i_ik: (B, d)."""
        if isinstance(self.geometry, curvcore.EstimatedGeometry):
            return self.geometry.log_volume_gradient
        return torch.einsum("biik->bk", self.geometry.christoffel)

    def log_volume_gradient_norm_squared(self, slope: torch.Tensor) -> torch.Tensor:
        """|∂ log √det g − s|²_g for covectors s (B, d), or an unbiased estimate of it: (B,).

        Two probes are too few for the estimate: it is exact then, and slower.
        """
        geometry = self.geometry
        if isinstance(geometry, curvcore.EstimatedGeometry) and geometry.estimator.probes > 2:
            return geometry.log_volume_gradient_norm_squared(slope)
        return geometry.gradient_norm_squared(self.log_volume_gradient - slope)

    @property
    def log_volume_hessian(self) -> torch.Tensor:
        """∂_k∂_l log √det g = ½ g^{ij} ∂_k∂_l g_ij − ½ g^{im} ∂_k g_mn g^{nj} ∂_l g_ij: (B, d, d).

        Needs ``order=3``.
        """
        jet, inverse = self.geometry.jet, self.geometry.inverse_metric
        product = torch.einsum("bai,bajk->bijk", jet.jacobian, jet.hessian)
        first = product + product.transpose(1, 2)  # ∂_k g_ij = Ψ_i · Ψ_jk + Ψ_j · Ψ_ik
        second = torch.einsum("bij,baj,baikl->bkl", inverse, jet.jacobian, jet.third)
        second = second + torch.einsum("bij,baik,bajl->bkl", inverse, jet.hessian, jet.hessian)
        square = torch.einsum("bim,bmnk,bnj,bijl->bkl", inverse, first, inverse, first)
        return second - square / 2

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Σ_b w_b φ_b, φ = ``values`` (B,), on all processes."""
        return total(self.weights * values)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Σ w φ / Σ w."""
        return self.sum(values) / self.sum(torch.ones_like(values))

    def integral(self, values: torch.Tensor) -> torch.Tensor:
        """∫ φ dμ, dμ = √det g dz, or for encoded data ∫ φ dm."""
        if self.drawn.of == "data":
            return self.mean(values)
        return self.sum(values * self.geometry.volume_density)

    def total_measure(self) -> torch.Tensor:
        """∫ dμ, or for encoded data 1: what :meth:`integral` is of the constant 1."""
        return self.integral(torch.ones_like(self.weights))

    def volume(self) -> torch.Tensor:
        """∫ dμ = Σ w √det g / ρ."""
        return self.sum((self.log_volume_density - self.log_density[0]).exp())


def _count(points):
    """How many points there are on all processes; alone, without waiting for the device."""
    return len(points) if processes()[1] == 1 else total(torch.ones_like(points))


def _check_finite(z):
    if broken := int((~torch.isfinite(z).all(1)).sum()):
        raise TrainingError(
            f"{broken} of {len(z)} latent points are not finite: the encoder has diverged. Lower "
            "the learning rate or the weights of the terms, or clip gradients."
        )


def _geometry(decoder, z, order, estimator):
    if estimator is None:
        return curvcore.pullback(decoder, z, order=order, on_degenerate="flat")
    return curvcore.estimated_geometry(decoder, z, estimator, on_degenerate="flat")


class Functional(nn.Module, ABC):
    """A number that a decoder's metric has on a sample of its latent space.

    In a training loop of your own::

        functional = TotalSquaredCurvature()
        loss = mse + 1e-3 * functional(decoder, encoder(x))
        loss.backward()

    The points count as encoded data: integrals are ∫ φ dm, m their distribution. With ``weights``,
    of which Σ w φ(z) estimates ∫ φ dz (:mod:`training.measures`), they are over dμ = √det g dz.

    Attributes:
        estimator: of R, for latent spaces of large dimension; None where R is exact.

    Raises:
        TrainingError: weights that are not (B,), or not positive.
    """

    order: Literal[1, 2] = 2
    estimator: curvcore.Hutchinson | None = None
    __call__: Callable[..., torch.Tensor]

    def forward(
        self, decoder: Decoder, z: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The functional on points z (B, d): a scalar tensor."""
        encoded = weights is None
        sample = LatentSample.encoded(z) if encoded else LatentSample.weighted(z, weights)
        return self.evaluate(SampledGeometry(decoder, sample, self.order, self.estimator))

    @abstractmethod
    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """The same on a SampledGeometry, which several functionals may share."""


class NetworkFunctional(nn.Module, ABC):
    """A number that an autoencoder has without a metric: of its encoder on data, of its weights.

    How one is called in a training loop of your own each says for itself.
    """

    __call__: Callable[..., torch.Tensor]

    @abstractmethod
    def of(self, autoencoder: nn.Module, x: torch.Tensor, seed: int) -> torch.Tensor:
        """A scalar tensor, what a term of it adds: for a batch x (B, ...), draws by the seed."""
