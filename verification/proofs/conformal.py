"""The scalar curvature of a conformal metric ĝ = e^{2u} g: Lee, Thm 7.30.

    R̂ = e^{−2u} (R − 2(d−1) Δu − (d−1)(d−2) |∇u|²);   d = 2:  R̂ = e^{−2u} (R − 2Δu).

g is the metric of a generic immersion, whose R, Δu and |∇u|² are those of ``PullbackGeometry``. No
immersion is known for ĝ: its derivatives are worked out in the field, and put into the intrinsic
formulas.
"""

from itertools import combinations_with_replacement

import numpy as np

from curvcore import arithmetic, intrinsic, metrics, riemann
from curvcore.geometry import PullbackGeometry
from verification.proofs.fields import Derivation
from verification.proofs.immersions import GenericImmersion
from verification.proofs.verdicts import proved

EXPONENTIAL = "exp_2u"


def of_generic_metrics(d):
    """The law of transformation for every g and every smooth u."""
    pairs = list(combinations_with_replacement(range(d), 2))
    names = [_name(i) for i in range(d)] + [_name(*pair) for pair in pairs]
    immersion = GenericImmersion(d, extra=(EXPONENTIAL, *names))
    symbols = immersion.generators
    du = np.array([symbols[_name(i)] for i in range(d)], dtype=object)
    d2u = np.array([[symbols[_name(i, j)] for j in range(d)] for i in range(d)], dtype=object)
    geometry = PullbackGeometry(immersion.jet)
    expected = geometry.scalar - 2 * (d - 1) * geometry.laplacian(du, d2u)
    if d > 2:
        expected = expected - (d - 1) * (d - 2) * geometry.gradient_norm_squared(du)
    factor = symbols[EXPONENTIAL]
    derivations = [_derivation(immersion, i) for i in range(d)]
    residual = scalar_of_metric(factor * geometry.metric, derivations) - expected / factor
    law = "R − 2Δu" if d == 2 else f"R − {2 * (d - 1)}Δu − {(d - 1) * (d - 2)}|∇u|²"
    return proved(
        f"conformal change, d = {d}", f"R(e^2u g) = e^−2u ({law}) for every g and u", residual
    )


def scalar_of_metric(metric, derivations):
    """R of a metric given as functions, by the intrinsic formulas."""
    first = np.stack([derive(metric) for derive in derivations], axis=-1)
    second = np.stack([derive(first) for derive in derivations], axis=-1)
    inverse = arithmetic.inverse(metric)
    christoffel = metrics.christoffel(inverse, metrics.christoffel_first_kind(first))
    derivative = intrinsic.christoffel_derivative(inverse, first, second, christoffel)
    tensor = intrinsic.riemann(metric, intrinsic.riemann_mixed(christoffel, derivative))
    return riemann.scalar(inverse, riemann.ricci(inverse, tensor))


def _derivation(immersion, i):
    """∂_i: of inner products, of u_j and of e^{2u}."""
    symbols = immersion.generators
    of_slopes = {_name(j): symbols[_name(i, j)] for j in range(immersion.d)}
    of_factor = {EXPONENTIAL: 2 * symbols[EXPONENTIAL] * symbols[_name(i)]}
    return Derivation(immersion.product_derivatives(i) | of_slopes | of_factor)


def _name(*indices):
    return "u_" + "".join(str(i + 1) for i in sorted(indices))
