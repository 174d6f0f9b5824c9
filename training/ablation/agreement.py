"""Whether autoencoders that were trained anew agree: is curvature identifiable?"""

import itertools
import math

import numpy as np
import torch
from scipy import stats

import curvcore
from training import runs as run_folders
from training.evaluation.charts import procrustes_disparity
from training.evaluation.distances import pairwise

MOST_POINTS = 500
PAIRS = 32
FEWEST = 3  # runs that have an interval
KEYS = ("R", "latents", "latent_distances", "geodesic_lengths")


@torch.no_grad()
def agreement(runs):
    """How well runs on the same data agree at the same points of it.

    Means over all pairs of runs:

    - ``R``: Spearman's rank correlation of R at 500 points (those regular in both).
    - ``latents``: 1 − the Procrustes disparity of their latents.
    - ``latent_distances``: Spearman's correlation of the Euclidean distances of their latents.
    - ``geodesic_lengths``: of the lengths of geodesics between 32 pairs of points (those that
      converged in both), which do not depend on latent coordinates.

    Args:
        runs: folders; None, of runs that diverged, are left out.

    Returns:
        dict name -> (mean, low, high), the 95 % interval by the jackknife over runs.
    """
    looks = [_look(run) for run in runs if run is not None]
    tables = {key: np.full((len(looks), len(looks)), math.nan) for key in KEYS}
    for i, j in itertools.combinations(range(len(looks)), 2):
        for key, value in _compare(looks[i], looks[j]).items():
            tables[key][i, j] = tables[key][j, i] = value
    return {key: _jackknife(table) for key, table in tables.items()}


def _look(run):
    """R, latents, their distances and geodesic lengths at points that all runs share."""
    module, data = run_folders.load(run, trust=True)
    module = module.double()
    points = torch.from_numpy(data.source.load().points)
    rows = np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]
    z = module.encode(points[rows])
    scalar = curvcore.scalar_curvature(module.decode, z, on_degenerate="nan", chunk_size=256)
    half = min(PAIRS, len(z) // 2)
    geodesic = curvcore.geodesic(module.decode, z[:half], z[half : 2 * half], segments=16)
    lengths = torch.where(geodesic.converged, geodesic.length, torch.nan)
    latents = z.numpy()
    return {
        "R": scalar.numpy(),
        "latents": latents,
        "latent_distances": pairwise(latents),
        "geodesic_lengths": lengths.numpy(),
    }


def _compare(one, other):
    ranked = {
        key: _rank_correlation(one[key], other[key])
        for key in ("R", "latent_distances", "geodesic_lengths")
    }
    return ranked | {"latents": 1 - procrustes_disparity(one["latents"], other["latents"])}


def _rank_correlation(x, y):
    known = np.isfinite(x) & np.isfinite(y)
    return stats.spearmanr(x[known], y[known]).statistic if known.sum() > 2 else math.nan


def _jackknife(table):
    """The mean of the entries off the diagonal of (n, n), and its 95 % interval."""
    n = len(table)
    if n < FEWEST:
        return (float(np.nanmean(table)) if n == 2 else math.nan, math.nan, math.nan)
    mean = np.nanmean(table)
    others = [[i for i in range(n) if i != k] for k in range(n)]
    without = np.array([np.nanmean(table[np.ix_(rest, rest)]) for rest in others])
    error = math.sqrt((n - 1) / n * np.square(without - without.mean()).sum())
    half = stats.t.ppf(0.975, n - 1) * error
    return float(mean), float(mean - half), float(mean + half)
