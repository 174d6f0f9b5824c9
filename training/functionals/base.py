"""What functionals are made of: the geometry of a decoder on a sample of its latent space."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

import curvcore
from training.reductions import total


@dataclass(frozen=True, eq=False)
class LatentSample:
    """Points of the latent space M with weights: Σ w_b φ(z_b) estimates an integral of φ.

    Attributes:
        z: (B, d), without gradient: functionals move the decoder, not the points.
        weights: (B,) positive. Which integral they estimate is said by the measure that drew them
            (:mod:`training.measures`): ∫ φ dz, or the mean of φ over encoded data.
    """

    z: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, z, weights=None):
        """A sample of points z, by default with equal weights that add up to one."""
        z = z.detach()
        if weights is not None and (weights.shape != z.shape[:1] or not (weights > 0).all()):
            raise ValueError(
                f"weights must be ({len(z)},) and positive; got {tuple(weights.shape)}."
            )
        if weights is None:
            weights = torch.ones_like(z[:, 0]) / total(torch.ones_like(z[:, 0]))
        return cls(z, weights.detach())


class SampledGeometry:
    """The pullback geometry of a decoder at a sample, and integrals over it.

    Points where the metric is degenerate are left out, of everything, and counted.

    Args:
        decoder: callable (B, d) -> (B, ...).
        sample: LatentSample.
        order: 1 where the metric suffices, 2 where curvature or Christoffel symbols are needed.

    Attributes:
        sample: the regular points and their weights.
        geometry: curvcore.PullbackGeometry there.
        degenerate_points: how many were left out, on this process.
    """

    def __init__(self, decoder, sample, order=2):
        geometry = _geometry(decoder, sample.z, order)
        regular = torch.isfinite(geometry.volume_density.detach())
        self.degenerate_points = int((~regular).sum())
        if self.degenerate_points:  # NaN, even masked, would get into gradients of what they share
            sample = LatentSample(sample.z[regular], sample.weights[regular])
            geometry = _geometry(decoder, sample.z, order)
        self.sample, self.geometry, self.dimension = sample, geometry, sample.z.shape[1]

    @property
    def log_volume_density(self):
        """log √det g: (B,)."""
        return self.geometry.volume_density.log()

    @property
    def log_volume_gradient(self):
        """∂_k log √det g = Γ^i_ik: (B, d)."""
        return torch.einsum("biik->bk", self.geometry.christoffel)

    def sum(self, values):
        """Σ_b w_b φ_b, φ = ``values`` (B,), on all processes."""
        return total(self.sample.weights * values)

    def mean(self, values):
        """Σ w φ / Σ w."""
        return self.sum(values) / self.sum(torch.ones_like(values))

    def integral(self, values):
        """∫ φ dμ = Σ w φ √det g."""
        return self.sum(values * self.geometry.volume_density)


def _geometry(decoder, z, order):
    if order > 1:
        return curvcore.pullback(decoder, z, on_degenerate="nan")
    return curvcore.PullbackGeometry(curvcore.jet(decoder, z, 1), on_degenerate="nan")


class Functional(nn.Module, ABC):
    """A number that a decoder's metric has on a sample of its latent space.

    In a training loop of your own::

        functional = TotalSquaredCurvature()
        loss = mse + 1e-3 * functional(decoder, encoder(x))
        loss.backward()

    ``weights`` are those of the points (:class:`LatentSample`): Σ w φ(z) should estimate ∫ φ dz.
    By default they are equal, and integrals over dμ are then means over the encoded points,
    E[φ √det g]: these fall when latent coordinates are stretched, which a network may learn to do.
    :class:`training.measures.UniformBox` and ``ImportanceWeights`` give weights of ∫ φ dz.

    Raises:
        ValueError: weights that are not (B,), or not positive.
    """

    order = 2

    def forward(self, decoder, z, weights=None):
        """The functional on points z (B, d): a scalar tensor."""
        return self.evaluate(SampledGeometry(decoder, LatentSample.of(z, weights), self.order))

    @abstractmethod
    def evaluate(self, on):
        """The same on a SampledGeometry, which several functionals may share."""
