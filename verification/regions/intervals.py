"""Elementary functions of intervals, constant Taylor models.

Of floats and what computes with them nothing is taken for granted but that +, −, ·, /, √ round to
nearest, as IEEE 754 has it: series are summed here, with a bound of their error. What torch's own
functions give is used where it can be checked afterwards.
"""

import torch

from verification.regions.models import TaylorModels, U, up

_LN2 = 0.6931471805599453  # within U/2 of ln 2
_HALF_PI = 1.5707963267948966  # within U of π/2
_TERMS = 14  # of e^r for |r| ≤ 0.35: the next is below 5e-18
_LARGEST = 700.0  # e^x of more is taken for infinite
_TINY = 1e-300
_TERMS_OF_SINE = 11  # for |r| ≤ 0.8: the next is below 1e-21
_LARGEST_ANGLE = 1e6
_LARGEST_ERF = 6.0  # from where on 1 − erf < 3e-17
_TERMS_OF_ERF = 130


def exp(x):
    """e^x."""
    return _increasing(x, _exp_of_floats)


def log(x):
    """log x; not finite unless x > 0."""
    return _increasing(x, _log_of_floats)


def sqrt(x):
    """√x; not finite unless x ≥ 0."""
    return _increasing(x, lambda end: (end.sqrt(), U * end.sqrt()))


def tanh(x):
    """tanh x."""
    return _increasing(x, _tanh_of_floats)


def sigmoid(x):
    """1/(1 + e^{−x})."""
    return _increasing(x, _sigmoid_of_floats)


def erf(x):
    """The error function."""
    return _increasing(x, _erf_of_floats)


def reciprocal(x):
    """1/x; not finite unless 0 is excluded."""
    low, high = _ends(x)
    regular = (low > 0) | (high < 0)
    below, above = (
        1 / torch.where(regular, high, torch.nan),
        1 / torch.where(regular, low, torch.nan),
    )
    return _between(x, below - 2 * U * below.abs(), above + 2 * U * above.abs())


def sine_and_cosine(x):
    """sin x and cos x, whose slopes are 1 at most."""
    sine, cosine, error = _circular_of_floats(x.middle)
    radius = up(x.radius.clamp(max=2) + error, 2)
    return tuple(TaylorModels(x.basis, value[None], radius) for value in (sine, cosine))


def pi(basis):
    """π."""
    one = torch.ones((), dtype=torch.float64)
    return TaylorModels(basis, 2 * _HALF_PI * one[None], 4 * U * one)


# --- intervals from their ends --------------------------------------------------------------------


def _increasing(x, enclose):
    """F(x) of an increasing function: floats -> values and bounds of their errors."""
    (low, error), (high, other) = map(enclose, _ends(x))
    return _between(x, low - error, high + other)


def _ends(x):
    """Floats that are not above, and not below, the interval."""
    outer = up(x.radius, 1) + 2 * U * x.middle.abs()
    return x.middle - outer, x.middle + outer


def _between(like, low, high):
    """The interval of these ends, which rounding may have moved once."""
    size = low.abs() + high.abs()
    return TaylorModels(
        like.basis, ((low + high) / 2)[None], up((high - low).clamp(min=0) / 2 + 4 * U * size, 4)
    )


# --- floats: values and bounds of their errors ----------------------------------------------------


def _exp_of_floats(x):
    """By e^x = 2^k e^r, r = x − k ln 2.

    r errs by at most 2U|k| + U, by which e^r errs in proportion; Horner's scheme by less than 14 U.
    """
    k = (x / _LN2).round()
    r, total = x - k * _LN2, torch.ones_like(x)
    for n in range(_TERMS - 1, 0, -1):
        total = 1 + total * r / n
    regular = x.abs() <= _LARGEST
    # 2^k, from its bits.
    power = ((torch.where(regular, k, 0).long() + 1023) << 52).view(torch.float64)
    value = total * power
    error = value * (U * (8 * k.abs() + 40))
    outside = torch.where(x < 0, 0.0, torch.where(x > 0, torch.inf, torch.nan))
    return torch.where(regular, value, outside), torch.where(
        regular, error, torch.where(x < 0, _TINY, torch.inf)
    )


def _log_of_floats(x):
    """torch's y, by how much x e^{−y} is not 1: |log(1 + δ)| ≤ 1.1 |δ| for |δ| < 0.05."""
    y = x.log()
    inverse, error = _exp_of_floats(-y)
    product = x * inverse
    off = (product - 1).abs() + x * error + 4 * U
    return y, torch.where(off < 0.05, 1.1 * off, torch.nan)


def _tanh_of_floats(x):
    power, error = _exp_of_floats(-2 * x.abs())
    return (1 - power) / (1 + power) * x.sign(), 2 * error + 4 * U


def _sigmoid_of_floats(x):
    power, error = _exp_of_floats(-x.abs())
    return torch.where(x < 0, power, 1.0) / (1 + power), error + 4 * U


def _erf_of_floats(x):
    """2/√π e^{−x²} Σ_k 2^k x^{2k+1}/(2k + 1)!!, all of one sign."""
    near = x.clamp(-_LARGEST_ERF, _LARGEST_ERF)
    term = total = near
    for k in range(1, _TERMS_OF_ERF):
        term = term * (2 * near * near) / (2 * k + 1)
        total = total + term
    bell, error = _exp_of_floats(-near * near)
    factor = 2 / torch.tensor(2 * _HALF_PI, dtype=torch.float64).sqrt()
    value = factor * bell * total
    # Terms err by 4kU, their sum by as many U, x² by 36 U; what is left out is below the last term.
    relative = U * (5 * _TERMS_OF_ERF + 100)
    error = value.abs() * relative + factor * (error * total.abs() + term.abs() * bell)
    far = x.abs() >= _LARGEST_ERF
    return torch.where(far, x.sign(), value), torch.where(far, U, 2 * error)


def _circular_of_floats(x):
    """sin, cos and a bound of their errors, by x = kπ/2 + r.

    r errs by at most 3U|k| + U; the series by less than 8 U.
    """
    k = (x / _HALF_PI).round()
    r = x - k * _HALF_PI
    square, sine, cosine = -r * r, torch.ones_like(x), torch.ones_like(x)
    for n in range(_TERMS_OF_SINE, 0, -1):
        sine = 1 + sine * square / ((2 * n) * (2 * n + 1))
        cosine = 1 + cosine * square / ((2 * n - 1) * (2 * n))
    sine = sine * r
    quarter = torch.where(x.abs() <= _LARGEST_ANGLE, k, 0).long() % 4
    table = torch.stack([sine, cosine, -sine, -cosine])
    values = (table.gather(0, ((quarter + shift) % 4)[None])[0] for shift in (0, 1))
    small = x.abs() <= _LARGEST_ANGLE
    error = torch.where(small, U * (4 * k.abs() + 16), 1.0)
    return *(torch.where(small, value, 0 * x) for value in values), error
