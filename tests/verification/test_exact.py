"""Proofs in a function field: they succeed on the shipped formulas, and on nothing less."""

import dataclasses

import numpy as np
import pytest
import sympy as sp

from curvcore import intrinsic
from curvcore import riemann as gauss
from verification.exact.fields import QUANTITIES, FunctionField, is_exact, residuals
from verification.manifolds import catalogue

FORMULAS = ("gauss", "intrinsic")
TORUS = catalogue()["torus"]
SLOW = {"cp2"}  # d = 4 in R^18: two seconds a formula

x, y = sp.symbols("x y", real=True)
r = sp.Symbol("r", positive=True)
CIRCULAR = [sp.sin(x), sp.cos(x / 2), sp.sin(3 * x), sp.cos(-2 * x / 3), y]
HYPERBOLIC = [sp.exp(x / 2), sp.sinh(x), sp.cosh(3 * x), sp.tanh(x), y]
POLYNOMIAL = [x, y, r]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in catalogue()],
)
def test_closed_forms_are_identities(name, formula):
    assert is_exact(catalogue()[name], formula)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_least_deviation_of_a_closed_form_is_detected(quantity, formula):
    closed_form = getattr(TORUS, quantity)
    tiny = sp.Rational(1, 10**30)
    if isinstance(closed_form, sp.MatrixBase):
        tiny *= sp.ImmutableMatrix.eye(2)
    wrong = dataclasses.replace(TORUS, **{quantity: closed_form + tiny})
    disproved = {name for name, residual in residuals(wrong, formula).items() if np.any(residual)}
    assert disproved == {quantity}


def test_only_what_is_stated_is_checked():
    silent = dataclasses.replace(TORUS, ricci=None, gaussian=None)
    assert set(residuals(silent, "gauss")) == {"metric", "scalar", "mean_curvature_squared"}


def test_wrong_sign_of_the_gauss_equation_is_detected(monkeypatch):
    correct = gauss.riemann
    monkeypatch.setattr(gauss, "riemann", lambda products: -correct(products))
    assert not is_exact(TORUS, "gauss")
    assert is_exact(TORUS, "intrinsic")


def test_missing_christoffel_products_are_detected(monkeypatch):
    correct = intrinsic.riemann_mixed
    monkeypatch.setattr(intrinsic, "riemann_mixed", lambda gamma, d: correct(0 * gamma, d))
    assert not is_exact(TORUS, "intrinsic")
    assert is_exact(TORUS, "gauss")


@pytest.mark.parametrize(
    ("generated_by", "zero"),
    [
        (CIRCULAR, sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1),
        (CIRCULAR, sp.sin(2 * x) - 2 * sp.sin(x) * sp.cos(x)),
        (CIRCULAR, sp.cos(3 * x / 2) - 4 * sp.cos(x / 2) ** 3 + 3 * sp.cos(x / 2)),
        (HYPERBOLIC, sp.cosh(x) ** 2 - sp.sinh(x) ** 2 - 1),
        (HYPERBOLIC, sp.tanh(2 * x) * (1 + sp.tanh(x) ** 2) - 2 * sp.tanh(x)),
        (HYPERBOLIC, sp.exp(-3 * x / 2) - (sp.cosh(x) - sp.sinh(x)) * sp.exp(-x / 2)),
        (POLYNOMIAL, (x**2 - y**2) / (x - y) - x - y),
        (POLYNOMIAL, 1 / (1 + 1 / (r * x)) - r * x / (1 + r * x)),
    ],
)
def test_identities_of_functions_hold_in_the_field(generated_by, zero):
    assert not FunctionField(generated_by).embed(zero)


@pytest.mark.parametrize(
    ("generated_by", "nonzero"),
    [
        (CIRCULAR, sp.sin(x) + sp.sin(-3 * x)),
        (CIRCULAR, sp.sin(x / 2) - sp.cos(x / 2)),
        (HYPERBOLIC, sp.tanh(x) - sp.sinh(x)),
        (HYPERBOLIC, sp.exp(x) - sp.exp(-x)),
        (POLYNOMIAL, x - y / 10**20 - x * (1 - y)),
    ],
)
def test_different_functions_differ_in_the_field(generated_by, nonzero):
    assert FunctionField(generated_by).embed(nonzero)


@pytest.mark.parametrize("expression", [sp.sqrt(x), sp.log(x), sp.pi * x, x**y, sp.Float(0.5)])
def test_what_is_not_rational_is_refused(expression):
    with pytest.raises(ValueError, match="no rational function of r, x, y"):
        FunctionField(POLYNOMIAL).embed(expression)


@pytest.mark.parametrize("argument", [x * y, x + 1, x**2, sp.pi * x])
def test_arguments_are_rational_multiples_of_a_symbol(argument):
    with pytest.raises(ValueError, match="rational multiple of a symbol"):
        FunctionField([sp.sin(argument)])


def test_symbols_of_one_name_are_not_confused():
    with pytest.raises(ValueError, match="share a name"):
        FunctionField([x, sp.Symbol("x", positive=True)])


def test_rational_functions_have_one_normal_form():
    field = FunctionField(POLYNOMIAL)
    p, q = field.embed(x), field.embed(y)
    assert p - p == 0
    assert (p * p - q * q) / (q - p) == -(p + q)
    assert 1 / (2 / p) == p / 2
    assert 3 - p == -(p - 3)
    assert p**-2 == 1 / (p * p)
    assert repr(2 * p / (-4 * q)) == "(-x)/(2*y)"


def test_rational_functions_times_arrays_are_arrays():
    field = FunctionField(POLYNOMIAL)
    array, scalar = field.embed(np.array([x, y], dtype=object)), field.embed(r)
    for product in (scalar * array, array * scalar):
        assert list(product) == [field.embed(r * x), field.embed(r * y)]
    assert list(scalar / array) == [field.embed(r / x), field.embed(r / y)]


def test_zero_has_no_inverse():
    field = FunctionField(POLYNOMIAL)
    with pytest.raises(ZeroDivisionError, match="function field"):
        field.embed(x) / field.embed(x - x)
