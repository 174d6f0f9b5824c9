"""Geodesic distances of points: shortest paths in the graph of their nearest neighbours."""

import numpy as np
from scipy.sparse.csgraph import dijkstra
from sklearn.neighbors import kneighbors_graph

from training.warm_start import check_graph


def to_landmarks(points, neighbours, landmarks, seed=0):
    """Distances from all points to some of them, chosen at random.

    Args:
        points: (n, D).
        neighbours: k; an edge joins i and j if one is among the k nearest points of the other.
        landmarks: how many at most.
        seed: of the choice.

    Returns:
        places (L,) of the landmarks among the points, and distances (n, L).

    Raises:
        TrainingError: the graph falls apart.
    """
    check_graph(points, 1, neighbours)
    places = np.random.default_rng(seed).permutation(len(points))[:landmarks]
    graph = kneighbors_graph(points, neighbours, mode="distance")
    return places, dijkstra(graph, directed=False, indices=places).T.copy()
