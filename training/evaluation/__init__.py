"""How good a latent space is: one call, a flat dict of numbers.

=====================  =======================================================================
module                 what it measures
=====================  =======================================================================
``reconstruction``     mean squared error and coefficient of determination
``curvature``          |R|, ∫ R² dμ, E[R² √det g]; how far the metric is from a constant one
``neighbourhoods``     whether near points stay near, and far ones far
``charts``             latents against the true chart of the data, where one is known
``distances``          between latent points, of a plane or of a torus
``normalisation``      the linear map that makes the mean metric I, and what it leaves alone
``held_out``           all of them of a trained module on its test part, as in ``metrics.json``
=====================  =======================================================================
"""

import numpy as np
import torch

from training.errors import TrainingError
from training.evaluation.charts import charts
from training.evaluation.curvature import curvature, isometry, local_geometry
from training.evaluation.neighbourhoods import neighbourhoods
from training.evaluation.normalisation import Normalised, linear_normalisation
from training.evaluation.reconstruction import decoded, encoded, reconstruction

__all__ = ["Normalised", "evaluate", "linear_normalisation"]


@torch.no_grad()
def evaluate(
    encoder,
    decoder,
    points,
    *,
    scale=None,
    chart=None,
    groups=None,
    periodic=False,
    seed=0,
    neighbours=10,
    most_points=2000,
    chunk_size=4096,
):
    """All metrics of an autoencoder on held-out points.

    Args:
        encoder, decoder: callables (B, D) -> (B, d) and (B, d) -> (B, ...), in evaluation mode.
        points: tensor (n, D) on the device and in the dtype of both; float64 is recommended.
        scale: data units per unit of ``points``, for the keys that end in ``_raw``; None is 1.
        chart: true coordinates (n, k) of the points, or None: then its keys are left out.
        groups: the piece of the chart that each point belongs to, (n,); None is one piece.
        periodic: whether latents are points of the torus (R/Z)^d rather than of the plane R^d: the
            decoder has period 1 in each coordinate. Latent distances are then lengths of shortest
            differences modulo 1, ∫ R² dμ is over the whole torus, and the keys of the Procrustes
            disparity are left out. Otherwise distances are Euclidean, and ∫ is over a box.
        seed: of the subset that ``most_points`` asks for, and of the integral for d > 2.
        neighbours: how many count as near.
        most_points: quantities of cost O(n²) use so many points, chosen at random; they are
            trustworthiness, continuity, recall, Spearman and stress.
        chunk_size: points that go through the decoder's derivatives at a time.

    Returns:
        dict[str, float]; NaN where a quantity is undefined. Each formula is in the docstring of
        the function that computes it.

    Raises:
        TrainingError: shapes that do not fit, too few points, or NaN from encoder or decoder.
    """
    scale = 1.0 if scale is None else float(scale)
    chart, groups = _checked(points, scale, chart, groups, neighbours, most_points)
    z = encoded(encoder, points, chunk_size)
    geometry = local_geometry(decoder, z, chunk_size)
    few = _subset(len(points), most_points, seed)
    data, latents = _array(points), _array(z)
    metrics = reconstruction(data, _array(decoded(decoder, z, points, chunk_size)), scale)
    options = {"scale": scale, "seed": seed, "chunk_size": chunk_size, "periodic": periodic}
    metrics |= curvature(decoder, z, geometry, **options)
    metrics |= isometry(geometry.metric[geometry.regular])
    metrics |= neighbourhoods(data[few], latents[few], neighbours, periodic)
    if chart is not None:
        metrics |= charts(latents, chart, groups, few, neighbours, periodic)
    return {key: float(value) for key, value in metrics.items()}


def _subset(n, most, seed):
    """Sorted indices of at most ``most`` of n points, chosen at random."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def _checked(points, scale, chart, groups, neighbours, most_points):
    """Chart and groups as arrays, or None without a chart."""
    if not isinstance(points, torch.Tensor) or points.ndim != 2:
        shape = tuple(getattr(points, "shape", ())) or type(points).__name__
        raise TrainingError(f"points must be a tensor (n, D); got {shape}.")
    if not (np.isfinite(scale) and scale > 0):
        raise TrainingError(f"scale must be a positive number; got {scale}.")
    if neighbours < 1 or min(len(points), most_points) <= 2 * neighbours:
        raise TrainingError(
            f"{neighbours} neighbours need more than {2 * neighbours} points; got {len(points)} "
            f"points, of which at most {most_points} are compared. Give more points or choose "
            "neighbours=... smaller."
        )
    return (None, None) if chart is None else _checked_chart(len(points), chart, groups)


def _checked_chart(n, chart, groups):
    chart = np.asarray(chart, dtype=np.float64)
    groups = np.zeros(n, dtype=int) if groups is None else np.asarray(groups)
    if chart.ndim != 2 or len(chart) != n or not np.isfinite(chart).all():
        raise TrainingError(f"chart must be finite, ({n}, k) for {n} points; got {chart.shape}.")
    if groups.shape != (n,):
        raise TrainingError(f"groups must be ({n},) for {n} points; got {groups.shape}.")
    return chart, groups
