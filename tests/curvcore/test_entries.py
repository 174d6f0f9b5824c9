"""Entries put into others, and complex numbers: against differences, on both providers."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.fused import MissingRuleError
from tests.support.both_providers import assert_gradients_of_both
from tests.support.custom_functions import saving
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close

with torch.random.fork_rng(devices=()):
    torch.manual_seed(0)
    LIFT = nn.Linear(2, 6).double()
PLACES = torch.tensor([2, 0, 2])
ROW = torch.tensor([[1, 0, 1]])
MASK = torch.tensor([True, False, False, True, False, True])


def index(h):
    return ROW.expand(len(h), -1)


def halves(h):
    return h[:, :3].sin(), h[:, 3:].cos()


def number(h):
    return torch.complex(h[:, :3].sin(), h[:, 3:] + 2)


FUNCTIONS = {
    "index_add": lambda h: h.sin().index_add(1, PLACES, h[:, 3:] ** 2, alpha=2),
    "index_add to a constant": lambda h: (
        torch.zeros(1, 4, dtype=h.dtype).expand(len(h), -1).index_add(1, PLACES, h[:, 3:].sin())
    ),
    "index_copy": lambda h: h.sin().index_copy(1, PLACES[:2], halves(h)[1][:, :2]),
    "index_copy of a constant": lambda h: h.sin().index_copy(1, PLACES[:1], h.detach()[:, :1] * 0),
    "index_fill": lambda h: h.sin().index_fill(1, PLACES, 2.0),
    "scatter": lambda h: h.sin().scatter(1, index(h)[:, :2], halves(h)[1]),
    "scatter of a number": lambda h: h.sin().scatter(1, index(h), 2.0),
    "scatter_add": lambda h: h.sin().scatter_add(1, index(h), halves(h)[1]),
    "scatter_reduce": lambda h: h.sin().scatter_reduce(1, index(h), halves(h)[1], "mean"),
    "masked_fill": lambda h: h.sin().masked_fill(MASK, 1.5),
    "select_scatter": lambda h: h.sin().select_scatter(h[:, 0] ** 2, 1, 2),
    "slice_scatter": lambda h: h.sin().slice_scatter(h[:, :3] ** 2, 1, 0, 6, 2),
    "diagonal_scatter": lambda h: (
        h[:, None].sin().expand(-1, 6, -1).diagonal_scatter(h**2, 0, 1, 2)
    ),
    "gather": lambda h: h.sin().gather(1, index(h)),
    "index_select": lambda h: h.sin().index_select(1, PLACES),
    "abs": lambda h: number(h).abs(),
    "angle": lambda h: number(h).angle(),
    "polar": lambda h: torch.view_as_real(torch.polar(*halves(h))),
    "conj": lambda h: torch.imag(number(h).conj() * number(h) ** 2),
    "amplitudes": lambda h: torch.fft.rfft(h.exp(), n=8).abs(),
    "hfft": lambda h: torch.fft.hfft(number(h)).sin(),
    "shifted": lambda h: torch.fft.fftshift(torch.fft.fft(h.sin()), 1).real,
    "analytic": lambda h: torch.view_as_real(number(h).sin() / (number(h) + 3) + number(h).sqrt()),
    "of pairs": lambda h: torch.view_as_complex(h.reshape(-1, 3, 2).cos()).abs(),
}
# A conjugate is a view that has no vmap; scatter has no gradient in more than is scattered.
NOT_BY_TORCH = {"conj", "hfft", "scatter"}


def graph(function):
    return lambda z: torch.cat([z, function(LIFT(z)).flatten(1)], 1)


def points(seed):
    return torch.randn(3, 2, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.grid
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_differences(name):
    decoder, z = graph(FUNCTIONS[name]), points(1)
    jet = curvcore.jet(decoder, z, 3, derivatives="fused")
    assert_close(jet.value, decoder(z))
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in NOT_BY_TORCH])
def test_gradients_are_those_of_autodiff(name):
    assert_gradients_of_both(graph(FUNCTIONS[name]), points(2), LIFT.parameters(), factor=1e4)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda h: h.scatter_reduce(1, index(h), h[:, :3], "amax"), r"reduce='amax'"),
        (lambda h: h.scatter(1, index(h), h[:, :3], reduce="multiply"), r"reduce='multiply'"),
        (lambda h: h.angle(), "angle of real numbers"),
    ],
)
def test_what_is_piecewise_is_refused(function, words):
    with pytest.raises(MissingRuleError, match=words):
        curvcore.jet(graph(function), points(1), derivatives="fused")


# sin, whose jvp is right once, and in torch not twice.
Saving = saving(torch.sin, torch.cos)


class Elsewhere(torch.autograd.Function):
    """sin, but for another value under vmap."""

    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info, in_dims, x):
        return x.sin() + torch.inf, in_dims[0]

    @staticmethod
    def jvp(ctx, tangent):
        return tangent

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Saving, r"takes what a custom function saves for its jvp for constant.*Function Saving"),
        (Elsewhere, r"another value where it is differentiated.*Function Elsewhere"),
    ],
)
def test_a_custom_function_that_transforms_get_wrong_is_named(function, words):
    with pytest.raises(curvcore.UnsupportedOperationError, match=words):
        curvcore.jet(graph(function.apply), points(3), derivatives="autodiff")


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_a_distance_squared_is_masked_at_its_centre_alone(derivatives):
    centre = torch.tensor([[0.5, -0.5]], dtype=torch.float64)

    def decoder(z):
        return torch.cat([z, torch.cdist(z, centre) ** 2], 1)

    z = torch.cat([centre, points(4)])
    scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives, on_degenerate="nan")
    assert scalar.isfinite().tolist() == [False, True, True, True]
