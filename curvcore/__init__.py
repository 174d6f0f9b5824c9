"""curvcore: the curvature of pullback metrics, for any smooth decoder.

A decoder Ψ: R^d → R^D pulls the Euclidean metric back to latent space, g = ∇Ψᵀ∇Ψ. curvcore
computes the geometry of g, batched and differentiable::

    geometry = curvcore.pullback(decoder, z)   # decoder: (B, d) -> (B, ...), z: (B, d)
    geometry.scalar                            # R, (B,)

Conventions, the only ones in this library (B points first):

===========================  ======================================  =================
quantity                     formula                                 shape
===========================  ======================================  =================
``value``                    Ψ(z), flattened                         (B, D)
``jacobian``                 ∂_i Ψ^a                                 (B, D, d)
``hessian``                  ∂_i ∂_j Ψ^a                             (B, D, d, d)
``metric``                   g_ij = ⟨∂_iΨ, ∂_jΨ⟩                     (B, d, d)
``inverse_metric``           g^{ij}                                  (B, d, d)
``volume_density``           √det g                                  (B,)
``christoffel``              Γ^k_ij, index order k, i, j             (B, d, d, d)
``second_fundamental_form``  II_ij = normal part of ∂_i∂_jΨ          (B, D, d, d)
``mean_curvature``           H = g^{ij} II_ij, not divided by d      (B, D)
``riemann``                  R_ijkl = ⟨II_ik,II_jl⟩ − ⟨II_il,II_jk⟩  (B, d, d, d, d)
``ricci``                    Ric_jl = g^{ik} R_ijkl                  (B, d, d)
``scalar``                   R = g^{jl} Ric_jl                       (B,)
===========================  ======================================  =================

Signs: the round sphere of radius r has R = d(d−1)/r² > 0; for d = 2, R = 2K. Units: Ψ in [L] gives
g in [L²/latent²] and R in [1/L²]. References: do Carmo, *Riemannian Geometry*; Lee, *Introduction
to Riemannian Manifolds*, 2nd ed.; Chow et al., *The Ricci Flow*; Perelman, arXiv:math/0211159.
"""

from curvcore import atlases, likelihoods
from curvcore._version import __version__
from curvcore.api import (
    estimate_scalar_curvature,
    estimated_geometry,
    jet,
    metric,
    pullback,
    scalar_curvature,
)
from curvcore.atlases import LatentGrid, atlas, read_atlas
from curvcore.binding import bind
from curvcore.contracted import mean_curvature, ricci_curvature, sectional_curvature
from curvcore.errors import (
    AtlasError,
    CurvatureError,
    DecoderError,
    DegenerateMetricError,
    FallbackWarning,
    InputError,
    PiecewiseLinearWarning,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from curvcore.estimated import EstimatedGeometry
from curvcore.expected import Ensemble
from curvcore.geodesics import Geodesic, geodesic, path_length
from curvcore.geometry import PullbackGeometry
from curvcore.hutchinson import Hutchinson, ScalarEstimate
from curvcore.jets import Jet
from curvcore.maps import (
    Exponential,
    Logarithm,
    exponential_map,
    logarithm_map,
    parallel_transport,
)
from curvcore.plotting import CurvatureMap, curvature_map, draw_curvature, plot_curvature
from curvcore.providers.fused import registry as rules
from curvcore.statistics import (
    BrownianMotion,
    CurvatureAlong,
    Distances,
    FrechetMean,
    KMeans,
    Neighbours,
    VolumeSample,
    brownian_motion,
    curvature_along,
    distance_matrix,
    frechet_mean,
    geodesic_neighbours,
    riemannian_kmeans,
    sample_volume,
)

__all__ = [
    "AtlasError",
    "BrownianMotion",
    "CurvatureAlong",
    "CurvatureError",
    "CurvatureMap",
    "DecoderError",
    "DegenerateMetricError",
    "Distances",
    "Ensemble",
    "EstimatedGeometry",
    "Exponential",
    "FallbackWarning",
    "FrechetMean",
    "Geodesic",
    "Hutchinson",
    "InputError",
    "Jet",
    "KMeans",
    "LatentGrid",
    "Logarithm",
    "Neighbours",
    "PiecewiseLinearWarning",
    "PullbackGeometry",
    "RowsNotIndependentError",
    "ScalarEstimate",
    "UnsupportedOperationError",
    "VolumeSample",
    "__version__",
    "atlas",
    "atlases",
    "bind",
    "brownian_motion",
    "curvature_along",
    "curvature_map",
    "distance_matrix",
    "draw_curvature",
    "estimate_scalar_curvature",
    "estimated_geometry",
    "exponential_map",
    "frechet_mean",
    "geodesic",
    "geodesic_neighbours",
    "jet",
    "likelihoods",
    "logarithm_map",
    "mean_curvature",
    "metric",
    "parallel_transport",
    "path_length",
    "plot_curvature",
    "pullback",
    "read_atlas",
    "ricci_curvature",
    "riemannian_kmeans",
    "rules",
    "sample_volume",
    "scalar_curvature",
    "sectional_curvature",
]
