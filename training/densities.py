"""Densities of encoded points with respect to dz, by kernels: an estimate, and a law of its own."""

import math
from dataclasses import dataclass

import torch

from training import waiting
from training.errors import TrainingError
from training.reductions import gathered, own_part, processes

LARGEST = 1e3  # no point is counted as rarer than this many times the median one


@dataclass(frozen=True, eq=False)
class KernelMixture:
    """ρ(z) = 1/n Σ_j N(z − c_j; S Sᵀ): normal laws around n points, a distribution of its own.

    Calling it at a point (d,) gives log ρ, (), differentiably as often as is wanted.

    Attributes:
        centres: c, (n, d), the same on every process.
        factor: S, (d, d), lower triangular.
    """

    centres: torch.Tensor
    factor: torch.Tensor

    @classmethod
    def of_points(cls, points: torch.Tensor) -> "KernelMixture":
        """Around all processes' points (B, d), of Scott's bandwidth: see :func:`density_of`."""
        centres = gathered(points)
        return cls(centres, scott(centres) * root_of_covariance(centres))

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        away = torch.linalg.solve_triangular(self.factor, (z - self.centres).mT, upper=False)
        return torch.logsumexp(-away.square().sum(0) / 2, 0) - self._log_norm

    def log_density(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(log ρ, ∂ log ρ) at z (B, d): (B,) and (B, d)."""
        exponents, white, centres = self._exponents(z)
        value = torch.logsumexp(exponents, 1) - self._log_norm
        return value, _slope(self.factor, exponents, white, centres)

    def hessian(self, z: torch.Tensor) -> torch.Tensor:
        """∂_k∂_l log ρ at z (B, d): (B, d, d)."""
        exponents, _, centres = self._exponents(z)
        return _hessian(self.factor, exponents, centres)

    def _exponents(self, z):
        white, centres = _white(self.factor, z), _white(self.factor, self.centres)
        return -_distances(white, centres).square() / 2, white, centres

    @property
    def _log_norm(self):
        return _log_norm(self.factor) + math.log(len(self.centres))


def density_of(points):
    """(log ρ, ∂ log ρ) at this process's points, ρ their density with all processes' points.

    ρ(z_i) = 1/(n − 1) Σ_{j≠i} N(z_i − z_j; h² C), C the covariance of the points and
    h = n^{−1/(d+4)}, Scott's bandwidth, so that in other linear coordinates the density is the
    same. Where ρ is below a thousandth of its median it is taken to be that.

    It is an estimate, with the bias of kernels: at the rim ρ is too small, between clouds that lie
    far apart, which have one bandwidth together, too large, and in more than some four dimensions
    far off: see ``python -m training.density_error``. It knows no periods. Where an integral over
    dz is wanted, :class:`training.measures.UniformBox` has no bias; where one over the data is, and
    their dimension is large, :class:`training.measures.SmoothedPoints`.

    Args:
        points: (B, d), as many on each process.

    Returns:
        tuple of (B,) and (B, d).

    Raises:
        TrainingError: all points lie on a hyperplane; on a GPU the density is NaN then.
    """
    factor, exponents, white, others = _kernels(points)
    log_density, rare = _values(factor, exponents, len(others))
    slope = _slope(factor, exponents, white, others)
    return log_density, slope.masked_fill(rare[:, None], 0)


def curvature_of_density(points):
    """∂_k∂_l log ρ, ρ as in :func:`density_of`, at this process's points (B, d): (B, d, d)."""
    factor, exponents, _, others = _kernels(points)
    _, rare = _values(factor, exponents, len(others))
    return _hessian(factor, exponents, others).masked_fill(rare[:, None, None], 0)


def scott(centres):
    """h = n^{−1/(d+4)} of points (n, d): Scott's bandwidth, in units of their spread."""
    count, d = centres.shape
    return count ** (-1 / (d + 4))


def root_of_covariance(centres):
    """C^{1/2} of points (n, d), a lower triangular root.

    Raises:
        TrainingError: they lie on a hyperplane; on a GPU the root is NaN then.
    """
    count, d = centres.shape
    centred = centres - centres.mean(0)
    # torch.cov would wait for the device.
    factor, failed = torch.linalg.cholesky_ex(centred.mT @ centred / (count - 1))
    if not waiting.reading_is_free(centres):
        return torch.where(failed > 0, torch.nan, factor)
    if failed:
        few = f" {d} dimensions need more than {d} points in a batch; got {count}." * (count <= d)
        raise TrainingError(
            "The encoded points lie on a hyperplane: they have no density in the latent space."
            + few
        )
    return factor


def _kernels(points):
    """S, exponents of all kernels but a point's own (B, n), and points and centres made white."""
    centres = gathered(points)
    factor = scott(centres) * root_of_covariance(centres)
    others = _white(factor, centres)
    white = own_part(others)
    rank, count = processes()
    own = rank + count * torch.arange(len(white), device=white.device)
    exponents = -_distances(white, others).square() / 2
    exponents = exponents.scatter(1, own[:, None], torch.finfo(white.dtype).min / 4)
    return factor, exponents, white, others


def _values(factor, exponents, count):
    """log ρ, not below the floor, and where it would be."""
    log_density = torch.logsumexp(exponents, 1) - _log_norm(factor) - math.log(count - 1)
    floor = gathered(log_density).median() - math.log(LARGEST)
    return log_density.clamp_min(floor), log_density < floor


def _slope(factor, exponents, white, centres):
    """S^{−T} (E_p y_j − y), p the shares of the kernels, y = S⁻¹ z: (B, d)."""
    pull = torch.softmax(exponents, 1) @ centres - white
    return torch.linalg.solve_triangular(factor.mT, pull.mT, upper=True).mT


def _hessian(factor, exponents, centres):
    """S^{−T} (Cov_p y_j − 1) S⁻¹: (B, d, d)."""
    shares = torch.softmax(exponents, 1)
    mean = shares @ centres
    second = torch.einsum("bj,jk,jl->bkl", shares, centres, centres)
    white = second - mean[:, :, None] * mean[:, None] - torch.eye(len(factor)).to(second)
    inverse = torch.linalg.inv(factor)
    return inverse.mT @ white @ inverse


def _white(factor, points):
    """S⁻¹ z."""
    return torch.linalg.solve_triangular(factor, points.mT, upper=False).mT


def _distances(points, others):
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def _log_norm(factor):
    return len(factor) / 2 * math.log(2 * math.pi) + factor.diagonal().log().sum()
