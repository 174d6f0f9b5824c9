"""The proofs hold; and those of curvature fail once a sign or an index in a formula is wrong."""

import numpy as np
import pytest
import sympy as sp

from curvcore import arithmetic, intrinsic, metrics, riemann
from curvcore.arithmetic import einsum
from verification import proofs
from verification.exact.fields import FunctionField
from verification.proofs import bianchi, conformal, routes, symmetries
from verification.proofs.fields import Derivation, field, generators_in
from verification.proofs.immersions import GenericImmersion
from verification.proofs.verdicts import EXACTLY_ZERO, proved, stacked

x, y = sp.symbols("x y", real=True)


def failed(findings):
    return {finding.statement for finding in findings if not finding.passed}


@pytest.mark.slow
def test_every_proof_holds():
    found = list(proofs.findings())
    assert not failed(found)
    assert len({(f.subject, f.statement) for f in found}) == len(found) > 100
    assert {f.section for f in found} == {"proofs"}
    assert {f.figure for f in found} - {EXACTLY_ZERO} == {
        f"of {n}: {n} in ∂²g, {n} in ∂Γ, 0 in R_ijkl" for n in (1, 8, 30)
    }


@pytest.mark.slow
def test_every_proof_holds_in_full():
    subjects = set()
    for finding in proofs.findings(full=True):
        assert finding.passed, finding
        subjects.add(finding.subject)
    assert {"intrinsic ≡ gauss, d = 4", "generic immersion, d = 3", "cp2, intrinsic"} <= subjects


# --- broken on purpose --------------------------------------------------------------------------
# What is wrong: (module, function, what stands there instead of it, given the right one).

FLIPPED_GAUSS = (riemann, "riemann", lambda right: lambda S: -right(S))
ADDED_GAUSS = (
    riemann,
    "riemann",
    lambda right: lambda S: einsum("ikjl->ijkl", S) + einsum("iljk->ijkl", S),
)
SWAPPED_GAUSS = (riemann, "riemann", lambda right: lambda S: einsum("ikjl->ijkl", S) - S)
FLIPPED_FORM = (
    riemann,
    "second_fundamental_form",
    lambda right: lambda jacobian, hessian, gamma: right(jacobian, hessian, -gamma),
)
FLIPPED_CHRISTOFFEL = (metrics, "christoffel_first_kind", lambda right: lambda dg: -right(dg))
SWAPPED_CHRISTOFFEL = (
    metrics,
    "christoffel_first_kind",
    lambda right: lambda dg: right(einsum("...ijk->...ikj", dg)),
)
HALF_SECOND_DERIVATIVE = (
    metrics,
    "metric_second_derivative",
    lambda right: lambda C, T: right(C, T) - einsum("jikl->ijkl", T),
)
NO_CORRECTION = (
    intrinsic,
    "christoffel_derivative",
    lambda right: lambda inverse, dg, d2g, gamma: right(inverse, dg, d2g, 0 * gamma),
)
FLIPPED_CORRECTION = (
    intrinsic,
    "christoffel_derivative",
    lambda right: lambda inverse, dg, d2g, gamma: right(inverse, dg, d2g, -gamma),
)
NO_PRODUCTS = (
    intrinsic,
    "riemann_mixed",
    lambda right: lambda gamma, derivative: right(0 * gamma, derivative),
)
ADDED_MIXED = (
    intrinsic,
    "riemann_mixed",
    lambda right: (
        lambda gamma, derivative: einsum("klji->kjil", 2 * derivative) - right(gamma, derivative)
    ),
)
FLIPPED_PRODUCTS = (metrics, "first_products", lambda right: lambda j, h: -right(j, h))
FLIPPED_RICCI = (riemann, "ricci", lambda right: lambda inverse, R: -right(inverse, R))
SWAPPED_RICCI = (
    riemann,
    "ricci",
    lambda right: lambda inverse, R: right(inverse, einsum("ijkl->ijlk", R)),
)
UNSYMMETRIC_RICCI = (
    riemann,
    "ricci",
    lambda right: lambda inverse, R: right(inverse, R) + np.triu(R[0, 1]),
)
TWICE_SCALAR = (riemann, "scalar", lambda right: lambda inverse, ricci: 2 * right(inverse, ricci))
PLAIN_PAIRS = (riemann, "multiplicities", lambda right: lambda matrix: right(matrix) ** 0)
FLIPPED_PAIRS = (
    riemann,
    "symmetric_square",
    lambda right: lambda matrix: -right(matrix),
)
FLIPPED_DETERMINANT = (riemann, "_determinant_of_two", lambda right: lambda matrix: -right(matrix))
TWICE_NUMERATOR = (
    riemann,
    "sectional_numerator",
    lambda right: lambda R, plane: 2 * right(R, plane),
)
FLIPPED_AREA = (riemann, "area_squared", lambda right: lambda g, plane: -right(g, plane))


def break_on_purpose(monkeypatch, wrong):
    module, name, replacement = wrong
    monkeypatch.setattr(module, name, replacement(getattr(module, name)))


CHRISTOFFEL = "Γ^k_ij of both formulas agree, for every D"
RIEMANN = "R_ijkl of both formulas agree, for every D"
CONTRACTED = "Ric_ij and R of both formulas agree, for every D"
CANCEL = "the third derivatives ⟨Ψ_i, Ψ_jkl⟩ enter ∂²g and ∂Γ, and cancel in R_ijkl"
NORMAL = "⟨II_ij, Ψ_k⟩ = 0, for every D"
ANTISYMMETRIC = "R_jikl = R_ijlk = −R_ijkl"
OF_PAIRS = "R_klij = R_ijkl"
CYCLIC = "first Bianchi: R_ijkl + R_iklj + R_iljk = 0"
DERIVATIVES = "∂g, ∂²g and ∂Γ are the derivatives of g, ∂g and Γ"
RICCI_SYMMETRIC = "Ric_ji = Ric_ij"
DETERMINANT = "R = 2 Σ_n det ⟨II, n⟩ / det g over unit normals n"
SECTIONAL = "K(u, v) = R/2 for all u, v"


@pytest.mark.grid
@pytest.mark.parametrize(
    ("wrong", "statements"),
    [
        (FLIPPED_GAUSS, {RIEMANN, SECTIONAL}),
        (ADDED_GAUSS, {RIEMANN, ANTISYMMETRIC, CYCLIC}),
        (SWAPPED_GAUSS, {RIEMANN, ANTISYMMETRIC}),
        (FLIPPED_FORM, {NORMAL, RIEMANN}),
        (FLIPPED_CHRISTOFFEL, {CHRISTOFFEL, RIEMANN}),
        (SWAPPED_CHRISTOFFEL, {CHRISTOFFEL, RIEMANN}),
        (FLIPPED_PRODUCTS, {DERIVATIVES}),
        (HALF_SECOND_DERIVATIVE, {DERIVATIVES}),
        (NO_CORRECTION, {RIEMANN, OF_PAIRS, DERIVATIVES}),
        (FLIPPED_CORRECTION, {RIEMANN, OF_PAIRS}),
        (NO_PRODUCTS, {RIEMANN}),
        (ADDED_MIXED, {RIEMANN, CONTRACTED, CANCEL}),
        (UNSYMMETRIC_RICCI, {RICCI_SYMMETRIC}),
        (TWICE_SCALAR, {CONTRACTED, DETERMINANT}),
        (FLIPPED_DETERMINANT, {CONTRACTED, DETERMINANT}),
        (TWICE_NUMERATOR, {SECTIONAL}),
        (FLIPPED_AREA, {SECTIONAL}),
    ],
    ids=lambda wrong: wrong[1] if isinstance(wrong, tuple) else None,
)
def test_wrong_formulas_of_curvature_are_detected(monkeypatch, wrong, statements):
    break_on_purpose(monkeypatch, wrong)
    assert statements <= failed(proofs.curvature(2))


def test_third_derivatives_that_never_enter_are_not_said_to_cancel(monkeypatch):
    third_products = metrics.third_products
    monkeypatch.setattr(metrics, "third_products", lambda j, t: 0 * third_products(j, t))
    assert failed(proofs.curvature(2)) == {CANCEL, DERIVATIVES}


@pytest.mark.parametrize(
    ("d", "wrong"),
    [
        *((2, wrong) for wrong in (FLIPPED_DETERMINANT, TWICE_SCALAR, FLIPPED_RICCI)),
        *((3, wrong) for wrong in (PLAIN_PAIRS, FLIPPED_PAIRS, TWICE_SCALAR, FLIPPED_RICCI)),
    ],
)
def test_a_wrong_short_path_is_detected(monkeypatch, wrong, d):
    break_on_purpose(monkeypatch, wrong)
    assert not symmetries.of_the_short_path(d).passed


@pytest.mark.parametrize("wrong", [FLIPPED_RICCI, SWAPPED_RICCI, FLIPPED_DETERMINANT])
def test_bianchi_fails_for_a_wrong_generic_curvature(monkeypatch, wrong):
    break_on_purpose(monkeypatch, wrong)
    assert not bianchi.of_generic_immersions(2).passed


@pytest.mark.parametrize(
    ("name", "formula", "wrong"),
    [
        ("torus", "gauss", FLIPPED_RICCI),
        ("torus", "intrinsic", TWICE_SCALAR),
        ("monkey-saddle", "intrinsic", FLIPPED_CHRISTOFFEL),
        ("paraboloid-3", "gauss", FLIPPED_PRODUCTS),
        ("paraboloid-3", "intrinsic", NO_PRODUCTS),
    ],
    ids=lambda wrong: wrong[1] if isinstance(wrong, tuple) else wrong,
)
def test_bianchi_fails_for_a_wrong_curvature_of_manifolds(monkeypatch, name, formula, wrong):
    break_on_purpose(monkeypatch, wrong)
    (finding,) = bianchi.of_the_catalogue([name], formula)
    assert not finding.passed


@pytest.mark.parametrize(
    "wrong",
    [
        FLIPPED_CORRECTION,
        NO_PRODUCTS,
        SWAPPED_RICCI,
        SWAPPED_CHRISTOFFEL,
        FLIPPED_FORM,
        TWICE_SCALAR,
        FLIPPED_DETERMINANT,
    ],
    ids=lambda wrong: wrong[1],
)
def test_conformal_change_fails_for_a_wrong_formula(monkeypatch, wrong):
    break_on_purpose(monkeypatch, wrong)
    assert not conformal.of_generic_metrics(2).passed


# --- the means ----------------------------------------------------------------------------------


def test_nothing_to_prove_is_not_a_proof():
    with pytest.raises(ValueError, match="nothing is left to prove"):
        proved("nothing", "everything", np.empty((0,), dtype=object))


def test_figures_show_the_first_residual_shortened():
    long = sum(sp.symbols("residual_1:30"))
    finding = proved("three", "are zero", stacked(sp.Integer(0), np.array([long, x], dtype=object)))
    assert not finding.passed
    assert finding.figure.startswith("2 of 3 components differ, the first by residual_1")
    assert finding.figure.endswith("…")
    assert len(finding.figure) < 120


def test_products_of_second_and_third_derivatives_are_never_needed():
    jet = GenericImmersion(2).jet
    with pytest.raises(LookupError, match="⟨Ψ_11, Ψ_122⟩ is not known"):
        jet.hessian[0, 0, 0] * jet.third[0, 0, 1, 1]


def test_vectors_are_not_added_to_numbers():
    vector = GenericImmersion(1).jet.jacobian[0, 0]
    with pytest.raises(TypeError, match="unsupported operand"):
        vector + 1
    assert repr(vector + vector) == "(2) e_1"


def test_generic_products_are_those_of_vectors():
    """Formal vectors multiply like vectors of R^D whose products are put for the symbols."""
    immersion = GenericImmersion(2)
    a, b = immersion.jet.jacobian[0]
    p = immersion.generators
    assert (2 * a - b) * (a + b) == 2 * p["p_1_1"] + p["p_1_2"] - p["p_2_2"]


def test_generic_metric_is_not_degenerate():
    immersion = GenericImmersion(3)
    assert arithmetic.determinant(metrics.metric(immersion.jet.jacobian)) != 0
    assert len(routes.geometries(immersion)) == 2


def test_derivations_are_derivatives():
    expressions = [x**2 * sp.sin(3 * x / 2) / (y + sp.exp(-x)), sp.tanh(2 * x) * sp.cos(y) ** 2]
    functions = FunctionField(expressions)
    embedded = functions.embed(np.array(expressions, dtype=object))
    for symbol in (x, y):
        derive = Derivation(functions.generator_derivatives(symbol), default=0)
        expected = functions.embed(np.array([e.diff(symbol) for e in expressions], dtype=object))
        assert np.all(derive(embedded) == expected)


def test_unknown_derivatives_are_not_taken_for_zero():
    p = field(["p", "q"])
    with pytest.raises(LookupError, match="derivative of q is not known"):
        Derivation({"p": p["q"]})(p["p"] / p["q"])
    assert generators_in([p["p"] / p["q"] - p["p"] / p["q"] + p["q"]]) == {"q"}
