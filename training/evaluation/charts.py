"""Latents against the true chart of the data, and the linear map that makes the mean metric I.

Groups are pieces of the data that have no relative position, as the clouds of separate planes:
distances, edges and Procrustes alignments are taken within one group.
"""

import math

import numpy as np
import torch
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors
from torch import nn

from training.errors import TrainingError
from training.evaluation.curvature import local_geometry
from training.evaluation.reconstruction import encoded


def charts(latents, chart, groups, few, neighbours):
    """Latents (n, d) against true coordinates (n, k), within the groups (n,) of two points or more.

    - ``spearman``, ``stress``: of the distances of all pairs of the points ``few``
      (:func:`spearman`, :func:`stress`), the pairs of all groups together.
    - ``procrustes_disparity``, ``procrustes_disparity_worst``: mean and maximum over the groups of
      :func:`procrustes_disparity`.
    - ``tear_score``: the largest of the groups' :func:`tear_score`.
    - ``tear_score_of_isometry``: what it would be if latents were the chart itself.
    """
    parts = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    parts = [part for part in parts if len(part) > 1]
    pairs = [np.intersect1d(part, few) for part in parts]
    in_latents, in_chart = (
        np.concatenate([np.empty(0), *(pdist(x[p]) for p in pairs)]) for x in (latents, chart)
    )
    disparities = [procrustes_disparity(latents[p], chart[p]) for p in parts]
    return {
        "spearman": spearman(in_latents, in_chart),
        "stress": stress(in_latents, in_chart),
        "procrustes_disparity": np.mean(disparities) if parts else math.nan,
        "procrustes_disparity_worst": max(disparities, default=math.nan),
        "tear_score": _worst_tear(latents, chart, parts, neighbours),
        "tear_score_of_isometry": _worst_tear(chart, chart, parts, neighbours),
    }


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


def tear_score(latents, chart, neighbours=10):
    """max |z_i − z_j| / median |z_i − z_j| over the edges of the chart's neighbour graph.

    An edge joins i and j if one is among the k nearest points of the other in the chart. Chart
    edges differ in length themselves: an isometry scores what the chart does with itself, 2 for a
    square grid, 3 for uniform points, tens for Gaussian ones (outliers). A latent space that tears
    the chart apart sends some edge across the tear: hundreds. NaN where the median is 0.
    """
    count = min(neighbours, len(chart) - 1)
    graph = NearestNeighbors(n_neighbors=count).fit(chart).kneighbors_graph().tocoo()
    ends = np.unique(np.sort(np.stack([graph.row, graph.col]), axis=0), axis=1)
    lengths = np.linalg.norm(latents[ends[0]] - latents[ends[1]], axis=1)
    median = np.median(lengths)
    return lengths.max() / median if median > 0 else math.nan


@torch.no_grad()
def linear_normalisation(decoder, z, chunk_size=4096):
    """(A, A⁻¹) with A = Ḡ^{1/2}, the symmetric root of the mean metric at the points z (n, d).

    In the coordinates w = A z the metric is A⁻¹ G A⁻¹, whose mean is I: this uses up the linear map
    that curvature and gauge terms leave open. Not for periodic latents. TrainingError where the
    mean over the regular points is singular.
    """
    geometry = local_geometry(decoder, z, chunk_size)
    regular = geometry.regular
    if not regular.any():
        raise TrainingError(f"The metric is degenerate at all {len(z)} points: it has no mean.")
    eigenvalues, basis = torch.linalg.eigh(geometry.metric[regular].mean(0))
    if eigenvalues[0] <= torch.finfo(z.dtype).eps * eigenvalues[-1]:
        raise TrainingError(f"The mean metric has eigenvalues {eigenvalues.tolist()}: singular.")
    roots = eigenvalues.sqrt()
    return tuple(((basis * power) @ basis.mT).to(z) for power in (roots, 1 / roots))


class Normalised(nn.Module):
    """An autoencoder in coordinates w = A z: A ∘ encoder, decoder ∘ A⁻¹. R stays what it was."""

    def __init__(self, encoder, decoder, matrix, inverse):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("matrix", matrix)
        self.register_buffer("inverse", inverse)

    @classmethod
    def of(cls, encoder, decoder, points, chunk_size=4096):
        """With A = Ḡ^{1/2} at the encoded ``points`` (n, D)."""
        with torch.no_grad():
            z = encoded(encoder, points, chunk_size)
        return cls(encoder, decoder, *linear_normalisation(decoder, z, chunk_size))

    def encode(self, points):
        """A enc(x): (B, D) -> (B, d)."""
        return self.encoder(points) @ self.matrix.mT

    def decode(self, w):
        """Ψ(A⁻¹ w): (B, d) -> (B, ...)."""
        return self.decoder(w @ self.inverse.mT)

    def forward(self, points):
        """The reconstruction, unchanged."""
        return self.decode(self.encode(points))


def _worst_tear(latents, chart, parts, neighbours):
    scores = [tear_score(latents[p], chart[p], neighbours) for p in parts]
    return np.max(scores) if scores else math.nan


def _varies(values):
    return values.size > 0 and bool((values != values[:1]).any())
