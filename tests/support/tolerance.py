"""The one tolerance policy: error ≤ factor · eps(dtype) · scale, and NaN never passes.

``scale`` is the size of the terms that are added up, times the condition number where a matrix is
inverted; never the size of the error that was seen. ``factor`` counts roundings.
"""

import numpy as np
import torch

FACTOR = 100.0  # a formula of some dozens of roundings


def eps(dtype):
    """Distance of 1 to the next larger number."""
    return torch.finfo(dtype).eps


def assert_close(actual, expected, *, scale=None, factor=FACTOR):
    """Assert |actual − expected| ≤ factor · eps · scale, equal shapes and dtypes, all finite.

    Args:
        actual: torch tensor.
        expected: torch tensor, or a number that stands for a tensor of the shape of ``actual``.
        scale: positive number or tensor that broadcasts; by default the largest |expected|.
        factor: how many units of rounding are allowed.
    """
    __tracebackhide__ = True
    if not isinstance(expected, torch.Tensor):
        expected = torch.full_like(actual, float(expected))
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, expected {expected.dtype}"
    precision = eps(actual.dtype)
    actual, expected = actual.detach().double(), expected.detach().double()
    if actual.numel() == 0:
        return
    assert torch.isfinite(actual).all(), f"NaN or Inf in {actual}"
    assert torch.isfinite(expected).all(), f"NaN or Inf expected: {expected}"
    scale = expected.abs().max() if scale is None else torch.as_tensor(scale).detach().double()
    assert torch.isfinite(scale).all(), f"the scale is not finite: {scale}"
    assert (scale > 0).all(), "expected is zero: say what is added up, scale=..."
    units = ((actual - expected).abs() / (scale * precision)).max().item()
    assert units <= factor, f"off by {units:.3g} eps·scale; {factor:.3g} are allowed"


def assert_identical(actual, expected):
    """Assert bitwise equality; NaN equals NaN."""
    __tracebackhide__ = True
    assert actual.dtype == expected.dtype
    assert torch.equal(actual.isnan(), expected.isnan())
    assert torch.equal(actual.nan_to_num(), expected.nan_to_num())


def assert_exactly_zero(array):
    """Assert that every sympy expression or Fraction of an object array is zero, exactly."""
    import sympy

    entries = np.atleast_1d(np.asarray(array, dtype=object)).ravel()
    nonzero = [e for e in entries if sympy.simplify(e) != 0]
    assert not nonzero, f"not zero: {nonzero}"


def assert_contains(balls, exact):
    """Assert that every flint ball contains the exact rational number, and is narrow."""
    import flint

    for ball, number in zip(np.ravel(balls), np.ravel(exact), strict=True):
        with flint.ctx.workprec(1000):  # the rational is itself a ball to flint: make it a point
            rational = flint.arb(number.numerator) / number.denominator
        assert ball.contains(rational), f"{ball} does not contain {number}"
        assert ball.rad() < 2**-20, f"{ball} says nothing"
