"""What a geometry puts in the place of degenerate points.

A metric is degenerate where its condition number leaves no digit of curvature, or a derivative is
not finite. There, derivatives become NaN, or those of a plane in its own coordinates: g = I, no
curvature, nothing that is not finite. Either way no gradient comes from there; a decoder that is
singular itself makes NaN of it none the less, 0 · ∞.
"""

import torch

from curvcore.constants import identity
from curvcore.errors import DegenerateMetricError
from curvcore.jets import Derivatives

_IN_COMPILED = (
    "The metric is degenerate, or a derivative is not finite, at some points. Run the same without "
    "torch.compile to see which, or write on_degenerate='nan'."
)


def assert_regular(mask):
    """Refuse degenerate points in compiled code, which cannot branch on them."""
    torch._assert_async(~mask.any(), _IN_COMPILED)


def check_not_degenerate_everywhere(density):
    """Raise a DegenerateMetricError where det g of expressions is zero."""
    if hasattr(density, "equals") and density.equals(0):  # sympy; exact fields divide by zero
        raise DegenerateMetricError(
            "det g vanishes identically: these expressions are not an immersion. Check that "
            "no coordinate is superfluous."
        )


def smallest_reciprocal_condition(dtype, ambient_dimension=1):
    """1/κ below which a metric counts as degenerate: fewer than two digits would be left.

    100 eps, or √D eps, the rounding error of inner products in R^D, where that is more; and never
    more than 1/8, so that half precision keeps some regular points.
    """
    return min(max(100, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1 / 8)


def filled(mask, array, fill):
    """``array`` (B, ...), and ``fill`` at the points of ``mask`` (B,), without gradient."""
    return torch.where(mask.reshape(-1, *(1,) * (array.ndim - 1)), fill, array)


def plane_curvature(numerator, area_squared, lengths):
    """K = R(u, v, u, v)/area², and NaN where u and v are parallel to working precision: (...).

    Args:
        numerator, area_squared: R(u, v, u, v) and |u|²|v|² − ⟨u, v⟩².
        lengths: |u|²|v|², of which rounding leaves eps² where there is no plane.
    """
    parallel = ~(area_squared > torch.finfo(lengths.dtype).eps ** 2 * 100 * lengths)
    # Not divided by zero even where the quotient is thrown away: its gradient would be NaN.
    return torch.where(parallel, torch.nan, numerator / torch.where(parallel, 1, area_squared))


def flat_metric(mask, metric):
    """``metric`` (B, d, d), and the identity at the points of ``mask``."""
    return filled(mask, metric, identity(metric.shape[-1], metric.dtype, metric.device))


def flat_derivatives(mask, derivatives):
    """``derivatives``, and those of z ↦ (z, 0) at the points of ``mask``."""
    jacobian, *higher = derivatives.levels()
    plane = jacobian.new_zeros(jacobian.shape[1:])
    plane.diagonal().fill_(1)
    return Derivatives(filled(mask, jacobian, plane), *(filled(mask, x, 0) for x in higher))
