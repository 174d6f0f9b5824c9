"""Elementary functions of Taylor models, by Taylor's theorem about the middles c_0.

With f = m + u, m the middle, |u| ≤ ρ, and F_k(x) = F⁽ᵏ⁾(x)/k!,

    F(f) = Σ_{k ≤ n} F_k(m) uᵏ + F_{n+1}(ξ) u^{n+1},   ξ in [m − ρ, m + ρ].

The F_k come as intervals, by recurrences that follow from differential equations, from F of
intervals (:mod:`verification.regions.intervals`). References: Moore, *Interval Analysis*, 1966;
Tucker, *Validated Numerics*, 2011, ch. 5.
"""

import math

import torch

from curvcore.errors import UnsupportedOperationError
from verification.regions import intervals
from verification.regions.models import TaylorModels, norm, up


def compose(name, models):
    """F(f), by the name of F; not finite where f may leave its domain."""
    if name not in SERIES:
        raise UnsupportedOperationError(
            f"There are no Taylor models of {name}; known are {', '.join(SERIES)}."
        )
    series, basis, order = SERIES[name], models.basis, models.basis.degree
    if len(models.coefficients) == 1:
        value = series(models, 0)[0]
        # Of what nothing is known, nothing is: not that it is in [−1, 1], say.
        radius = torch.where(models.is_finite(), value.radius, torch.inf)
        return TaylorModels(basis, value.coefficients, radius)
    middle = TaylorModels.constant(basis, models.middle)
    u = models - middle
    local = series(middle, order)
    rest = series(models.hull(), order + 1)[-1]
    result = local[order]
    for k in range(order - 1, -1, -1):
        result = result * u + local[k]
    size, remainder = u.spread(), norm(rest.coefficients) + rest.radius
    for _ in range(order + 1):
        remainder = up(remainder * size, 1)
    return TaylorModels(basis, result.coefficients, up(result.radius + remainder, 2))


# --- F_0, ..., F_n at intervals x ---------------------------------------------------------------


def _exp(x, order):
    value = intervals.exp(x)
    return [value / math.factorial(k) for k in range(order + 1)]


def _log(x, order):
    powers = _powers(x.reciprocal(), order) if order else []
    return [intervals.log(x)] + [powers[k] / (k if k % 2 else -k) for k in range(1, order + 1)]


def _reciprocal(x, order):
    powers = _powers(intervals.reciprocal(x), order + 1)
    return [powers[k + 1] * (-1) ** k for k in range(order + 1)]


def _sqrt(x, order):
    """By the binomial series."""
    root, factor = intervals.sqrt(x), TaylorModels.constant(x.basis, 1.0)
    found, powers = [], _powers(x.reciprocal(), order) if order else [1]
    for k in range(order + 1):
        found.append(root * powers[k] * factor)
        factor = factor * (1 - 2 * k) / (2 * (k + 1))
    return found


def _tanh(x, order):
    """By t' = 1 − t²."""
    found = [intervals.tanh(x)]
    for k in range(order):
        square = _square(found, k)
        found.append((1 - square if k == 0 else -square) / (k + 1))
    return found


def _sigmoid(x, order):
    """By s' = s − s²."""
    found = [intervals.sigmoid(x)]
    for k in range(order):
        found.append((found[k] - _square(found, k)) / (k + 1))
    return found


def _erf(x, order):
    """By erf' = 2w/√π, w = e^{−x²}, w' = −2xw."""
    bell = [intervals.exp(-(x * x))]
    for k in range(order):
        before = bell[k - 1] if k else 0
        bell.append((x * bell[k] + before) * -2 / (k + 1))
    factor = 2 / intervals.pi(x.basis).sqrt()
    return [intervals.erf(x)] + [factor * bell[k] / (k + 1) for k in range(order)]


def _erfc(x, order):
    value, *slopes = _erf(x, order)
    return [1 - value, *(-slope for slope in slopes)]


def _sinh(x, order):
    return _hyperbolic(x, order, 0)


def _cosh(x, order):
    return _hyperbolic(x, order, 1)


def _hyperbolic(x, order, shift):
    growing, falling = intervals.exp(x), intervals.exp(-x)
    values = (growing - falling) / 2, (growing + falling) / 2
    return [values[(k + shift) % 2] / math.factorial(k) for k in range(order + 1)]


def _sin(x, order):
    return _circular(x, order, 0)


def _cos(x, order):
    return _circular(x, order, 1)


def _circular(x, order, shift):
    sine, cosine = intervals.sine_and_cosine(x)
    values = sine, cosine, -sine, -cosine
    return [values[(k + shift) % 4] / math.factorial(k) for k in range(order + 1)]


SERIES = {
    "exp": _exp,
    "log": _log,
    "reciprocal": _reciprocal,
    "sqrt": _sqrt,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": _erf,
    "erfc": _erfc,
    "sinh": _sinh,
    "cosh": _cosh,
    "sin": _sin,
    "cos": _cos,
}


def _powers(x, order):
    found = [TaylorModels.constant(x.basis, torch.ones_like(x.radius))]
    for _ in range(order):
        found.append(found[-1] * x)
    return found


def _square(series, k):
    """The k-th coefficient of the square of a series; terms ij and ji are one."""
    total = 0
    for j in range((k + 1) // 2):
        total = total + series[j] * series[k - j] * 2
    return total + series[k // 2] * series[k // 2] if k % 2 == 0 else total
