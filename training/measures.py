"""Samples of the latent space: which integral a functional estimates.

A measure takes the encoded points of a batch, of all processes together, and draws the same sample
on each, of which every process keeps its part; so it does not matter on how many they run.

=================  ==========================================  ========================
measure            Σ w φ(z) estimates                          a functional's integral
=================  ==========================================  ========================
EncodedPoints      ∫ φ dm, m the distribution of encoded data  ∫ φ dm
SmoothedPoints     ∫ φ dm, m the same blurred, of known ρ      ∫ φ dm
Mixtures           ∫ φ dm, m that of points between them       ∫ φ dm
UniformBox         ∫ φ dz over the box of the encoded data     ∫ φ dμ, dμ = √det g dz
UniformTorus       ∫ φ dz over the torus [0, 1)^d              ∫ φ dμ
ImportanceWeights  ∫ φ dz over the support of the data         ∫ φ dμ
QuadratureGrid     ∫ φ dz over a given box, d ≤ 2, or torus    ∫ φ dμ, for evaluation
=================  ==========================================  ========================
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from training import waiting
from training.densities import KernelMixture, density_of, root_of_covariance, scott
from training.errors import TrainingError
from training.functionals import LatentSample
from training.reductions import gathered, own_part


class Measure(ABC):
    """What draws a LatentSample for a batch."""

    @abstractmethod
    def sample(self, encoded: torch.Tensor, seed: int) -> LatentSample:
        """The LatentSample of this process, from its encoded points (B, d)."""


@dataclass(frozen=True)
class EncodedPoints(Measure):
    """z_b = enc(x_b), w = 1/B: ∫ φ dm, m the distribution of encoded data.

    Args:
        points: of each process, at random, where all of a batch are too dear; the mean is the same.
    """

    points: int | None = None

    def __post_init__(self):
        _check_points(self.points)

    def sample(self, encoded: torch.Tensor, seed: int) -> LatentSample:
        """Encoded points of this process."""
        if self.points is not None and self.points < len(encoded):
            order = torch.randperm(len(encoded), generator=torch.Generator().manual_seed(seed))
            encoded = encoded[waiting.sent(order[: self.points], encoded)]
        return LatentSample.encoded(encoded)


@dataclass(frozen=True)
class SmoothedPoints(Measure):
    """z = a + √(1 − h²) (z_j − a) + h C^{1/2} ξ, w = 1/B: ∫ φ dm, dm = ρ dz with a known ρ.

    z_j are encoded points, a their mean, C their covariance, and ξ is normal. The law of z is a
    mixture of normal laws with the mean and the covariance of the data (West, J. R. Stat. Soc. B
    55, 1993), of which log ρ and its derivatives are formulas: nothing is estimated, in any
    dimension. It goes from the data at h = 0 to the normal law with their moments at h = 1.

    Functionals with FixedMeasure want it beyond some four dimensions, where no estimate of the
    density of encoded data is any good (``python -m training.density_error``).

    Args:
        points: of each process, as of :class:`EncodedPoints`.
        bandwidth: h in (0, 1]; by default Scott's n^{−1/(d+4)} of all n encoded points, which comes
            near 1 as d grows.
    """

    points: int | None = None
    bandwidth: float | None = None

    def __post_init__(self):
        _check_points(self.points)
        if self.bandwidth is not None and not 0 < self.bandwidth <= 1:
            raise TrainingError(f"bandwidth must be in (0, 1]; got {self.bandwidth}.")

    def law(self, encoded: torch.Tensor) -> KernelMixture:
        """The distribution, from this process's encoded points (B, d).

        Raises:
            TrainingError: all processes' points lie on a hyperplane; on a GPU it is NaN then.
        """
        everywhere = gathered(encoded)
        h = scott(everywhere) if self.bandwidth is None else self.bandwidth
        mean = everywhere.mean(0)
        centres = mean + (1 - h**2) ** 0.5 * (everywhere - mean)
        return KernelMixture(centres, h * root_of_covariance(everywhere))

    def sample(self, encoded: torch.Tensor, seed: int) -> LatentSample:
        """This process's part of a sample that is the same on all."""
        law, generator = self.law(encoded), torch.Generator().manual_seed(seed)
        count = len(law.centres)
        if self.points is not None:
            count = min(count, self.points * count // len(encoded))
        chosen = torch.randperm(len(law.centres), generator=generator)[:count]
        noise = torch.randn(count, encoded.shape[1], generator=generator, dtype=torch.float64)
        away = waiting.sent(noise.to(encoded.dtype), encoded) @ law.factor.mT
        z = law.centres[waiting.sent(chosen, encoded)] + away
        return LatentSample.encoded(own_part(z), law)


class _Drawn(Measure):
    def sample(self, encoded: torch.Tensor, seed: int) -> LatentSample:
        """This process's part of a sample that is the same on all."""
        everywhere = gathered(encoded)
        generator = torch.Generator().manual_seed(seed)
        z, weights = self._draw(everywhere, generator)
        return LatentSample(own_part(z), own_part(weights), self._of)

    _of = "dz"


@dataclass(frozen=True)
class Mixtures(_Drawn):
    """z = (1 − t) z_i + t z_j with t uniform on [−beyond, 1 + beyond], w = 1/B.

    i, j run over random pairs of encoded points: the mean over the segments between them. Curvature
    is thus looked at between the data as well (Lee et al., ICLR 2022).
    """

    beyond: float = 0.2
    _of = "data"

    def __post_init__(self):
        if not 0 <= self.beyond < math.inf:
            raise TrainingError(f"beyond must be 0 or more, and finite; got {self.beyond}.")

    def _draw(self, encoded, generator):
        order = torch.randperm(len(encoded), generator=generator)
        partner = encoded[waiting.sent(order, encoded)]
        t = _uniform(encoded[:, :1], generator) * (1 + 2 * self.beyond) - self.beyond
        return torch.lerp(encoded, partner, t), _equal(encoded, 1.0)


@dataclass(frozen=True)
class UniformBox(_Drawn):
    """z uniform on the box of the encoded points, w = volume/B: ∫ φ dz over that box."""

    def _draw(self, encoded, generator):
        low, high = encoded.amin(0), encoded.amax(0)
        z = low + (high - low) * _uniform(encoded, generator)
        return z, _equal(encoded, (high - low).prod())


@dataclass(frozen=True)
class UniformTorus(_Drawn):
    """z uniform on [0, 1)^d, w = 1/B: ∫ φ dz over the torus (R/Z)^d."""

    def _draw(self, encoded, generator):
        return _uniform(encoded, generator), _equal(encoded, 1.0)


@dataclass(frozen=True)
class ImportanceWeights(Measure):
    """z_b = enc(x_b), w_b = 1/(B p(z_b)): ∫ φ dz over the support of the encoded data.

    p is a kernel estimate (:func:`training.densities.density_of`).
    """

    def sample(self, encoded: torch.Tensor, seed: int) -> LatentSample:
        """All encoded points of this process."""
        weights = (-density_of(encoded)[0]).exp() / len(gathered(encoded))
        return LatentSample.weighted(encoded, weights)


@dataclass(frozen=True)
class QuadratureGrid:
    """Gauss–Legendre nodes and weights on a box, d ≤ 2, or equal ones on a torus.

    Σ w φ is ∫ φ dz over the box, exact for polynomials of degree 2·nodes − 1 in each coordinate;
    on the torus it converges faster than any power of 1/nodes for smooth periodic φ.

    Args:
        low, high: corners of the box, d numbers each; the torus [0, 1)^d if ``periodic``.
        nodes: in each direction.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    nodes: int = 64
    periodic: bool = False

    def __post_init__(self):
        if len(self.low) != len(self.high) or len(self.low) not in (1, 2):
            raise TrainingError(f"A grid needs d = 1 or 2; got corners {self.low} and {self.high}.")
        if not all(-math.inf < a <= b < math.inf for a, b in zip(self.low, self.high, strict=True)):
            raise TrainingError(
                "A grid's low must be at most its high in each coordinate, and both finite; got "
                f"{self.low} and {self.high}."
            )
        if not self.nodes >= 1:
            raise TrainingError(f"nodes must be 1 or more; got {self.nodes}.")

    def grid(self, like: torch.Tensor) -> LatentSample:
        """The LatentSample of all nodes, of the dtype and device of ``like``."""
        axes = [self._axis(low, high) for low, high in zip(self.low, self.high, strict=True)]
        z = np.stack(np.meshgrid(*(axis[0] for axis in axes), indexing="ij"), -1)
        weights = np.prod(np.meshgrid(*(axis[1] for axis in axes), indexing="ij"), 0)
        points = torch.from_numpy(z.reshape(-1, len(axes))).to(like)
        return LatentSample(points, torch.from_numpy(weights.reshape(-1)).to(like))

    def _axis(self, low, high):
        if self.periodic:
            nodes = np.arange(self.nodes) / self.nodes
            return low + (high - low) * nodes, np.full(self.nodes, (high - low) / self.nodes)
        nodes, weights = np.polynomial.legendre.leggauss(self.nodes)
        return (low + high) / 2 + (high - low) / 2 * nodes, (high - low) / 2 * weights


def _check_points(points):
    if points is not None and points < 1:
        raise TrainingError(f"points must be positive, or None for all; got {points}.")


def _uniform(like, generator):
    """Uniform on [0, 1), the same on every device."""
    uniform = torch.rand(like.shape, generator=generator, dtype=torch.float64)
    return waiting.sent(uniform.to(like.dtype), like)


def _equal(points, total):
    return torch.ones_like(points[:, 0]) * total / len(points)
