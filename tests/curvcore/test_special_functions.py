"""Special functions, entry by entry, against arithmetic of fifty digits."""

import math

import pytest
import torch

import curvcore
from curvcore.providers.fused.jet_tensor import JetTensor
from tests.support.tolerance import eps

mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp
S = torch.special


def scaled(n):
    return lambda x: mp.exp(-abs(x)) * mp.besseli(n, x)


def cumulative(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def quantile(p):
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)


LINE = (-2.5, -1.0, -0.3, 0.0, 1e-3, 0.7, 1.2, 3.0, 8.0)
POSITIVE = (1e-2, 0.3, 1.0, 1.7, 4.0, 30.0)
UNIT = (-0.99, -0.5, 0.0, 1e-4, 0.3, 0.9)
# The function of torch, that of mpmath, and where.
FUNCTIONS = {
    "lgamma": (torch.lgamma, lambda x: mp.log(abs(mp.gamma(x))), (-2.5, -0.3, *POSITIVE)),
    "digamma": (torch.digamma, mp.digamma, (-2.5, -0.3, *POSITIVE)),
    "polygamma": (lambda x: torch.polygamma(2, x), lambda x: mp.polygamma(2, x), POSITIVE),
    "polygamma of x": (lambda x: x.polygamma(1), lambda x: mp.polygamma(1, x), POSITIVE),
    "mvlgamma": (
        lambda x: torch.mvlgamma(x, 2),
        lambda x: mp.log(mp.pi) / 2 + mp.loggamma(x) + mp.loggamma(x - 0.5),
        (0.7, 1.0, 1.7, 4.0),
    ),
    "erfc": (torch.erfc, mp.erfc, LINE),
    "ndtr": (S.ndtr, cumulative, LINE),
    "erfinv": (torch.erfinv, mp.erfinv, UNIT),
    "ndtri": (S.ndtri, quantile, (1e-6, 0.2, 0.5, 0.8, 1 - 1e-6)),
    "log_ndtr": (
        S.log_ndtr,
        lambda x: mp.log(cumulative(x)),
        (*LINE, -1e3, -30.0, -7.0, -5.2, -4.8),
    ),
    "erfcx": (S.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), (*LINE, 20.0, 1e3, 3.4, 3.7)),
    "i0": (torch.i0, lambda x: mp.besseli(0, x), (*LINE, 0.99, 40.0)),
    "i1": (S.i1, lambda x: mp.besseli(1, x), (*LINE, 0.99, 40.0)),
    "i0e": (S.i0e, scaled(0), (-7.0, -1.0, 1e-2, 0.9, 1.1, 5.0, 19.0, 21.0, 1e3)),
    "i1e": (S.i1e, scaled(1), (-7.0, -1.0, 1e-2, 0.9, 1.1, 5.0, 19.0, 21.0, 1e3)),
    "sinc": (torch.sinc, lambda x: mp.sincpi(x), (*LINE, 0.31, 0.33, 25.5)),
    "entr": (S.entr, lambda x: -x * mp.log(x), POSITIVE),
    "asin": (torch.asin, mp.asin, UNIT),
    "acos": (torch.acos, mp.acos, UNIT),
    "atanh": (torch.atanh, mp.atanh, UNIT),
    "acosh": (torch.acosh, mp.acosh, (1.01, 1.5, 4.0)),
    "exp2": (torch.exp2, lambda x: mp.mpf(2) ** x, LINE),
    "log2": (torch.log2, lambda x: mp.log(x, 2), POSITIVE),
    "log10": (torch.log10, mp.log10, POSITIVE),
    "logit": (torch.logit, lambda x: mp.log(x / (1 - x)), (1e-3, 0.3, 0.9)),
    "expit": (S.expit, lambda x: 1 / (1 + mp.exp(-x)), LINE),
}
# Units of rounding: of differences of e^{−x} I_n up to x = 20, of h(t) − t up to t = 5, and of πx.
LOSES = {"erfcx": 1e4, "i0e": 1e5, "i1e": 1e5, "sinc": 1e4}


def exact(function, x):
    """f', f'' and f''' at the number x, rounded once."""
    with mpmath.workdps(60):
        return [float(mpmath.diff(function, mp.mpf(x), order)) for order in (1, 2, 3)]


@pytest.mark.grid
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_fifty_digits(name):
    function, reference, numbers = FUNCTIONS[name]
    x = torch.tensor(numbers, dtype=torch.float64)[:, None]
    jet = function(JetTensor.coordinates(x, 3))
    expected = torch.tensor([exact(reference, n) for n in numbers], dtype=torch.float64).mT
    found = jet.all_channels().expand(3, len(numbers), 1)[..., 0]
    error = (found - expected).abs()
    # A derivative that vanishes does so beside those of lower order.
    scale = expected.abs() + 1e-3 * expected.abs().amax(0)
    assert (error <= LOSES.get(name, 1000) * eps(x.dtype) * scale).all(), (error / scale).amax(1)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("log_ndtr", (-6.0, -50.0, -1e3, -1e5)),
        ("erfcx", (4.0, 50.0, 1e3, 1e5)),
        ("i0e", (25.0, 1e4)),
    ],
)
def test_far_out_every_derivative_keeps_its_digits(name, numbers):
    """Where it is a small difference of numbers that are not."""
    function, reference, _ = FUNCTIONS[name]
    x = torch.tensor(numbers, dtype=torch.float64)[:, None]
    found = function(JetTensor.coordinates(x, 3)).all_channels()[..., 0]
    expected = torch.tensor([exact(reference, n) for n in numbers], dtype=torch.float64).mT
    assert ((found - expected).abs() <= 1000 * eps(x.dtype) * expected.abs()).all()


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("function", [torch.i0, S.i1, torch.sinc, torch.erfinv])
def test_their_gradients_are_right_at_zero(function, derivatives):
    """There quotients by x are 0/0; the curvature of z ↦ (x, y, f(x) y) is −f'²/(1 + ...)²."""

    def decoder(z):
        x, y = z.unbind(1)
        return torch.stack([x, y, function(x) * (1 + y) + x * y], 1)

    def gradient(z):
        scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
        return torch.autograd.grad(scalar.sum(), z)[0]

    at_zero = gradient(torch.zeros(1, 2, dtype=torch.float64, requires_grad=True))
    step = 1e-4
    around = [
        gradient(torch.tensor([[sign * step, 0]], dtype=torch.float64, requires_grad=True))
        for sign in (1, -1)
    ]
    assert (at_zero - sum(around) / 2).abs().max() <= 100 * step**2 * (1 + at_zero.abs().max())


def test_half_of_the_plane_and_the_number_of_logarithms():
    """Functions of two jets: hypot, atan2, logaddexp, xlogy, against their definitions."""
    weight = torch.randn(2, 2, generator=torch.Generator().manual_seed(0)).double()

    def pairs(z):
        a, b = (z @ weight).unbind(1)
        return a, b.exp() + 0.5

    written = {
        torch.hypot: lambda a, b: (a * a + b * b).sqrt(),
        torch.logaddexp: lambda a, b: (a.exp() + b.exp()).log(),
        torch.logaddexp2: lambda a, b: (a.exp2() + b.exp2()).log2(),
        torch.xlogy: lambda a, b: a * b.log(),
        S.xlog1py: lambda a, b: a * b.log1p(),
        torch.atan2: lambda a, b: (a / b).atan(),  # for b > 0
    }
    z = torch.randn(4, 2, dtype=torch.float64)
    for function, definition in written.items():
        one, other = (
            curvcore.jet(
                lambda z, f=f: torch.cat([z, f(*pairs(z))[:, None]], 1), z, 3, derivatives="fused"
            )
            for f in (function, definition)
        )
        for a, b in zip(one.arrays(), other.arrays(), strict=True):
            assert ((a - b).abs() <= 1e3 * eps(z.dtype) * (1 + b.abs())).all()


def test_zero_times_the_logarithm_of_zero_is_zero():
    count = torch.tensor([0.0, 2.0], dtype=torch.float64)

    def decoder(z):
        return torch.cat([z, torch.xlogy(count, z.square())], 1)

    z = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    jet = curvcore.jet(decoder, z, 2, derivatives="fused")
    assert jet.hessian.isfinite().all()
    assert math.isclose(float(jet.hessian[0, 3, 1, 1]), -4)
