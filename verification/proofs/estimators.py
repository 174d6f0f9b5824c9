"""Means and variances of ``verification.estimators``, for every second fundamental form.

The components S_ab,cd = ⟨II_ab, II_cd⟩ are free symbols, as is the frame E, g⁻¹ = E Eᵀ, where the
covariance of the probes is g⁻¹. Expectations are made of the moments of each monomial (Isserlis,
Biometrika 12, 1918), and for signs are averages over all of them as well.
"""

from itertools import combinations, combinations_with_replacement, product

import numpy as np

from curvcore import riemann as formulas
from curvcore.arithmetic import einsum
from curvcore.packing import unpack
from verification import estimators
from verification.proofs.fields import field
from verification.proofs.moments import mean_over_all_signs, mean_over_normals, mean_over_signs
from verification.proofs.verdicts import proved, stacked

MEANS = {
    "Gaussian": mean_over_normals,
    "Rademacher": mean_over_signs,
    "all signs": mean_over_all_signs,
}


class FreeForm:
    """S_ij,kl, a frame and probes, all free.

    Attributes:
        products: S_ij,kl (d, d, d, d), with the symmetries of ⟨II_ij, II_kl⟩.
        frame: E^i_a (d, d).
        inverse_metric: g⁻¹ = E Eᵀ (d, d), positive for real E.
        probes: generators (k, d).
    """

    def __init__(self, d, k):
        pairs = list(combinations_with_replacement(range(d), 2))
        forms = [f"S{p}_{q}" for p, q in combinations_with_replacement(range(len(pairs)), 2)]
        frame = [f"E{i}{a}" for i, a in product(range(d), repeat=2)]
        probes = [f"u{i}{a}" for i, a in product(range(k), range(d))]
        symbols = np.array(list(field(forms + frame + probes).values()), dtype=object)
        free, frame, probes = np.split(symbols, [len(forms), len(forms) + d * d])
        of_pairs = unpack(free, len(pairs), 2)
        self.d = d
        self.products = unpack(np.moveaxis(unpack(of_pairs, d, 2), 0, -1), d, 2)
        self.frame = frame.reshape(d, d)
        self.inverse_metric = self.frame @ self.frame.T
        self.probes = probes.reshape(k, d)


class Curvature:
    """R_ijkl, Ric_ij and R of S for a given g⁻¹, by the shipped formulas."""

    def __init__(self, products, inverse_metric):
        self.riemann = formulas.riemann(products)
        self.ricci = formulas.ricci(inverse_metric, self.riemann)
        self.scalar = formulas.scalar(inverse_metric, self.ricci)


def findings():
    """Means, conditional means and variances, and the form that needs no frame."""
    for distribution, d in product(MEANS, (2, 3)):
        form = FreeForm(d, 2)
        yield of_means(form, distribution)
        yield of_matrix_free(form, distribution)
        yield of_conditional_means(form, distribution)
        yield of_variances(form, distribution)
    for distribution in ("Gaussian", "Rademacher"):
        yield of_variances(FreeForm(4, 2), distribution)  # Weyl vanishes for d < 4
        yield of_three_probes(FreeForm(3, 3), distribution)
    yield of_any_number_of_probes()
    for d in (2, 3, 4):
        yield of_fewer_moments(FreeForm(d, 0))


def of_means(form, distribution):
    """E h = R for probes E u, of covariance g⁻¹."""
    return _proved_mean(
        form,
        distribution,
        "E[⟨II(u,u), II(v,v)⟩ − |II(u,v)|²] = R where E[u uᵀ] = g⁻¹, for every frame",
        lambda probes: _pair(form, *(form.frame @ probe for probe in probes)),
    )


def of_matrix_free(form, distribution):
    """E = R for probes whose components in coordinates are independent."""
    return _proved_mean(
        form,
        distribution,
        "E[⟨II(u,g⁻¹u), II(v,g⁻¹v)⟩ − ⟨II(u,v), II(g⁻¹u,g⁻¹v)⟩] = R where E[u uᵀ] = I",
        lambda probes: estimators.matrix_free(form.products, form.inverse_metric, *probes),
    )


def _proved_mean(form, distribution, identity, statistic):
    """That the mean of a statistic of probes is R."""
    mean = MEANS[distribution](statistic, form.probes)
    scalar = Curvature(form.products, form.inverse_metric).scalar
    return _proved(form, distribution, identity, mean - scalar)


def of_conditional_means(form, distribution):
    """E[h | u] = Ric(u, u), in a frame."""
    u, v = form.probes[:1], form.probes[1:]
    ricci = _in_frame(form).ricci
    mean = MEANS[distribution](lambda probes: _pair(form, u[0], probes[0]), v)
    return _proved(
        form, distribution, "E[h | u] = Ric(u, u)", mean - einsum("ab,a,b->", ricci, u[0], u[0])
    )


def of_variances(form, distribution):
    """ζ_1 = Var E[h | u] and ζ_2 = Var h, in a frame."""
    mean, curvature = MEANS[distribution], _in_frame(form)
    first = mean(
        lambda probes: einsum("ab,a,b->", curvature.ricci, *probes[[0, 0]]) ** 2, form.probes[:1]
    )
    second = mean(lambda probes: _pair(form, *probes) ** 2, form.probes)
    square, expected = curvature.scalar**2, _terms(curvature, distribution)
    return _proved(
        form,
        distribution,
        f"Var E[h | u] = {FIRST[distribution]}, Var h = {SECOND[distribution]}",
        stacked(first - square - expected[0], second - square - expected[1]),
    )


def of_three_probes(form, distribution):
    """The variance of the mean over all pairs of three probes."""
    curvature = _in_frame(form)

    def square(probes):
        pairs = combinations(probes, 2)
        return (sum(_pair(form, u, v) for u, v in pairs) / 3) ** 2

    return _proved(
        form,
        distribution,
        f"three probes: variance {OF_PROBES[distribution]}, k = 3",
        MEANS[distribution](square, form.probes)
        - curvature.scalar**2
        - estimators.variance(*_terms(curvature, distribution), 3),
    )


def of_any_number_of_probes():
    """Hoeffding's variance of k probes, simplified."""
    symbols = field(["k", "ricci_squared", "riemann_squared"])
    k, ricci_squared, riemann_squared = symbols.values()
    expected = 8 * ricci_squared / k + 6 * riemann_squared / (k * (k - 1))
    return proved(
        "estimators, Gaussian",
        f"k probes: 2 (2(k−2) ζ_1 + ζ_2)/(k(k−1)) = {OF_PROBES['Gaussian']}",
        estimators.variance(*estimators.gaussian_terms(ricci_squared, riemann_squared), k)
        - expected,
    )


def of_fewer_moments(form):
    """Var h of signs, as that of Gaussian probes less squares."""
    curvature = _in_frame(form)
    R, ricci = curvature.riemann, curvature.ricci
    less = (
        4 * (np.diagonal(ricci) ** 2).sum()
        + 8 * (einsum("abac->abc", R) ** 2).sum()
        - 4 * (einsum("abab->ab", R) ** 2).sum()
    )
    of_normals, of_signs = (_terms(curvature, name)[1] for name in ("Gaussian", "Rademacher"))
    return _proved(
        form,
        "Rademacher",
        "Var h = 4|Ric|² + 3|Riem|² − 4 Σ Ric_aa² − 8 Σ R_abac² + 4 Σ R_abab²",
        of_normals - less - of_signs,
    )


MIXED = "Σ_{a≠b} Ric_ab²"
REST = "Σ_{a≠c, b≠d} (R_abcd + R_adcb)²"
SIGNS = ("Rademacher", "all signs")
FIRST = {"Gaussian": "2|Ric|²"} | dict.fromkeys(SIGNS, f"2 {MIXED}")
SECOND = {"Gaussian": "4|Ric|² + 3|Riem|²"} | dict.fromkeys(SIGNS, f"4 {MIXED} + {REST}")
OF_PROBES = {
    "Gaussian": "8|Ric|²/k + 6|Riem|²/(k(k−1))",
    "Rademacher": f"8 {MIXED}/k + 2 {REST}/(k(k−1))",
}


def _proved(form, distribution, statement, residual):
    return proved(f"estimators, {distribution}, d = {form.d}", statement, residual)


def _pair(form, u, v):
    return estimators.pair(form.products, u, v)


def _in_frame(form):
    """The components in an orthonormal frame, in which S is as free as in any coordinates."""
    identity = np.array([[int(i == j) for j in range(form.d)] for i in range(form.d)], dtype=object)
    return Curvature(form.products, identity)


def _terms(curvature, distribution):
    """ζ_1 and ζ_2."""
    if distribution in SIGNS:
        return estimators.rademacher_terms(curvature.riemann)
    squared = ((tensor * tensor).sum() for tensor in (curvature.ricci, curvature.riemann))
    return estimators.gaussian_terms(*squared)
