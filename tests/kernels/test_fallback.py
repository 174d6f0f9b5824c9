"""What Triton cannot compile or launch is computed by torch, after one warning."""

import os
import subprocess
import sys
import warnings
from itertools import pairwise

import pytest
import torch
from torch import nn

import curvcore
from curvcore import kernels
from tests.support.tolerance import assert_close

WIDTH = 40  # too wide to go through one kernel together

# Where Triton's interpreter is off, no kernel runs on tensors of the CPU.
PROGRAM = """
import warnings
import torch
from curvcore import kernels
from tests.kernels.test_fallback import gradients

kernels.serve = lambda tensor: tensor.dtype == torch.float32
for d in (2, 3):
    for _ in range(2):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", UserWarning)
            gradients(d, "cpu")
        print(*(warning.message.args[0].partition(" here ")[0] for warning in seen), sep="; ")
"""


def gradients(d, device):
    """R of an MLP, layers gathered and not, and its gradients."""
    torch.manual_seed(0)
    widths = d, 16, 16, WIDTH, WIDTH
    layers = [nn.Linear(*pair) for pair in pairwise(widths)]
    hidden = [module for layer in layers for module in (layer, nn.Tanh())]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, WIDTH + 5)).to(device)
    scalar = curvcore.scalar_curvature(network, torch.randn(3, d, device=device))
    return scalar, *torch.autograd.grad(scalar.sum(), list(network.parameters())[:-1])


def fails(*arguments, **options):
    """Raises within Triton."""
    import triton

    return triton.next_power_of_2("many")


def check_against_torch(found, d, device, monkeypatch):
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    expected = gradients(d, device)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, factor=1e4)  # κ of the metric, about


@pytest.fixture
def none_has_failed(monkeypatch):
    monkeypatch.setattr(kernels, "_failed", set())


@pytest.mark.grid
@pytest.mark.usefixtures("none_has_failed")
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_kernels_that_fail(d, name, device, monkeypatch):
    """Each warns once: R, the chain rule and hidden layers."""
    from curvcore.kernels import chain_rule, curvature, hidden_stack, projection

    for module in (chain_rule, curvature, hidden_stack, projection):
        monkeypatch.setattr(module, name, fails)
    with pytest.warns(curvcore.FallbackWarning, match="Triton cannot compile or launch") as seen:
        found = gradients(d, device)
    assert sum(warning.category is curvcore.FallbackWarning for warning in seen) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error", curvcore.FallbackWarning)
        for one, other in zip(gradients(d, device), found, strict=True):
            assert torch.equal(one, other)
    check_against_torch(found, d, device, monkeypatch)


@pytest.mark.usefixtures("none_has_failed")
def test_a_gradient_by_torch_has_a_gradient_only_if_asked(device, monkeypatch):
    from curvcore.kernels import curvature
    from curvcore.kernels.scalar import ScalarCurvature

    monkeypatch.setattr(curvature, "adjoint", fails)
    vectors = torch.randn(5, 2, 9, device=device, requires_grad=True)
    scalar, _ = ScalarCurvature.apply(vectors, 2, lambda vectors: vectors.square().sum((0, 2)))
    (twice,) = torch.autograd.grad(scalar.sum(), vectors, create_graph=True)
    assert torch.equal(twice, 2 * vectors)
    assert twice.requires_grad
    with pytest.warns(curvcore.FallbackWarning, match="the gradient of R at d = 2"):
        (twice,) = torch.autograd.grad(scalar.sum(), vectors)
    assert torch.equal(twice, 2 * vectors)
    assert not twice.requires_grad


@pytest.mark.usefixtures("none_has_failed")
def test_errors_that_are_not_of_triton_pass(device, monkeypatch):
    from curvcore.kernels import curvature

    def out_of_memory(*arguments):
        raise torch.OutOfMemoryError("of the device")

    monkeypatch.setattr(curvature, "forward", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError, match="of the device"):
        gradients(2, device)
    assert not kernels._failed


@pytest.mark.slow
def test_a_machine_on_which_no_kernel_runs():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    # What goes forward by torch's own operations goes back by them.
    expected = [
        f"Triton cannot compile or launch the kernel of {name} at d = {d}"
        for d in (2, 3)
        for name in ("hidden layers of tanh", "tanh (forward)", "R")
    ]
    assert run.stdout.splitlines() == ["; ".join(expected[:3]), "", "; ".join(expected[3:]), ""]
