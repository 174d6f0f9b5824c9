"""How much is launched where there are kernels."""

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

import curvcore
from tests.kernels.conftest import DEVICE
from verification.benchmark.counting import Operations


def counted(monkeypatch, function):
    """How many operators and kernels a function launches, and its result."""
    from triton.runtime.jit import KernelInterface

    launches, operators = [], Operations()
    launch = KernelInterface.__getitem__

    def counting(kernel, grid):
        def run(*arguments, **options):
            launches.append(kernel)
            with _disable_current_modes():  # the interpreter's own operators do not count
                return launch(kernel, grid)(*arguments, **options)

        return run

    with monkeypatch.context() as patched:
        patched.setattr(KernelInterface, "__getitem__", counting)
        with operators:
            result = function()
    return operators.launches, len(launches), result


def test_a_small_call_is_few_launches(monkeypatch):
    """Of three wide tanh layers and R of a surface: 22 operators and 4 kernels, 23 and 4 back."""
    width = 40  # too wide to go through one kernel together
    hidden = [m for _ in range(2) for m in (nn.Linear(width, width), nn.Tanh())]
    network = nn.Sequential(nn.Linear(2, width), nn.Tanh(), *hidden, nn.Linear(width, 90))
    network, z = network.to(DEVICE), torch.randn(20, 2, device=DEVICE)

    def forward():
        return curvcore.scalar_curvature(network, z)

    forward().sum().backward()
    operators, kernels, scalar = counted(monkeypatch, forward)
    assert kernels == 4
    assert operators + kernels <= 60
    back, kernels_back, _ = counted(monkeypatch, scalar.sum().backward)
    assert kernels_back == 4
    assert operators + kernels + back + kernels_back <= 150
