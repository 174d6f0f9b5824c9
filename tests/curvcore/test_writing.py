"""Decoders that write in place: to entries, to views, to tensors that they make."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from curvcore import UnsupportedOperationError
from curvcore.providers.fused import MissingRuleError
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close

PROVIDERS = ["fused", "autodiff"]
with torch.random.fork_rng(devices=()):
    torch.manual_seed(0)
    LIFT = nn.Linear(2, 6).double()
    OTHER = nn.Linear(6, 6).double()
    TEMPLATE = torch.randn(6, dtype=torch.float64)


def points(batch=3, seed=0):
    return torch.randn(batch, 2, generator=torch.Generator().manual_seed(seed)).double()


# --- what users write -----------------------------------------------------------------------------


def columns(h):
    y = torch.zeros(len(h), 3, dtype=h.dtype)
    y[:, 0] = h[:, 0].sin()
    y[:, 1] = h[:, 1] * h[:, 2]
    y[:, 2] = 2 * y[:, 0]
    return y


def made_from_the_argument(h):
    y = h.new_empty(len(h), 2, 3)
    y[:, 0], y[:, 1] = h[:, :3].sin(), h[:, 3:] ** 2
    return y.flatten(1)


def template(h):
    y = TEMPLATE.repeat(len(h), 1)
    y[:, [1, 4]] *= h[:, :2].exp()
    return y


def clone_of_a_template(h):
    y = TEMPLATE.clone().expand(len(h), -1).clone()
    y[:, 2:4] += h[:, 2:4].sin()
    return y


def arithmetic(h):
    y = h.sin()
    y += h
    y *= h.cos()
    y -= 1
    y /= h**2 + 1
    y **= 2
    return y.add_(h, alpha=0.5).mul_(h).sub_(0.25).exp_()


def branch(h):
    x = h.tanh()
    x += OTHER(x)
    return x.sin_()


def functions_in_place(h):
    y = F.silu(OTHER(h), inplace=True)
    return torch.sigmoid_(F.elu(y, 1.0, True)).clamp_(-10, 10)


def both_of_it(h):
    """What an activation in place was given is changed as well."""
    h = OTHER(h)
    a = F.silu(h, inplace=True)
    return a * h.sin()


def pieces(h):
    y = torch.cat([h, h], 1).sin()
    first, second = y.chunk(2, 1)
    first.mul_(second)
    second.copy_(first)
    second[:, 0].zero_()
    first[:, ::2].fill_(3.0)
    return y


def base_of_a_view(h):
    y = h.sin()
    view = y.reshape(-1, 2, 3).transpose(1, 2)
    y[:, 1] = h[:, 0] ** 2
    view[:, 2, 1] += 1
    return (view * 2).flatten(1) + y


def index_put(h):
    y = h.sin()
    rows, place = torch.arange(len(h)), torch.tensor([1, 3])
    y.index_put_((rows[:, None], place), h[:, :2])
    return y.index_put_((rows[:, None], torch.tensor([0, 0])), h[:, :2], accumulate=True)


def masked(h):
    y = torch.cat([h, h[:, :1].exp()], 1)
    y[y > 100] = 0.0
    mask = torch.tensor([True, False, False, True, False, False, True])
    y[:, mask] = h[:, 1:4].cos()
    return y.masked_fill_(~mask[None] & (y > 50), 1.0)


def in_a_loop(h):
    y = torch.empty(4, len(h), 2, dtype=h.dtype)
    y[0] = h[:, :2]
    for n in range(1, 4):
        y[n] = (y[n - 1] + h[:, n : n + 2]).sin()
    return y.transpose(0, 1).flatten(1)


def before_it_is_computed(h):
    """A linear layer that was applied to what is then written to."""
    x = h.sin()
    linear = OTHER(x)
    x.mul_(3)
    return linear * x


def accumulated(h):
    total = torch.zeros(len(h), 6, dtype=h.dtype)
    seen = total
    for n in range(3):
        total += (h + n).sin()
    return seen


DECODERS = [
    columns, made_from_the_argument, template, clone_of_a_template, arithmetic, branch,
    functions_in_place, both_of_it, pieces, base_of_a_view, index_put, masked, in_a_loop,
    before_it_is_computed, accumulated,
]  # fmt: skip


def graph(function):
    return lambda z: torch.cat([z, function(LIFT(z)).flatten(1)], 1)


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # clamp, masks
@pytest.mark.parametrize("function", DECODERS, ids=lambda f: f.__name__)
def test_derivatives_are_those_of_differences(function):
    decoder, z = graph(function), points()
    jet = curvcore.jet(decoder, z, 3, derivatives="fused")
    with torch.no_grad():
        assert_close(jet.value, decoder(z))
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


# torch keeps for its gradient what these then write to, does not write to one of several views, nor
# where masks tell under its transforms.
NOT_BY_TORCH = {arithmetic, branch, functions_in_place, before_it_is_computed, pieces, masked}


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize(
    "function", [f for f in DECODERS if f not in NOT_BY_TORCH], ids=lambda f: f.__name__
)
def test_both_providers_agree_with_gradients(function):
    decoder, parameters = graph(function), list(LIFT.parameters())

    def gradients(derivatives):
        z = points(seed=1).requires_grad_()
        jet = curvcore.jet(decoder, z, 2, derivatives=derivatives)
        loss = sum(array.sin().sum() for array in jet.arrays())
        return [*jet.arrays(), *torch.autograd.grad(loss, [z, *parameters])]

    for one, other in zip(gradients("fused"), gradients("autodiff"), strict=True):
        assert_close(one, other, scale=1 + other.abs().max(), factor=1e4)


# --- memory that is shared ------------------------------------------------------------------------

VIEWS = [
    lambda x: x[:, 1:],
    lambda x: x[:, ::2],
    lambda x: x.transpose(1, -1),
    lambda x: x.unsqueeze(1),
    lambda x: x.flatten(1),
    lambda x: x.reshape(len(x), -1),
    lambda x: x.contiguous(),
    lambda x: x.chunk(2, -1)[0],
    lambda x: x.unbind(1)[0][:, None] if x.ndim == 2 else x.unbind(1)[0],
    lambda x: x.narrow(1, 0, 1),
    lambda x: x.movedim(1, -1),
    lambda x: x.to(torch.float64),
    lambda x: x[:, [0]],  # a copy
    lambda x: x.clone(),  # a copy
]
WRITES = [
    lambda x, y: x.add_(y),
    lambda x, y: x.mul_(y.sin()),
    lambda x, y: x.copy_(y),
    lambda x, y: x.__setitem__((slice(None), 0), y),
    lambda x, y: x.sin_(),
    lambda x, y: x.zero_(),
]


def program(seed):
    """A decoder that takes views of views and writes, as chance will have it."""
    chosen = random.Random(seed)
    steps = []
    for _ in range(10):
        kind = chosen.choice(["view", "view", "write", "new"])
        choices = {"view": VIEWS, "write": WRITES, "new": [torch.sin]}[kind]
        steps.append((kind, chosen.choice(choices), chosen.random(), chosen.random()))

    def decoder(z):
        tensors = [LIFT(z).sin()]
        for kind, function, which, other in steps:
            x = tensors[int(which * len(tensors))]
            if kind == "write":
                y = tensors[int(other * len(tensors))].flatten(1).mean(1)
                function(
                    x,
                    y.reshape(-1, *(1,) * (x.ndim - 1))
                    if function in WRITES[:3]
                    else y.reshape(-1, *(1,) * (x.ndim - 2)),
                )
            else:
                tensors.append(function(x))
        return torch.cat([z, *(x.flatten(1) for x in tensors)], 1)

    return decoder


@pytest.mark.grid
@pytest.mark.parametrize("seed", range(60))
def test_what_shares_memory_is_what_it_is_in_torch(seed):
    decoder, z = program(seed), points(2, seed)
    with torch.no_grad():
        value = decoder(z)
        if not torch.equal(value[:1], decoder(z[:1])):  # one row alone is contiguous
            with pytest.raises(curvcore.RowsNotIndependentError):
                curvcore.jet(decoder, z, derivatives="fused")
            return
    found = curvcore.jet(decoder, z, 2, derivatives="fused")
    assert_close(found.value, value)
    for order, array in enumerate(found.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


@pytest.mark.parametrize("name", ["expand", "unfold", "real"])
def test_entries_that_are_not_each_their_own_are_not_written_to(name):
    def decoder(z):
        h = LIFT(z)
        view = {
            "expand": lambda: h[:, :1].sin().expand(-1, 3),
            "unfold": lambda: h.sin().unfold(1, 2, 1),
            "real": lambda: torch.real(torch.fft.fft(h)),
        }[name]()
        view.mul_(2)
        return torch.cat([z, view.flatten(1)], 1)

    with pytest.raises(UnsupportedOperationError, match=f"to what {name} gave.*clone"):
        curvcore.jet(decoder, points(), derivatives="fused")


@pytest.mark.parametrize("derivatives", ["fused", "auto"])
def test_the_points_and_the_parameters_are_left_alone(derivatives):
    z = points()
    before, weight = z.clone(), LIFT.weight.clone()

    def decoder(z):
        z += 1
        y = LIFT.weight.clone()[:2].repeat(len(z), 1, 1)
        y[:, 0] += z
        return torch.cat([z, y.flatten(1)], 1)

    curvcore.jet(decoder, z, derivatives=derivatives)
    assert torch.equal(z, before)
    assert torch.equal(LIFT.weight, weight)


def test_what_is_written_into_a_buffer_is_refused_with_the_way_out():
    buffer = torch.zeros(3, 4, dtype=torch.float64)

    def decoder(z):
        buffer[:, :2] = z
        return buffer

    with pytest.raises(MissingRuleError, match="Write into a clone"):
        curvcore.jet(decoder, points(), derivatives="fused")


def test_a_rule_serves_the_form_in_place():
    def decoder(z):
        h = LIFT(z)
        h.atan_()
        return torch.cat([z, torch.neg_(h)], 1)

    jets = [
        curvcore.jet(f, points(), 3, derivatives="fused")
        for f in (decoder, graph(lambda h: -h.atan()))
    ]
    for one, other in zip(*(jet.arrays() for jet in jets), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("function", [columns, index_put, in_a_loop], ids=lambda f: f.__name__)
def test_curvature_of_one_that_writes(function):
    decoder, z = graph(function), points(4)
    by = [curvcore.scalar_curvature(decoder, z, derivatives=d) for d in PROVIDERS]
    assert_close(by[0], by[1], factor=1e4)
