"""Checks of what the functions on points are called with."""

from numbers import Integral, Real

import torch

from curvcore.api import metric
from curvcore.errors import InputError
from curvcore.maps import checked
from curvcore.validation import (
    as_numbers,
    check_finite,
    check_latent_array,
    check_points,
    checked_box,
    list_points,
)

_PERIODIC = {torch.float64: 1e-8, torch.float32: 1e-3}
_SUM = {torch.float64: 1e-6, torch.float32: 1e-3}


def check_tolerance(tolerance):
    """Raise InputError unless it is a number in (0, 1)."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < tolerance < 1:
        raise InputError(f"tolerance must be between 0 and 1, relative; got {tolerance!r}.")


def check_count(name, value, most=None):
    """Raise InputError unless ``value`` is an integer from 1 on, not above ``most`` points."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name} must be a positive integer; got {value!r}.")
    if most == 0:
        raise InputError(f"{name} of no points: give some.")
    if most is not None and value > most:
        raise InputError(f"{name} must be {most} at most for so many points; got {value}.")


def check_positive(name, value):
    """Raise InputError unless ``value`` is a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < float("inf"):
        raise InputError(f"{name} must be a positive number; got {value!r}.")


def checked_weights(weights, z):
    """Weights (B,) of points z (B, d), equal ones for None; they sum to one.

    Raises:
        InputError: they do not, or are negative, or not (B,).
    """
    if weights is None:
        return z.new_full((len(z),), 1 / max(1, len(z)))
    weights = as_numbers("weights", weights, z)
    if weights.shape != z.shape[:1]:
        raise InputError(f"weights must be (B,) = ({len(z)},); got {tuple(weights.shape)}.")
    wrong = ~(weights >= 0)
    if wrong.any():
        raise InputError(f"weights are negative or NaN at {list_points(wrong)}.")
    total = float(weights.sum())
    if not abs(total - 1) <= _SUM[z.dtype]:
        raise InputError(f"weights must sum to 1; got {total:g}. Write weights / weights.sum().")
    return weights / weights.sum()


def checked_others(decoder, w, z):
    """w if its points are like those of z.

    Raises:
        InputError: they are not.
    """
    check_points(w)
    check_finite(w, "w")
    _, w = checked(decoder, w)
    if (w.shape[1], w.dtype, w.device) != (z.shape[1], z.dtype, z.device):
        raise InputError(
            f"z and w must agree in d, dtype and device; got {tuple(z.shape)}, {z.dtype}, "
            f"{z.device} and {tuple(w.shape)}, {w.dtype}, {w.device}."
        )
    return w


def checked_periods(decoder, z, periods, most):
    """``periods`` (d,) if the metric has them and d ≤ most; None stays.

    Raises:
        InputError: it does not.
    """
    if periods is None:
        return None
    periods = torch.as_tensor(periods, dtype=z.dtype, device=z.device)
    check_latent_array("periods", periods, 1, z.shape[1], None)
    if z.shape[1] > most:
        raise InputError(f"periods are for d ≤ {most}; got d = {z.shape[1]}.")
    if not (periods.isfinite() & (periods >= 0)).all():
        raise InputError(f"periods must be positive, or 0 for none; got {periods.tolist()}.")
    g, moved = (metric(decoder, points) for points in (z, z + periods))
    if not ((g - moved).abs().max() <= _PERIODIC[z.dtype] * g.abs().max()):
        raise InputError(f"The metric at z + periods is not that at z: {periods.tolist()}.")
    return periods


def checked_finite_box(box, z):
    """``box`` (d, 2) like z.

    Raises:
        InputError: it is not, or not a box, or has no end.
    """
    box = checked_box(box, z)
    if not box.isfinite().all():
        raise InputError("box must be finite.")
    return box


def checked_limits(box, z, most):
    """``box`` (d, 2) if it holds all points z and d ≤ most; None stays.

    Raises:
        InputError: it does not.
    """
    if box is None:
        return None
    box = checked_finite_box(box, z)
    if z.shape[1] > most:
        raise InputError(f"A box is for d ≤ {most} here; got d = {z.shape[1]}.")
    outside = ~((z >= box[:, 0]) & (z <= box[:, 1])).all(1)
    if outside.any():
        raise InputError(f"The box does not hold {list_points(outside)}.")
    return box


def check_scipy():
    """Raise ModuleNotFoundError without scipy."""
    try:
        import scipy.sparse.csgraph  # noqa: F401
    except ImportError as error:
        how = "Distances need scipy: pip install 'curvcore[geodesics]'"
        raise ModuleNotFoundError(how, name="scipy") from error
