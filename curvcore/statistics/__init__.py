"""Statistics of points in a latent space, by the geometry of the pullback metric."""

from curvcore.statistics.distances import Distances, distance_matrix
from curvcore.statistics.neighbours import Neighbours, geodesic_neighbours

__all__ = [
    "Distances",
    "Neighbours",
    "distance_matrix",
    "geodesic_neighbours",
]
