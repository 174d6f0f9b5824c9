"""Nothing on the way to R asks the device for a number, or copies one to it."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.fused import layers
from tests.support.waits import Waits
from verification.benchmark.counting import Operations

ACTIVATIONS = {"tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU, "softplus": nn.Softplus}


def decoder(d, activation):
    hidden = nn.Linear(d, 16), activation(), nn.Linear(16, 16), nn.LayerNorm(16), activation()
    return nn.Sequential(*hidden, nn.Linear(16, 16), activation(), nn.Linear(16, 90))


def forward_and_backward(network, z, on_degenerate):
    scalar = curvcore.scalar_curvature(network, z, on_degenerate=on_degenerate)
    scalar.square().mean().backward()


@pytest.mark.grid
@pytest.mark.parametrize("d", [2, 3, 6])
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize(("on_degenerate", "reads"), [("nan", 0), ("raise", 1)])
def test_one_flag_is_read_or_none(activation, d, on_degenerate, reads):
    network, z = decoder(d, activation), torch.randn(200, d)
    forward_and_backward(network, z, on_degenerate)  # compares derivatives, makes constants
    with Waits() as waits:
        forward_and_backward(network, z, on_degenerate)
    assert waits.met == ["aten._local_scalar_dense.default"] * reads


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("d", [2, 3, 6])
def test_cuda_does_not_wait(d):
    network, z = decoder(d, nn.SiLU).cuda(), torch.randn(200, d, device="cuda")
    forward_and_backward(network, z, "nan")
    torch.cuda.set_sync_debug_mode("error")
    try:
        forward_and_backward(network, z, "nan")
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_small_call_is_few_operators():
    """Of three tanh layers and R of a surface, where there are no kernels: 171, and 117 back."""
    hidden = [m for _ in range(2) for m in (nn.Linear(16, 16), nn.Tanh())]
    network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), *hidden, nn.Linear(16, 90))
    z = torch.randn(200, 2)
    forward_and_backward(network, z, "raise")
    with Operations() as forward:
        scalar = curvcore.scalar_curvature(network, z)
    with Operations() as backward:
        scalar.sum().backward()
    assert forward.launches <= 180  # other releases of torch differ by a few
    assert backward.launches <= 130


def test_a_layer_with_its_activation_is_one_operation(monkeypatch):
    """Of three hidden layers, each is one node of the graph."""
    calls = []
    apply = layers.ActivatedLayer.apply
    monkeypatch.setattr(layers.ActivatedLayer, "apply", lambda *a: calls.append(1) or apply(*a))
    hidden = [m for _ in range(2) for m in (nn.Linear(8, 8), nn.Tanh())]
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), *hidden, nn.Linear(8, 9))
    z = torch.randn(5, 2)
    curvcore.scalar_curvature(network, z)
    calls.clear()
    curvcore.scalar_curvature(network, z)
    assert len(calls) == 3
