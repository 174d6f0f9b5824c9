"""Whether neighbours in data space are neighbours in latent space, and the other way round."""

import numpy as np
from scipy.spatial.distance import squareform

from training.evaluation.distances import pairwise


def neighbourhoods(data, latents, neighbours, periodic=False):
    """Preservation of the k nearest neighbours, k = ``neighbours``: arrays (n, D) and (n, d).

    - ``trustworthiness``: 1 − 2/(nk(2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k), j over the k latent
      neighbours of i, r(i, j) the rank of j among the neighbours of i in data space: 1 if no point
      intrudes (Venna and Kaski, ICANN 2001).
    - ``continuity``: the same with both spaces exchanged: 1 if no neighbour is torn away.
    - ``knn_recall_at_10`` (the number is k): the part of the k nearest neighbours in data space
      that are among the k nearest in latent space, mean over points.

    Distances are Euclidean in data space; ``periodic``, in latent space, are those of the torus.
    """
    in_data, in_latents = ranks(pairwise(data)), ranks(pairwise(latents, periodic))
    near_in_data, near_in_latents = (
        (ranked > 0) & (ranked <= neighbours) for ranked in (in_data, in_latents)
    )
    common = (near_in_data & near_in_latents).sum()
    return {
        "trustworthiness": 1 - _penalty(in_data[near_in_latents], len(data), neighbours),
        "continuity": 1 - _penalty(in_latents[near_in_data], len(data), neighbours),
        f"knn_recall_at_{neighbours}": common / (neighbours * len(data)),
    }


def ranks(distances):
    """r(i, j): point j is the r-th nearest of those other than i; r(i, i) = 0: (n, n) integers.

    Args:
        distances: of all pairs i < j, (n(n − 1)/2,). Of equal ones the smaller j is the nearer.
    """
    distances = squareform(distances)
    np.fill_diagonal(distances, -1)  # a point comes before those that coincide with it
    order = distances.argsort(axis=1, kind="stable")
    ranked = np.empty_like(order)
    np.put_along_axis(ranked, order, np.arange(len(order))[None], axis=1)
    return ranked


def _penalty(ranked, n, k):
    """2/(nk(2n − 3k − 1)) Σ max(0, r − k): 0 if all r ≤ k, and at most 1."""
    return 2 * np.maximum(0, ranked - k).sum() / (n * k * (2 * n - 3 * k - 1))
