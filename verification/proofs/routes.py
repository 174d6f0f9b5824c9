"""intrinsic ≡ gauss, on a generic immersion: the third derivatives cancel.

Both routes are run by ``PullbackGeometry`` on the same formal vectors.
"""

import numpy as np

from curvcore import arithmetic, intrinsic, metrics
from curvcore.geometry import PullbackGeometry
from verification.proofs.fields import Derivation, generators_in
from verification.proofs.verdicts import finding, proved, stacked

FORMULAS = ("gauss", "intrinsic")


def geometries(immersion):
    """The generic geometry by the two formulas."""
    return tuple(PullbackGeometry(immersion.jet, formula=formula) for formula in FORMULAS)


def findings(immersion, gauss, intrinsic_):
    """The two routes give the same tensors, and ∇³Ψ leaves them."""
    subject = f"intrinsic ≡ gauss, d = {immersion.d}"
    for name, symbol in (("christoffel", "Γ^k_ij"), ("riemann", "R_ijkl")):
        difference = getattr(gauss, name) - getattr(intrinsic_, name)
        yield proved(subject, f"{symbol} of both formulas agree, for every D", difference)
    yield third_derivatives_cancel(immersion, intrinsic_)


def of_contractions(immersion, gauss, intrinsic_):
    """The two routes give the same Ricci tensor and R."""
    return proved(
        f"intrinsic ≡ gauss, d = {immersion.d}",
        "Ric_ij and R of both formulas agree, for every D",
        stacked(gauss.ricci - intrinsic_.ricci, gauss.scalar - intrinsic_.scalar),
    )


def third_derivatives_cancel(immersion, intrinsic_):
    """Each T_i,jkl stands in ∂²g and in ∂Γ of the intrinsic route, and none in its R_ijkl."""
    third = immersion.third_products
    stages = {
        "∂²g": metric_second_derivative(immersion.jet),
        "∂Γ": christoffel_derivative(immersion.jet),
        "R_ijkl": intrinsic_.riemann,
    }
    counts = {name: len(generators_in(tensor) & third) for name, tensor in stages.items()}
    return finding(
        f"intrinsic ≡ gauss, d = {immersion.d}",
        "the third derivatives ⟨Ψ_i, Ψ_jkl⟩ enter ∂²g and ∂Γ, and cancel in R_ijkl",
        f"of {len(third)}: " + ", ".join(f"{n} in {name}" for name, n in counts.items()),
        list(counts.values()) == [len(third), len(third), 0],
    )


def of_derivatives(immersion):
    """What the intrinsic route takes for ∂g, ∂²g and ∂Γ are derivatives of g, ∂g and Γ."""
    jet = immersion.jet
    derivations = [Derivation(immersion.product_derivatives(i)) for i in range(immersion.d)]

    def derivative(tensor):
        return np.stack([derive(tensor) for derive in derivations], axis=-1)

    first, metric = metric_derivative(jet), metrics.metric(jet.jacobian)
    return proved(
        f"intrinsic, d = {immersion.d}",
        "∂g, ∂²g and ∂Γ are the derivatives of g, ∂g and Γ",
        stacked(
            first - derivative(metric),
            metric_second_derivative(jet) - derivative(first),
            christoffel_derivative(jet) - derivative(christoffel(jet)),
        ),
    )


def metric_derivative(jet):
    """∂_k g_ij, from inner products."""
    return metrics.metric_derivative(metrics.first_products(jet.jacobian, jet.hessian))


def metric_second_derivative(jet):
    """∂_k∂_l g_ij, from inner products."""
    second = metrics.second_products(jet.hessian)
    return metrics.metric_second_derivative(second, metrics.third_products(jet.jacobian, jet.third))


def christoffel(jet):
    """Γ^k_ij, by the intrinsic route."""
    inverse = arithmetic.inverse(metrics.metric(jet.jacobian))
    return metrics.christoffel(inverse, metrics.christoffel_first_kind(metric_derivative(jet)))


def christoffel_derivative(jet):
    """∂_l Γ^k_ij, by the intrinsic route."""
    inverse = arithmetic.inverse(metrics.metric(jet.jacobian))
    first, second = metric_derivative(jet), metric_second_derivative(jet)
    return intrinsic.christoffel_derivative(inverse, first, second, christoffel(jet))
