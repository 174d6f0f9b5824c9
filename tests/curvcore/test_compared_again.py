"""A decoder that changes after its first jet was found right is compared again."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore import UnsupportedOperationError


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(2, 8), nn.Linear(8, 6)
        self.middle = nn.Tanh()

    def forward(self, z):
        return self.second(self.middle(self.first(z)))


class Half(nn.Module):
    """Half of what comes in has no derivative."""

    def forward(self, h):
        with torch.no_grad():
            half = h / 2
        return half + h / 2


def new_forward(decoder):
    half, forward = Half(), decoder.forward
    decoder.forward = lambda z: half(forward(z))


def new_forward_of_its_class(decoder):
    decoder.__class__ = type(
        "Other", (Decoder,), {"forward": lambda self, z: Half()(Decoder.forward(self, z))}
    )


def a_hook(decoder):
    half = Half()
    decoder.middle.register_forward_hook(lambda module, inputs, output: half(output))


def a_submodule(decoder):
    decoder.middle = nn.Sequential(nn.Tanh(), Half())


CHANGES = [new_forward, new_forward_of_its_class, a_hook, a_submodule]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_wrong_derivative_that_comes_later_is_found_out(change):
    decoder, z = Decoder().double(), torch.randn(5, 2, dtype=torch.float64)
    curvcore.scalar_curvature(decoder, z)
    change(decoder)
    with pytest.raises(UnsupportedOperationError):
        curvcore.scalar_curvature(decoder, z, derivatives="fused")


def test_training_steps_are_no_change():
    """Parameters do not make a right derivative wrong."""
    calls = []
    decoder, z = Decoder().double(), torch.randn(5, 2, dtype=torch.float64)
    decoder.register_forward_hook(lambda *_: calls.append(1))
    curvcore.scalar_curvature(decoder, z)
    calls.clear()
    for _ in range(4):
        optimizer = torch.optim.SGD(decoder.parameters(), lr=0.01)
        curvcore.scalar_curvature(decoder, z).square().mean().backward()
        optimizer.step()
    assert len(calls) == 4
