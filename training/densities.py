"""The density of encoded points with respect to dz, by kernels."""

import math

import torch

from training.errors import TrainingError
from training.reductions import gathered

LARGEST = 10.0  # no point is counted as rarer than this many times the median one


def density_of(points):
    """(log ρ, ∂ log ρ) at this process's points, ρ their density with all processes' points.

    ρ(z) = 1/(n − 1) Σ_j N(z − z_j; h² C), the point z itself left out of the sum; C is the
    covariance of the points and h = n^{−1/(d+4)}, Scott's bandwidth, so that in other linear
    coordinates the density is the same. Its bias is that of kernel estimates, largest at the rim.
    It knows no periods: on a torus, sample uniformly instead. Where ρ is below a tenth of its
    median it is taken to be that.

    Args:
        points: (B, d).

    Returns:
        tuple of (B,) and (B, d).

    Raises:
        TrainingError: all points lie on a hyperplane.
    """
    centres = gathered(points)
    factor = _bandwidth(centres)
    white, others = (
        torch.linalg.solve_triangular(factor, x.mT, upper=False).mT
        for x in (points.detach(), centres)
    )
    distances = torch.cdist(white, others, compute_mode="donot_use_mm_for_euclid_dist")
    exponents = -distances.square() / 2
    exponents = exponents.masked_fill(distances == 0, torch.finfo(points.dtype).min / 4)
    d = points.shape[1]
    norm = (
        d / 2 * math.log(2 * math.pi) + factor.diagonal().log().sum() + math.log(len(centres) - 1)
    )
    log_density = torch.logsumexp(exponents, 1) - norm
    pull = torch.softmax(exponents, 1) @ others - white
    slope = torch.linalg.solve_triangular(factor.mT, pull.mT, upper=True).mT
    floor = gathered(log_density).median() - math.log(LARGEST)
    rare = log_density < floor
    return log_density.clamp_min(floor), slope.masked_fill(rare[:, None], 0)


def _bandwidth(centres):
    """h C^{1/2}, a lower triangular root."""
    count, d = centres.shape
    factor, failed = torch.linalg.cholesky_ex(torch.cov(centres.mT).reshape(d, d))
    if failed:
        raise TrainingError(
            "The encoded points lie on a hyperplane: they have no density in the latent space."
        )
    return factor * count ** (-1 / (d + 4))
