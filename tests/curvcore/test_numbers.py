"""One source of formulas, every kind of number: symbols, fractions, balls, floats.

The jet of a polynomial immersion at a rational point is rational, and so is every curvature. sympy
derives it in general, fractions are exact, balls must contain it, floats come close.
"""

from fractions import Fraction

import numpy as np
import pytest
import torch

import curvcore
from tests.support.parametrisation import every_formula
from tests.support.tolerance import assert_close, assert_contains, assert_exactly_zero

sympy = pytest.importorskip("sympy")
flint = pytest.importorskip("flint")

x, y, w = sympy.symbols("x y w")
IMMERSIONS = {
    "curve": ([x, x**2, x**3], (x,)),
    "surface": ([x, y, x**2 + x * y, y**3 - x], (x, y)),
    "hypersurface": ([x, y + x**2, w, x * y - w**2 + x * w * y], (x, y, w)),
    "plane": ([x + y**2, y], (x, y)),
}
POINT = {x: Fraction(1, 3), y: Fraction(-2, 5), w: Fraction(3, 7)}
QUANTITIES = [
    "metric",
    "inverse_metric",
    "christoffel",
    "second_fundamental_form",
    "mean_curvature",
    "riemann",
    "ricci",
    "scalar",
]
every_immersion = pytest.mark.parametrize("name", IMMERSIONS)


def each(function, array):
    """Entry by entry, as an object array of the same shape."""
    array = np.asarray(array, dtype=object)
    return np.frompyfunc(function, 1, 1)(array) if array.ndim else function(array.item())


def to_fraction(expression):
    value = sympy.sympify(expression).subs({s: sympy.Rational(q) for s, q in POINT.items()})
    return Fraction(int(value.p), int(value.q))


def to_ball(number):
    return flint.arb(flint.fmpq(number.numerator, number.denominator))


def to_tensor(array):
    return torch.from_numpy(np.array(array, dtype=object).astype(float))[None]


KINDS = {
    "fraction": lambda array: each(Fraction, array),
    "ball": lambda array: each(to_ball, array),
    "float": to_tensor,
}


def jet_at_the_point(name, kind):
    """The jet of order 3 at the rational point, in one kind of number."""
    expressions, symbols = IMMERSIONS[name]
    arrays = curvcore.jet(expressions, symbols, 3).arrays()
    return curvcore.Jet(*(KINDS[kind](each(to_fraction, array)) for array in arrays))


def geometry_at_the_point(name, kind, formula):
    return curvcore.PullbackGeometry(jet_at_the_point(name, kind), formula=formula)


@pytest.mark.grid
@every_immersion
@every_formula
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_balls_contain_the_exact_value_and_floats_are_close(name, formula, quantity):
    exact, balls, floats = (
        getattr(geometry_at_the_point(name, kind, formula), quantity) for kind in KINDS
    )
    assert {type(q) for q in np.ravel(exact)} <= {Fraction, int}
    assert_contains(balls, exact)
    assert_close(floats, to_tensor(exact), scale=10.0)


@every_immersion
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_both_formulas_give_the_same_fraction(name, quantity):
    gauss, intrinsic = (
        getattr(geometry_at_the_point(name, "fraction", f), quantity)
        for f in ("gauss", "intrinsic")
    )
    assert (np.asarray(gauss) == np.asarray(intrinsic)).all()


@pytest.mark.grid
@every_formula
@pytest.mark.parametrize("name", ["curve", "surface", "plane"])
def test_symbols_specialise_to_the_same_fraction(name, formula):
    expressions, symbols = IMMERSIONS[name]
    symbolic = curvcore.pullback(expressions, symbols, formula=formula)
    exact = geometry_at_the_point(name, "fraction", formula)
    for quantity in ("metric", "christoffel", "riemann", "scalar"):
        special = each(to_fraction, getattr(symbolic, quantity))
        assert (np.asarray(special) == np.asarray(getattr(exact, quantity))).all(), quantity


@every_formula
def test_symmetries_hold_exactly(formula):
    R = geometry_at_the_point("hypersurface", "fraction", formula).riemann
    assert not (R + R.transpose(1, 0, 2, 3)).any()
    assert not (R + R.transpose(0, 1, 3, 2)).any()
    assert not (R - R.transpose(2, 3, 0, 1)).any()
    assert not (R + R.transpose(1, 2, 0, 3) + R.transpose(2, 0, 1, 3)).any()
    assert R.any()


@every_formula
def test_volume_is_a_ball_around_the_float(formula):
    ball = geometry_at_the_point("surface", "ball", formula).volume_density
    value = geometry_at_the_point("surface", "float", formula).volume_density
    square = geometry_at_the_point("surface", "fraction", formula).metric
    determinant = square[0, 0] * square[1, 1] - square[0, 1] ** 2
    assert_contains([ball * ball], [determinant])
    assert_close(value, torch.tensor([float(determinant) ** 0.5], dtype=torch.float64))


@pytest.mark.slow
@every_formula
def test_symbolic_batch_free_shapes_and_bare_numbers(formula):
    geometry = curvcore.pullback(sympy.Matrix([x, y, x * y]), (x, y), formula=formula)
    assert geometry.riemann.shape == (2, 2, 2, 2)
    assert isinstance(geometry.scalar, sympy.Basic)
    assert isinstance(geometry.volume_density, sympy.Basic)
    expected = -2 / (1 + x**2 + y**2) ** 2  # K = −1/(1 + x² + y²)² of z = xy
    assert_exactly_zero(geometry.scalar - expected)
    assert_exactly_zero(geometry.volume_density - sympy.sqrt(1 + x**2 + y**2))
    assert_exactly_zero(curvcore.scalar_curvature([x, y, x * y], (x, y)) - expected)
    assert_exactly_zero(curvcore.metric([x, y, x * y], (x, y)) - geometry.metric)
    assert "symbolic" in repr(geometry)


@every_formula
def test_symbolic_operators(formula):
    """Polar coordinates: Δ(r² cos 2φ) = 0, |∇r²|² = 4r², ∇²r² = 2g."""
    r, phi = sympy.symbols("r phi", positive=True)
    plane = [r * sympy.cos(phi), r * sympy.sin(phi)]
    geometry = curvcore.pullback(plane, (r, phi), formula=formula)

    def derivatives(f):
        first = np.array([f.diff(s) for s in (r, phi)], dtype=object)
        second = [[f.diff(s, t) for s in (r, phi)] for t in (r, phi)]
        return first, np.array(second, dtype=object)

    assert_exactly_zero(geometry.laplacian(*derivatives(r**2 * sympy.cos(2 * phi))))
    df, d2f = derivatives(r**2)
    assert_exactly_zero(geometry.gradient_norm_squared(df) - 4 * r**2)
    assert_exactly_zero(geometry.covariant_hessian(df, d2f) - 2 * geometry.metric)
    assert_exactly_zero(geometry.christoffel[0, 1, 1] + r)


@pytest.mark.slow
def test_symbolic_sectional_curvature():
    theta, phi = sympy.symbols("theta phi", positive=True)
    s, c = sympy.sin(theta), sympy.cos(theta)
    sphere = [3 * s * sympy.cos(phi), 3 * s * sympy.sin(phi), 3 * c]
    geometry = curvcore.pullback(sphere, (theta, phi))
    u, v = np.array([1, 2], dtype=object), np.array([0, 1], dtype=object)
    assert_exactly_zero(geometry.sectional(u, v) - sympy.Rational(1, 9))


def test_no_float_enters_exact_results():
    geometry = curvcore.pullback([x, y, x**2 * y], (x, y), formula="intrinsic")
    for quantity in (*QUANTITIES, "volume_density"):
        for entry in np.ravel(np.asarray(getattr(geometry, quantity), dtype=object)):
            assert not sympy.sympify(entry).has(sympy.Float), quantity


@pytest.mark.parametrize(
    ("expressions", "symbols", "message"),
    [
        ([x, x**2], (x, x), "named once"),
        ([x, y], (x, 1), "must be one or more sympy symbols"),
        ([x, y], (), "must be one or more sympy symbols"),
        ([x], (x, y), "at least as many components as coordinates; got 1 of 2"),
    ],
)
def test_bad_expressions(expressions, symbols, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.pullback(expressions, symbols)


def test_one_symbol_instead_of_a_sequence():
    with pytest.raises(curvcore.InputError, match="symbols"):
        curvcore.pullback([x, x**2], x)


def test_a_symbolic_jet_has_no_more_than_it_was_asked_for():
    for order in (1, 2, 3):
        jet = curvcore.jet([x, x * y, y**2], (x, y), order)
        assert [array.shape for array in jet.arrays()] == [
            (3,) + (2,) * k for k in range(order + 1)
        ]
