"""Rules for special functions, entry by entry: their first three derivatives."""

import math

import torch

from curvcore.providers.fused.elementwise import roots_of
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import composite, elementwise, is_jet, named

_NEAR = 1.0  # below it series, where quotients by x lose digits
_TERMS = 12  # of them: 1/(12!)² is below eps

# --- Γ ------------------------------------------------------------------------------------------


def _psi(n, x):
    """ψ^(n), n ≥ 1, by Hurwitz' zeta: torch's trigamma has nine digits."""
    return (-1) ** (n + 1) * float(math.factorial(n)) * torch.special.zeta(n + 1, x)


@elementwise(*named("lgamma", "gammaln"))
def _lgamma(x, y):
    yield torch.digamma(x)
    yield _psi(1, x)
    yield _psi(2, x)


@elementwise(*named("digamma", "psi"))
def _digamma(x, y):
    for order in (1, 2, 3):
        yield _psi(order, x)


@elementwise(torch.Tensor.polygamma)
def _polygamma(x, y, n):
    for order in (1, 2, 3):
        yield _psi(n + order, x)


@composite(torch.polygamma, torch.special.polygamma)
def _polygamma_of(n, x):
    return RULES[torch.Tensor.polygamma](x, n)


@composite(*named("mvlgamma", "multigammaln"))
def _multivariate_lgamma(x, p):
    constant = p * (p - 1) / 4 * math.log(math.pi)
    return sum(torch.lgamma(x - j / 2) for j in range(p)) + constant


# --- the normal distribution ----------------------------------------------------------------------


@elementwise(*named("erfc"))
def _erfc(x, y):
    first = -2 / roots_of(x)[1] * torch.exp(-x * x)
    yield first
    yield -2 * x * first
    yield (4 * x * x - 2) * first


@elementwise(*named("ndtr"))
def _ndtr(x, y):
    first = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    yield first
    yield -x * first
    yield (x * x - 1) * first


@elementwise(*named("erfinv"))
def _erfinv(x, y):
    first = roots_of(x)[1] / 2 * torch.exp(y * y)
    yield first
    yield 2 * y * first**2
    yield (2 + 8 * y * y) * first**3


@elementwise(*named("ndtri"))
def _ndtri(x, y):
    first = math.sqrt(2 * math.pi) * torch.exp(y * y / 2)
    yield first
    yield y * first**2
    yield (1 + 2 * y * y) * first**3


def _hazard(t):
    """h = φ/(1 − Φ) and δ = h − t, ε = 1 − hδ, ε − δ² at t: h' = hδ, δ' = −ε.

    Beyond t = 5 from δ = 1/(t + 2κ), κ = 1/(t + 3λ), λ = 1/(t + 4/(t + ...)): by differences they
    would keep no digits where t is large.
    """
    h = math.sqrt(2 / math.pi) / torch.special.erfcx(t / math.sqrt(2))
    delta = h - t
    epsilon = 1 - h * delta
    far, t = t > 5, torch.where(t > 5, t, 5)
    rest = t
    for n in range(40, 3, -1):
        rest = t + n / rest
    third = 1 / rest
    second = 1 / (t + 3 * third)
    first = 1 / (t + 2 * second)
    gap = 2 * first * (2 * second - 3 * third) * first * second
    return (
        torch.where(far, t + first, h),
        torch.where(far, first, delta),
        torch.where(far, (2 * second - first) * first, epsilon),
        torch.where(far, gap, epsilon - delta * delta),
    )


@elementwise(*named("log_ndtr"))
def _log_ndtr(x, y):
    h, delta, _, gap = _hazard(-x)
    yield h
    yield -h * delta
    yield -h * gap


@elementwise(*named("erfcx"))
def _erfcx(x, y):
    """√(2/π)/h(t), t = √2 x: (1/h)' = −δ/h, δ' = −ε, ε' = h(ε − δ²)."""
    root = math.sqrt(2)
    h, delta, epsilon, gap = _hazard(root * x)
    overflows = torch.isinf(y)
    yield torch.where(overflows, -y, -root * delta * y)
    yield 2 * (epsilon + delta**2) * y
    yield -(root**3) * (delta * (epsilon + delta**2) + 2 * delta * epsilon - h * gap) * y


# --- Bessel functions: I_n' = (I_(n−1) + I_(n+1))/2 -----------------------------------------------


def _bessel(x, scaled=False):
    """I_0, ..., I_4, e^{−|x|} I_n if ``scaled``: by series near zero, by recurrence elsewhere."""
    near = x.abs() < _NEAR
    small, far = torch.where(near, x, 0), torch.where(near, 1, x)
    found = (
        [torch.special.i0e(x), torch.special.i1e(x)]
        if scaled
        else [torch.i0(x), torch.special.i1(x)]
    )
    for n in (2, 3, 4):
        series = sum(
            (small / 2) ** (2 * k + n) / float(math.factorial(k) * math.factorial(k + n))
            for k in range(_TERMS)
        )
        series = series * torch.exp(-small.abs()) if scaled else series
        found.append(torch.where(near, series, found[n - 2] - 2 * (n - 1) * found[n - 1] / far))
    return found


@elementwise(*named("i0"))
def _i0(x, y):
    i0, i1, i2, i3, _ = _bessel(x)
    yield i1
    yield (i0 + i2) / 2
    yield (3 * i1 + i3) / 4


@elementwise(*named("i1"))
def _i1(x, y):
    i0, i1, i2, i3, i4 = _bessel(x)
    yield (i0 + i2) / 2
    yield (3 * i1 + i3) / 4
    yield (3 * i0 + 4 * i2 + i4) / 8


_FAR = 20.0  # beyond it Hankel's expansion, where differences of e^{−x} I_n lose digits


def _hankel(n, x, order):
    """The derivative of this order of e^{−x} I_n(x) at large x, DLMF 10.40.1."""
    coefficient, total = 1 / math.sqrt(2 * math.pi), 0
    for k in range(30):
        falling = math.prod(-(k + 0.5 + m) for m in range(order))
        total = total + coefficient * falling * x ** -(k + 0.5 + order)
        coefficient *= -(4 * n * n - (2 * k + 1) ** 2) / (8 * (k + 1))
    return total


def _scaled_bessel(n, x, *combinations):
    """Derivatives of e^{−|x|} I_n(x), combinations of e^{−|x|} I_k(x) for x > 0; in float64."""
    size = x.double().abs()
    scaled = _bessel(torch.where(size < _FAR, size, 1), scaled=True)
    far = torch.where(size < _FAR, _FAR, size)
    for order, weights in enumerate(combinations, start=1):
        near = sum(w * i for w, i in zip(weights, scaled, strict=False))
        derivative = torch.where(size < _FAR, near, _hankel(n, far, order)).to(x.dtype)
        yield derivative * x.sign() if (n + order) % 2 else derivative


@elementwise(*named("i0e"))
def _i0e(x, y):
    return _scaled_bessel(0, x, (-1, 1), (3 / 2, -2, 1 / 2), (-5 / 2, 15 / 4, -3 / 2, 1 / 4))


@elementwise(*named("i1e"))
def _i1e(x, y):
    third = (15 / 8, -13 / 4, 2, -3 / 4, 1 / 8)
    return _scaled_bessel(1, x, (1 / 2, -1, 1 / 2), (-1, 7 / 4, -1, 1 / 4), third)


# --- quotients ------------------------------------------------------------------------------------


@elementwise(*named("sinc"))
def _sinc(x, y):
    a = math.pi * x
    near = a.abs() < _NEAR
    small, far = torch.where(near, a, 0), torch.where(near, 1, a)
    first = (torch.cos(far) - y) / far
    second = -y - 2 * first / far
    third = -first - (2 * second - 2 * first / far) / far
    for order, formula in enumerate((first, second, third), start=1):
        # Σ (−1)^k a^(2k − order) (2k)!/(2k − order)!/(2k + 1)!
        series = sum(
            (-1) ** k
            * math.perm(2 * k, order)
            / math.factorial(2 * k + 1)
            * small ** (2 * k - order)
            for k in range((order + 1) // 2, _TERMS)
        )
        yield math.pi**order * torch.where(near, series, formula)


@elementwise(*named("entr"))
def _entr(x, y):
    yield -torch.log(x) - 1
    yield -1 / x
    yield 1 / (x * x)


@composite(*named("xlogy"))
def _xlogy(a, b):
    return _product_or_zero(torch.log, a, b)


@composite(*named("xlog1py"))
def _xlog1py(a, b):
    return _product_or_zero(torch.log1p, a, b)


def _product_or_zero(function, a, b):
    """a f(b), which is 0 for a constant a = 0."""
    if not is_jet(b):
        b = torch.as_tensor(b, dtype=a.dtype, device=a.device)
    if isinstance(a, torch.Tensor):
        b = torch.where(a == 0, 1, b)
    return a * function(b)
