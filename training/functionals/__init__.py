"""Functionals of a decoder's metric, for anybody's training loop.

======================  ==========================================================  ============
functional              formula                                                     units
======================  ==========================================================  ============
TotalSquaredCurvature   ∫ R² dμ                                                     L^{d−4}
PerelmanF               ∫ (R + |∇f|²) e^{−f} dμ                                     L^{−2}
PerelmanW               ∫ [τ(R + |∇f|²) + f − n] (4πτ)^{−n/2} e^{−f} dμ             1
DeTurckGauge            ∫ |g^{ij} Γ^k_ij|²_g dμ                                     L^{d−2}
UniformVolume           ∫ |∇ log √det g|²_g dμ                                      L^{d−2}
RelaxedDistortion       E[tr G²] / E[tr G]²                                         1
VarianceOfLogDet        Var(log det G)                                              1
FlatMetric              E ‖G − α I‖²_F, α learned                                   L⁴/[z]⁴
ContractiveEncoder      E ‖∂enc/∂x‖²_F                                              [z]²/[x]²
GraphStress             Σ (δ − |z_i − z_j|)² δ^{−p} / Σ δ^{2−p}                     1
SquaredWeights          Σ W², of the autoencoder                                    –
======================  ==========================================================  ============

On encoded data the first and the gauge terms are integrals over the distribution m of the data, a
probability measure, instead of dμ: :mod:`training.functionals.base`.
"""

from training.functionals.base import Functional, LatentSample, NetworkFunctional, SampledGeometry
from training.functionals.baselines import (
    ContractiveEncoder,
    FlatMetric,
    RelaxedDistortion,
    SquaredWeights,
    VarianceOfLogDet,
)
from training.functionals.curvature import TotalSquaredCurvature
from training.functionals.gauges import DeTurckGauge, UniformVolume
from training.functionals.graph import GraphStress
from training.functionals.perelman import PerelmanF, PerelmanW, Tau, gaussian_tau
from training.functionals.potentials import FixedMeasure, LearnedPotential, NormalisedPotential

__all__ = [
    "ContractiveEncoder",
    "DeTurckGauge",
    "FixedMeasure",
    "FlatMetric",
    "Functional",
    "GraphStress",
    "LatentSample",
    "LearnedPotential",
    "NetworkFunctional",
    "NormalisedPotential",
    "PerelmanF",
    "PerelmanW",
    "RelaxedDistortion",
    "SampledGeometry",
    "SquaredWeights",
    "Tau",
    "TotalSquaredCurvature",
    "UniformVolume",
    "VarianceOfLogDet",
    "gaussian_tau",
]
