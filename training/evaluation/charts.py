"""Latents against the true chart of the data, where one is known.

Groups are pieces of the data that have no relative position, as the clouds of separate planes:
distances, edges and Procrustes alignments are taken within one group.
"""

import math

import numpy as np
from scipy.spatial import procrustes
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors

from training.evaluation.distances import lengths, pairwise


def charts(latents, chart, groups, few, neighbours, periodic=False):
    """Latents (n, d) against true coordinates (n, k), within the groups (n,) of two points or more.

    - ``spearman``, ``stress``: of the distances of all pairs of the points ``few``
      (:func:`spearman`, :func:`stress`), the pairs of all groups together.
    - ``tear_score``: the largest of the groups' :func:`tear_score`.
    - ``tear_score_of_isometry``: what it would be if latents were the chart itself.
    - ``procrustes_disparity``, ``procrustes_disparity_worst``: mean and maximum over the groups of
      :func:`procrustes_disparity`. Not if ``periodic``: a torus has no rotations and no scalings
      that could bring its points onto those of a plane.

    Distances are Euclidean in the chart; ``periodic``, in latent space, are those of the torus.
    """
    parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    parts = [part for part in parts if len(part) > 1]
    pairs = [np.intersect1d(part, few) for part in parts]
    in_latents = _joined(pairwise(latents[p], periodic) for p in pairs)
    in_chart = _joined(pairwise(chart[p]) for p in pairs)
    metrics = {
        "spearman": spearman(in_latents, in_chart),
        "stress": stress(in_latents, in_chart),
        "tear_score": _worst_tear(latents, chart, parts, neighbours, periodic),
        "tear_score_of_isometry": _worst_tear(chart, chart, parts, neighbours),
    }
    if not periodic:
        disparities = [procrustes_disparity(latents[p], chart[p]) for p in parts]
        metrics["procrustes_disparity"] = np.mean(disparities) if parts else math.nan
        metrics["procrustes_disparity_worst"] = max(disparities, default=math.nan)
    return metrics


def spearman(distances, true_distances):
    """Spearman's rank correlation of latent and true distances; NaN where either is constant."""
    if not (_varies(distances) and _varies(true_distances)):
        return math.nan
    return spearmanr(distances, true_distances).statistic


def stress(distances, true_distances):
    """√(Σ (δ − s d)² / Σ δ²), d latent and δ true distances, at the best scale s = Σ δd / Σ d².

    Normalised stress (Kruskal, Psychometrika 1964): 0 for a scaled isometry, at most 1.
    """
    if not true_distances.any():
        return math.nan
    scale = true_distances @ distances / (distances @ distances) if distances.any() else 0.0
    return np.linalg.norm(true_distances - scale * distances) / np.linalg.norm(true_distances)


def procrustes_disparity(latents, chart):
    """min Σ |x − s Q y|² over s and orthogonal Q; x, y the centred point sets with Σ |·|² = 1.

    0 for a similarity, at most 1, which it is where all latents coincide (scipy.spatial.procrustes;
    Gower, Psychometrika 1975). Where the dimensions differ the smaller one is filled with zeros.
    """
    if not (_varies(latents) and _varies(chart)):
        return 1.0
    width = max(latents.shape[1], chart.shape[1])
    return procrustes(*(np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (chart, latents)))[2]


def tear_score(latents, chart, neighbours=10, periodic=False):
    """max |z_i − z_j| / median |z_i − z_j| over the edges of the chart's neighbour graph.

    An edge joins i and j if one is among the k nearest points of the other in the chart. Chart
    edges differ in length themselves: an isometry scores what the chart does with itself, 2 for a
    square grid, 3 for uniform points, tens for Gaussian ones (outliers). A latent space that tears
    the chart apart sends some edge across the tear: hundreds. NaN where the median is 0.
    """
    count = min(neighbours, len(chart) - 1)
    graph = NearestNeighbors(n_neighbors=count).fit(chart).kneighbors_graph().tocoo()
    ends = np.unique(np.sort(np.stack([graph.row, graph.col]), axis=0), axis=1)
    edges = lengths(latents[ends[0]] - latents[ends[1]], periodic)
    median = np.median(edges)
    return edges.max() / median if median > 0 else math.nan


def _joined(arrays):
    return np.concatenate([np.empty(0), *arrays])


def _worst_tear(latents, chart, parts, neighbours, periodic=False):
    scores = [tear_score(latents[p], chart[p], neighbours, periodic) for p in parts]
    return np.max(scores) if scores else math.nan


def _varies(values):
    return values.size > 0 and bool((values != values[:1]).any())
