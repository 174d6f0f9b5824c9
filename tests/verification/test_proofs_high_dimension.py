"""Proofs for curvature in high dimension hold; and fail once what they prove is wrong."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch

from curvcore.arithmetic import einsum
from tests.support.tolerance import assert_close
from verification import estimators as formulas
from verification.manifolds import high_dimension as families
from verification.proofs import estimators, frames, hidden_units, high_dimension, moments
from verification.proofs.estimators import FreeForm
from verification.proofs.fields import field

pytestmark = pytest.mark.slow
DISTRIBUTIONS = ("Gaussian", "Rademacher")


def wrong(monkeypatch, module, name, replacement):
    """Put ``replacement`` of the right function in its place."""
    monkeypatch.setattr(module, name, replacement(getattr(module, name)))


def verdicts(findings):
    return [finding.passed for finding in findings]


# --- orthonormal frames -------------------------------------------------------------------------


def test_the_traced_gauss_equation_holds_in_frames():
    assert verdicts(frames.findings(2)) == [True, True, True]


@pytest.mark.parametrize(
    ("name", "replacement", "expected"),
    [
        ("scalar", lambda right: lambda form: right(form) + 2 * (form * form).sum(), [1, 0, 1]),
        ("scalar", lambda right: lambda form: -right(form), [1, 0, 1]),
        ("ricci", lambda right: lambda form: -right(form), [1, 1, 0]),
        ("ricci", lambda right: lambda form: right(2 * form) / 2, [1, 1, 0]),
        ("second_fundamental_form", lambda right: lambda tangents, second: second, [0, 0, 0]),
        (
            "second_fundamental_form",
            lambda right: lambda e, second: 2 * right(e, second),
            [1, 0, 0],
        ),
    ],
)
def test_wrong_formulas_in_frames_are_detected(monkeypatch, name, replacement, expected):
    wrong(monkeypatch, frames, name, replacement)
    assert verdicts(frames.findings(2)) == [bool(passed) for passed in expected]


def test_a_frame_of_another_metric_is_detected(monkeypatch):
    wrong(monkeypatch, frames, "framed_immersion", lambda right: lambda d: _stretched(*right(d)))
    assert not any(verdicts(frames.findings(2)))


def _stretched(immersion, frame):
    return immersion, 2 * frame


# --- random probes ------------------------------------------------------------------------------


def of_estimators(distribution):
    """The Findings at d = 2, or 3 where Ric_12 = 0 would hide much, by what they are about."""
    d = 2 if distribution == "Gaussian" else 3
    form = FreeForm(d, 2)
    return {
        "mean": estimators.of_means(form, distribution),
        "without frame": estimators.of_matrix_free(form, distribution),
        "conditional": estimators.of_conditional_means(form, distribution),
        "variance": estimators.of_variances(form, distribution),
        "three probes": estimators.of_three_probes(FreeForm(d, 3), distribution),
        "any number": estimators.of_any_number_of_probes(),
        "fewer moments": estimators.of_fewer_moments(form),
    }


def failed(distribution):
    return {name for name, finding in of_estimators(distribution).items() if not finding.passed}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_means_and_variances_hold(distribution):
    assert not failed(distribution)


def _one_product(right):
    """⟨II(u, u), II(v, v)⟩ alone."""
    return lambda products, u, v: einsum("ijkl,i,j,k,l->", products, u, u, v, v)


WITH_PAIRS = {"mean", "conditional", "variance", "three probes"}
WITH_VARIANCES = {"variance", "three probes", "fewer moments"}


@pytest.mark.parametrize(
    ("distribution", "name", "replacement", "expected"),
    [
        *((distribution, "pair", _one_product, WITH_PAIRS) for distribution in DISTRIBUTIONS),
        *(
            (
                distribution,
                "matrix_free",
                lambda right: lambda S, inverse, u, v: right(S, 2 * inverse, u, v),
                {"without frame"},
            )
            for distribution in DISTRIBUTIONS
        ),
        (
            "Gaussian",
            "gaussian_terms",
            lambda right: lambda ricci, riemann: (2 * ricci, 4 * ricci + 2 * riemann),
            WITH_VARIANCES | {"any number"},
        ),
        (
            "Gaussian",
            "gaussian_terms",
            lambda right: lambda ricci, riemann: (ricci, 4 * ricci + 3 * riemann),
            {"variance", "three probes", "any number"},
        ),
        (
            "Rademacher",
            "rademacher_terms",
            lambda right: lambda riemann: (2 * right(riemann)[0], right(riemann)[1]),
            {"variance", "three probes"},
        ),
        (
            "Rademacher",
            "_off_diagonal",
            lambda right: lambda like: 0 * right(like) + 1,
            WITH_VARIANCES,
        ),
        *(
            (
                distribution,
                "variance",
                lambda right: lambda first, second, k: right(first, second, k + 1),
                {"three probes", "any number"},
            )
            for distribution in DISTRIBUTIONS
        ),
    ],
)
def test_wrong_estimators_are_detected(monkeypatch, distribution, name, replacement, expected):
    wrong(monkeypatch, formulas, name, replacement)
    assert failed(distribution) == expected


def test_wrong_moments_are_detected(monkeypatch):
    """Fourth moments of signs for those of Gaussian variables: the variances are others."""
    wrong(monkeypatch, moments, "_moment_of_normal", lambda right: moments._moment_of_sign)
    assert failed("Gaussian") == {"variance", "three probes"}


def test_weyl_enters_variances_from_dimension_four(monkeypatch):
    """|Riem|² = 4|Ric|² − R² for d = 3 alone."""

    def without_weyl(right):
        def terms(curvature, distribution):
            ricci_squared = (curvature.ricci * curvature.ricci).sum()
            riemann_squared = 4 * ricci_squared - curvature.scalar**2
            return formulas.gaussian_terms(ricci_squared, riemann_squared)

        return terms

    wrong(monkeypatch, estimators, "_terms", without_weyl)
    assert estimators.of_variances(FreeForm(3, 2), "Gaussian").passed
    assert not estimators.of_variances(FreeForm(4, 2), "Gaussian").passed


def test_moments_of_a_polynomial():
    """E (a x² y⁴ + x y² + 1)/2 = (3a + 1)/2 or (a + 1)/2."""
    a, x, y = field(["a", "x", "y"]).values()
    variables = np.array([x, y], dtype=object)

    def function(values):
        x, y = values
        return (a * x * x * y * y * y * y + x * y * y + 1) / 2

    assert moments.mean_over_normals(function, variables) == (3 * a + 1) / 2
    assert moments.mean_over_signs(function, variables) == (a + 1) / 2
    assert moments.mean_over_all_signs(function, variables) == (a + 1) / 2


def test_moments_of_polynomials_only():
    x = next(iter(field(["x"]).values()))
    with pytest.raises(ValueError, match="not a polynomial"):
        moments.mean_over_normals(lambda values: 1 / values[0], np.array([x], dtype=object))


def test_variances_on_a_sphere():
    """R_abcd = δ_ac δ_bd − δ_ad δ_bc: Gaussian 4n(n−1)² + 6n(n−1), signs 2n(n−1)."""
    n = 5
    one = torch.eye(n, dtype=torch.float64)
    riemann = torch.einsum("ac,bd->abcd", one, one) - torch.einsum("ad,bc->abcd", one, one)
    closed = families.ProductOfSpheres([n], [1.0]).closed_forms(torch.zeros(1, n))
    first, second = formulas.rademacher_terms(riemann)
    assert_close(first, 0, scale=1.0)
    assert_close(second, 2 * n * (n - 1))
    first, second = formulas.gaussian_terms(closed.ricci_squared, closed.riemann_squared)
    assert_close(first, 2 * n * (n - 1) ** 2)
    assert_close(second, 4 * n * (n - 1) ** 2 + 6 * n * (n - 1))
    assert formulas.variance(0, Fraction(3), 4) == Fraction(1, 2)


# --- sums over hidden units ---------------------------------------------------------------------


def test_sums_over_hidden_units_hold():
    assert verdicts(hidden_units.findings()) == [True, True]


@pytest.mark.parametrize(
    ("name", "replacement", "expected"),
    [
        ("second_derivatives", lambda right: lambda q, A: 2 * right(q, A), [False, False]),
        ("trace", lambda right: lambda q, A: right(q[:-1], A[:-1]), [True, False]),
        ("squared_norm", lambda right: lambda q, A: (q @ q.T * (A @ A.T)).sum(), [True, False]),
        # f′ for f″, and no way through the second layer.
        ("_applied", lambda right: lambda n, order, x: right(n, min(order, 1), x), [False, True]),
        (
            "_applied",
            lambda right: lambda n, order, x: right(n, order, x) * int(order != 1),
            [False, True],
        ),
    ],
)
def test_wrong_sums_over_hidden_units_are_detected(monkeypatch, name, replacement, expected):
    wrong(monkeypatch, hidden_units, name, replacement)
    assert verdicts(hidden_units.findings()) == expected


# --- closed forms -------------------------------------------------------------------------------

CLOSED_FORMS = {
    "spheres": lambda: high_dimension.of_spheres((1, 2)),
    "paraboloid": lambda: high_dimension.of_paraboloids(2),
    "quadratic_graph": lambda: high_dimension.of_quadratic_graph(
        "one form", high_dimension.GRAPHS["a quadratic form, n = 2"]
    ),
}
every_family = pytest.mark.parametrize("family", CLOSED_FORMS)


@every_family
def test_closed_forms_hold(family):
    assert CLOSED_FORMS[family]().passed


@every_family
@pytest.mark.parametrize("quantity", families.ClosedForms.__dataclass_fields__)
def test_least_deviation_of_a_closed_form_is_detected(monkeypatch, family, quantity):
    tiny = sp.Rational(1, 10**30)
    if quantity == "log_volume_density":
        tiny = sp.log(1 + tiny) / 2

    def deviating(right):
        def closed_forms(*args, **kwargs):
            found = right(*args, **kwargs)
            return dataclasses.replace(found, **{quantity: getattr(found, quantity) + tiny})

        return closed_forms

    wrong(monkeypatch, families, f"{family}_closed_forms", deviating)
    assert not CLOSED_FORMS[family]().passed


@every_family
def test_closed_forms_are_those_of_the_decoder(monkeypatch, family):
    """Twice as large, the decoder is another one."""
    wrong(
        monkeypatch, families, f"{family}_point", lambda right: lambda *a, **k: right(*a, **k) * 2
    )
    assert not CLOSED_FORMS[family]().passed
