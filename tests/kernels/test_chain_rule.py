"""A layer by the kernel and its adjoint, against the plain form in float64, at awkward sizes."""

import pytest
import torch
from torch import nn

from curvcore import kernels
from curvcore.packing import count
from curvcore.providers.fused.jet_tensor import JetTensor
from tests.support.tolerance import assert_close

SIZES = [(1, 1), (31, 7), (1025, 3), (5, 100), (2, 256), (3, 600)]
FACTOR = 200  # of eps: products of width 600 at most, and two dozen operations


def of_layer(layer, source, d):
    """The stack that comes out of Linear and activation, and its gradients."""
    output = layer(JetTensor.of_stack(source, d, 2) if source.ndim == 3 else source)
    return output.stack


def gradients(layer, source, weights, d):
    stack = of_layer(layer, source, d)
    return stack, torch.autograd.grad((stack * weights).sum(), [source, *layer.parameters()])


@pytest.fixture
def layer(request, device):
    torch.manual_seed(0)
    width, activation, bias = request.param
    return nn.Sequential(nn.Linear(width, width, bias=bias), activation).to(device)


def compare(layer, source, d, monkeypatch):
    weights = torch.randn(1 + d + count(d, 2), *source.shape[1:], device=source.device)
    found = gradients(layer, source, weights, d)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = source.detach().double().requires_grad_()
    expected = gradients(layer.double(), exact, weights.double(), d)
    assert found[0].dtype == torch.float32
    for one, other in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=FACTOR)


@pytest.mark.grid
@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("points", "layer"),
    [(points, (width, nn.Tanh(), True)) for points, width in SIZES],
    indirect=["layer"],
)
def test_sizes(layer, points, d, device, monkeypatch):
    width = layer[0].in_features
    source = torch.randn(1 + d + count(d, 2), points, width, device=device, requires_grad=True)
    compare(layer, source, d, monkeypatch)


ACTIVATIONS = [nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh")]


@pytest.mark.parametrize(
    "layer",
    [(9, activation, bias) for activation in ACTIVATIONS for bias in (True, False)],
    indirect=True,
    ids=str,
)
def test_activations(layer, device, monkeypatch):
    source = torch.randn(6, 17, 9, device=device, requires_grad=True)
    compare(layer, source, 2, monkeypatch)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_first_layers(d, bias, device, monkeypatch):
    """Derivatives that are the same at every point."""
    torch.manual_seed(0)
    layers = nn.Linear(d, 7, bias=bias), nn.Linear(7, 11, bias=bias), nn.Tanh()
    network = nn.Sequential(*layers).to(device)
    z = torch.randn(33, d, device=device, requires_grad=True)
    weights = torch.randn(1 + d + count(d, 2), 33, 11, device=device)

    def of_points(network, z, weights):
        stack = network(JetTensor.coordinates(z, 2)).stack
        return stack, torch.autograd.grad((stack * weights).sum(), [z, *network.parameters()])

    found = of_points(network, z, weights)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = z.detach().double().requires_grad_()
    expected = of_points(network.double(), exact, weights.double())
    for one, other in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=FACTOR)
