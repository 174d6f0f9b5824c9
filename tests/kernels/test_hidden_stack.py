"""Hidden layers in one kernel and their gradients, against the plain form in float64."""

import itertools

import pytest
import torch
from torch import nn

from curvcore import kernels
from curvcore.packing import count
from curvcore.providers.fused import hidden_layers
from curvcore.providers.fused.jet_tensor import JetTensor
from tests.support.tolerance import assert_close

# Of eps: a product of 256 terms and two dozen operations take 200 at the most in each of three
# layers, whose slopes and rows of weights in the mean do not enlarge what came before.
FACTOR = 600


def network(*widths, activation=None, biases=None):
    torch.manual_seed(0)
    biases = biases or [True] * len(widths)
    layers = [
        (nn.Linear(n, m, bias=bias), activation or nn.Tanh())
        for n, m, bias in zip(widths, widths[1:], biases, strict=False)
    ]
    return nn.Sequential(*itertools.chain.from_iterable(layers))


def stack_of(network, z):
    source = JetTensor.coordinates(z, 2) if z.ndim == 2 else JetTensor.of_stack(z, *z_of(z))
    return network(source).stack


def z_of(stack):
    """d and the order of a stack of 1 + d + d(d+1)/2 channels."""
    return next(d for d in range(1, 9) if 1 + d + count(d, 2) == len(stack)), 2


def weighted(stack):
    """A sum of all entries with fixed weights about one."""
    return (stack * torch.linspace(-1, 2, stack.numel(), device=stack.device).view_as(stack)).sum()


def gradients(network, z):
    stack = stack_of(network, z)
    return stack, *torch.autograd.grad(weighted(stack), [z, *network.parameters()])


def second_gradients(network, z):
    """Of the sum of the squares of all first ones."""
    wanted = [z, *network.parameters()]
    first = torch.autograd.grad(weighted(stack_of(network, z)), wanted, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in first), wanted)


def compare(compute, network, z, monkeypatch, factor=FACTOR):
    found = compute(network, z)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    expected = compute(network.double(), z.detach().double().requires_grad_())
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=factor)


SIZES = [
    *[(31, d, (d, 7, 7, 7)) for d in range(1, 9)],
    (1, 2, (2, 1, 1)),
    (1, 1, (1, 100, 1)),
    (1025, 2, (2, 7, 7)),
    (1025, 1, (1, 1, 1, 1)),
    (31, 2, (2, 100, 100, 100)),
    (31, 3, (3, 7, 100, 16)),
    (31, 2, (2, 256, 256)),
    (2, 8, (8, 100, 256)),
]


@pytest.mark.grid
@pytest.mark.parametrize(("points", "d", "widths"), SIZES)
def test_sizes(points, d, widths, device, launches, monkeypatch):
    z = torch.randn(points, d, device=device, requires_grad=True)
    compare(gradients, network(*widths).to(device), z, monkeypatch)
    assert [len(names) for names in launches.values()] == [1, 1]


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("points", [1, 33])
def test_behind_other_layers(points, d, device, launches, monkeypatch):
    """Derivatives that differ from point to point before the first layer."""
    stack = torch.randn(1 + d + count(d, 2), points, 9, device=device, requires_grad=True)
    compare(gradients, network(9, 20, 7).to(device), stack, monkeypatch)
    assert len(launches["forward"]) == 1


ACTIVATIONS = [nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh")]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("biases", list(itertools.product([True, False], repeat=2)), ids=str)
def test_activations(activation, biases, device, launches, monkeypatch):
    layers = network(2, 9, 11, activation=activation, biases=biases).to(device)
    z = torch.randn(17, 2, device=device, requires_grad=True)
    compare(gradients, layers, z, monkeypatch)
    assert len(launches["forward"]) == 1


def test_second_gradients(device, launches, monkeypatch):
    z = torch.randn(5, 2, device=device, requires_grad=True)
    # Of products of gradients, and of two passes through the layers.
    compare(second_gradients, network(2, 9, 7, 8).to(device), z, monkeypatch, factor=4 * FACTOR)
    assert len(launches["forward"]) == 1


def test_backward_in_parts(device, launches, monkeypatch):
    from curvcore.kernels import hidden_stack

    monkeypatch.setattr(hidden_stack, "_PART", 1)
    z = torch.randn(200, 2, device=device, requires_grad=True)
    compare(gradients, network(2, 9, 11).to(device), z, monkeypatch)


def test_three_products_of_tensor_cores(device, launches, monkeypatch):
    """Where the user lets products of float32 use TF32; their error is no more than twice as large.

    The interpreter computes them in float32.
    """
    monkeypatch.setattr(hidden_layers, "_precision", lambda: "tf32x3")
    z = torch.randn(33, 2, device=device, requires_grad=True)
    compare(gradients, network(2, 64, 64, 64).to(device), z, monkeypatch, factor=2 * FACTOR)
    assert launches == {"forward": ["tf32x3"], "adjoint": ["tf32x3"]}
