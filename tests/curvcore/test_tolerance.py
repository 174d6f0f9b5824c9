"""The tolerance policy of these tests can itself fail."""

import pytest
import torch

from tests.support.tolerance import assert_close, assert_contains, assert_exactly_zero, eps

ONE = torch.ones(3, dtype=torch.float64)


def test_rounding_passes_and_more_does_not():
    assert_close(ONE * (1 + 50 * eps(ONE.dtype)), ONE)
    with pytest.raises(AssertionError, match=r"off by 200 eps·scale; 100 are allowed"):
        assert_close(ONE * (1 + 200 * eps(ONE.dtype)), ONE)


def test_tolerance_grows_with_scale_and_factor_and_eps():
    assert_close(ONE + 1e-12, ONE, scale=100.0)
    assert_close(ONE + 1e-12, ONE, factor=1e4)
    assert_close(ONE.float() + 1e-6, ONE.float())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["actual", "expected", "both", "scale"])
def test_nan_and_infinity_never_pass(bad, where):
    arguments = {"actual": ONE.clone(), "expected": ONE.clone(), "scale": ONE.clone()}
    for name in ("actual", "expected") if where == "both" else (where,):
        arguments[name][1] = bad
    with pytest.raises(AssertionError):
        assert_close(**arguments)


@pytest.mark.parametrize("other", [torch.ones(1, 3).double(), torch.ones(()).double(), ONE.float()])
def test_shape_and_dtype_must_agree(other):
    with pytest.raises(AssertionError, match=r"shape|dtype"):
        assert_close(ONE, other)


def test_zero_needs_a_scale():
    with pytest.raises(AssertionError, match="scale"):
        assert_close(ONE * 0, 0)
    assert_close(ONE * 1e-15, 0, scale=1.0)


def test_empty_tensors_agree():
    assert_close(ONE[:0], ONE[:0])


def test_symbols_must_vanish_exactly():
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    assert_exactly_zero([sympy.sin(x) ** 2 + sympy.cos(x) ** 2 - 1])
    with pytest.raises(AssertionError, match="not zero"):
        assert_exactly_zero([x - x * (1 + sympy.Rational(1, 10**30))])


def test_balls_must_contain_the_number_and_be_narrow():
    flint = pytest.importorskip("flint")
    from fractions import Fraction

    third = flint.arb(1) / 3
    assert_contains([third], [Fraction(1, 3)])
    with pytest.raises(AssertionError, match="does not contain"):
        assert_contains([third], [Fraction(1, 3) + Fraction(1, 10**12)])
    with pytest.raises(AssertionError, match="says nothing"):
        assert_contains([flint.arb(0, 1)], [Fraction(1, 3)])
