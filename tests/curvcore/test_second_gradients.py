"""Gradients that are to be differentiated once more are the same, and so are their gradients.

Where the stack that goes through a layer depends on the weights of that layer: by directions of a
frame, or since a layer comes twice, or since latents were made with it.
"""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.fused import hidden_layers
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.layers import Activation

EPS = torch.finfo(torch.float64).eps
SILU = Activation(nn.functional.silu, RULES.data[nn.functional.silu].closed_derivatives, "silu")


def points(d, count=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, d, generator=generator, dtype=torch.float64)


def network(d, *widths):
    torch.manual_seed(d)
    layers = []
    for one, other in zip((d, *widths), widths, strict=False):
        layers += [nn.Linear(one, other), nn.SiLU()]
    return nn.Sequential(*layers[:-1]).double()


def twice():
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    layers = nn.Linear(2, 6), nn.SiLU(), shared, nn.SiLU(), shared, nn.SiLU(), nn.Linear(6, 8)
    return nn.Sequential(*layers).double()


class Tied(nn.Module):
    """Latents x W, and W once more as the first layer."""

    def __init__(self):
        super().__init__()
        self.outer = network(20, 12, 16)
        self.weight = nn.Parameter(torch.randn(20, 2, dtype=torch.float64) / 4)

    def forward(self, z):
        return self.outer(torch.tanh(nn.functional.linear(z, self.weight)))


def of_a_decoder(function, d, *widths):
    decoder = network(d, *widths)

    def numbers(derivatives):
        return function(decoder, points(d), derivatives=derivatives)

    return numbers, list(decoder.parameters())


def of_layers_that_come_twice():
    decoder = twice()

    def numbers(derivatives):
        return curvcore.pullback(decoder, points(2), derivatives=derivatives).scalar

    return numbers, list(decoder.parameters())


def of_an_autoencoder():
    decoder, x = Tied(), points(20)

    def numbers(derivatives):
        return curvcore.pullback(decoder, x @ decoder.weight, derivatives=derivatives).scalar

    return numbers, list(decoder.parameters())


def estimate(decoder, z, derivatives):
    generator = torch.Generator().manual_seed(0)
    estimator = curvcore.Hutchinson(3, generator=generator)
    return curvcore.scalar_curvature(decoder, z, estimator=estimator, derivatives=derivatives)


def plane(decoder, z, derivatives):
    u, v = points(z.shape[1]).cos(), points(z.shape[1]).sin()
    return curvcore.sectional_curvature(decoder, z, u, v, derivatives=derivatives)


CASES = {
    "R, d = 10": lambda: of_a_decoder(curvcore.scalar_curvature, 10, 24, 24, 30),
    "R of units, d = 10": lambda: of_a_decoder(curvcore.scalar_curvature, 10, 16, 40),
    "Ric": lambda: of_a_decoder(curvcore.ricci_curvature, 9, 12, 12, 16),
    "H": lambda: of_a_decoder(curvcore.mean_curvature, 4, 8, 8, 10),
    "K": lambda: of_a_decoder(plane, 4, 8, 8, 10),
    "estimates": lambda: of_a_decoder(estimate, 9, 12, 12, 16),
    "layers that come twice": of_layers_that_come_twice,
    "an autoencoder": of_an_autoencoder,
}

every_case = pytest.mark.parametrize("name", CASES)


def gradients(numbers, parameters, **options):
    return torch.autograd.grad(numbers.square().sum(), parameters, allow_unused=True, **options)


def assert_equal(found, expected):
    size = max(x.norm() for x in expected if x is not None)
    for one, other in zip(found, expected, strict=True):
        one, other = (torch.zeros(1) if x is None else x for x in (one, other))
        assert (one - other).norm() <= 1e7 * EPS * size


@every_case
def test_create_graph_changes_nothing(name):
    numbers, parameters = CASES[name]()
    expected = gradients(numbers("auto"), parameters)
    assert_equal(gradients(numbers("auto"), parameters, create_graph=True), expected)


@pytest.mark.parametrize("name", ["estimates", "layers that come twice", "an autoencoder"])
def test_second_gradients_are_those_of_autodiff(name):
    numbers, parameters = CASES[name]()

    def second(derivatives):
        scalar = numbers(derivatives)
        scalar = (scalar / scalar.detach().abs().max()).sum()
        found = torch.autograd.grad(scalar, parameters, create_graph=True, allow_unused=True)
        loss = sum((x * x.detach().cos()).sum() for x in found if x is not None)
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    assert_equal(second("fused"), second("autodiff"))


def test_hidden_stacks_of_kernels(monkeypatch):
    """By the form that a kernel's gradient has where it is differentiated once more."""
    torch.manual_seed(0)
    weight = torch.randn(6, 6, dtype=torch.float64, requires_grad=True)
    stack = (torch.randn(3, 4, 6, dtype=torch.float64) @ weight).tanh()  # depends on it

    class Context:
        activation, d = SILU, 1
        saved_tensors = stack, None, weight, weight, None, None
        needs_input_grad = True, False, False, False, True, True, False, False

    out = hidden_layers._one_by_one(stack, None, Context.activation, 1, weight, weight, None, None)
    gradient = torch.ones_like(out)
    found = hidden_layers._differentiable(Context, gradient)
    leaves = [t.detach().clone().requires_grad_() for t in (stack, weight, weight)]
    plain = hidden_layers._one_by_one(
        leaves[0], None, Context.activation, 1, *leaves[1:], None, None
    )
    expected = torch.autograd.grad(plain, leaves, gradient)
    assert_equal([found[0], found[4], found[5]], expected)
