"""Statistics of points in a latent space, by the geometry of the pullback metric."""

from curvcore.statistics.clusters import KMeans, riemannian_kmeans
from curvcore.statistics.distances import Distances, distance_matrix
from curvcore.statistics.means import FrechetMean, frechet_mean
from curvcore.statistics.neighbours import Neighbours, geodesic_neighbours
from curvcore.statistics.sampling import (
    BrownianMotion,
    CurvatureAlong,
    VolumeSample,
    brownian_motion,
    curvature_along,
    sample_volume,
)

__all__ = [
    "BrownianMotion",
    "CurvatureAlong",
    "Distances",
    "FrechetMean",
    "KMeans",
    "Neighbours",
    "VolumeSample",
    "brownian_motion",
    "curvature_along",
    "distance_matrix",
    "frechet_mean",
    "geodesic_neighbours",
    "riemannian_kmeans",
    "sample_volume",
]
