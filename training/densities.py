"""The density of encoded points with respect to dz, by kernels."""

import math

import torch

from training import waiting
from training.errors import TrainingError
from training.reductions import gathered, own_part, processes

LARGEST = 1e3  # no point is counted as rarer than this many times the median one


def density_of(points):
    """(log ρ, ∂ log ρ) at this process's points, ρ their density with all processes' points.

    ρ(z_i) = 1/(n − 1) Σ_{j≠i} N(z_i − z_j; h² C), C the covariance of the points and
    h = n^{−1/(d+4)}, Scott's bandwidth, so that in other linear coordinates the density is the
    same. Where ρ is below a thousandth of its median it is taken to be that.

    It is an estimate, with the bias of kernels: at the rim ρ is too small, between clouds that lie
    far apart, which have one bandwidth together, too large, and in more than some four dimensions
    far off. On Gaussian data in the plane ∫ |∇ log ρ|² dm comes out a tenth too small. It knows no
    periods. Where an integral over dz is wanted, :class:`training.measures.UniformBox` has no bias.

    Args:
        points: (B, d), as many on each process.

    Returns:
        tuple of (B,) and (B, d).

    Raises:
        TrainingError: all points lie on a hyperplane; on a GPU the density is NaN then.
    """
    factor, exponents, white, others = _kernels(points)
    log_density, rare = _values(factor, exponents, len(others))
    pull = torch.softmax(exponents, 1) @ others - white
    slope = torch.linalg.solve_triangular(factor.mT, pull.mT, upper=True).mT
    return log_density, slope.masked_fill(rare[:, None], 0)


def kernel_density(points):
    """log ρ up to a constant as a function of one point, (d,) -> (); ρ as in :func:`density_of`.

    Of all processes' points, a point of theirs included, and without a floor.
    """
    centres = gathered(points)
    inverse = torch.linalg.inv(_bandwidth(centres))

    def log_density(z):
        return torch.logsumexp(-((centres - z) @ inverse.mT).square().sum(1) / 2, 0)

    return log_density


def curvature_of_density(points):
    """∂_k∂_l log ρ, ρ as in :func:`density_of`, at this process's points (B, d): (B, d, d).

    With y = (h² C)^{−1/2} z and the kernels' shares p_j it is Cov_p(y_j) − 1 in coordinates y.
    """
    factor, exponents, _, others = _kernels(points)
    _, rare = _values(factor, exponents, len(others))
    shares = torch.softmax(exponents, 1)
    mean = shares @ others
    second = torch.einsum("bj,jk,jl->bkl", shares, others, others)
    white = second - mean[:, :, None] * mean[:, None] - torch.eye(points.shape[1]).to(second)
    inverse = torch.linalg.inv(factor)
    return (inverse.mT @ white @ inverse).masked_fill(rare[:, None, None], 0)


def _kernels(points):
    """(h² C)^{1/2}, the exponents of all kernels (B, n), and points and centres made white."""
    centres = gathered(points)
    factor = _bandwidth(centres)
    others = torch.linalg.solve_triangular(factor, centres.mT, upper=False).mT
    white = own_part(others)
    distances = torch.cdist(white, others, compute_mode="donot_use_mm_for_euclid_dist")
    rank, count = processes()
    own = rank + count * torch.arange(len(white), device=white.device)
    exponents = (-distances.square() / 2).scatter(1, own[:, None], torch.finfo(white.dtype).min / 4)
    return factor, exponents, white, others


def _values(factor, exponents, count):
    """log ρ, not below the floor, and where it would be."""
    log_norm = len(factor) / 2 * math.log(2 * math.pi) + factor.diagonal().log().sum()
    log_density = torch.logsumexp(exponents, 1) - log_norm - math.log(count - 1)
    floor = gathered(log_density).median() - math.log(LARGEST)
    return log_density.clamp_min(floor), log_density < floor


def _bandwidth(centres):
    """h C^{1/2}, a lower triangular root."""
    count, d = centres.shape
    centred = centres - centres.mean(0)
    # torch.cov would wait for the device.
    factor, failed = torch.linalg.cholesky_ex(centred.mT @ centred / (count - 1))
    if not waiting.reading_is_free(centres):
        factor = torch.where(failed > 0, torch.nan, factor)
    elif failed:
        raise TrainingError(
            "The encoded points lie on a hyperplane: they have no density in the latent space."
        )
    return factor * count ** (-1 / (d + 4))
