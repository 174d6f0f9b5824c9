"""Distances between latent points: in the plane R^d, or on the torus (R/Z)^d."""

import numpy as np
from scipy.spatial.distance import pdist


def shortest(differences):
    """x − round(x): the representative of x modulo 1 that lies in [−1/2, 1/2]."""
    return differences - np.round(differences)


def lengths(differences, periodic=False):
    """|z_i − z_j| of differences z_i − z_j (m, d); on the torus of the shortest ones: (m,)."""
    return np.linalg.norm(shortest(differences) if periodic else differences, axis=1)


def pairwise(points, periodic=False):
    """:func:`lengths` of all pairs i < j of points (n, d), in scipy's order: (n(n − 1)/2,)."""
    if not periodic:
        return pdist(points)
    by_coordinate = (pdist(column[:, None], "cityblock") for column in points.T)
    return np.sqrt(sum(shortest(difference) ** 2 for difference in by_coordinate))
