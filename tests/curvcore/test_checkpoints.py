"""Decoders that save memory by torch.utils.checkpoint."""

import threading

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

import curvcore
from curvcore.providers.primitives import PrimitiveOperations
from tests.support.tolerance import assert_close


class Checkpointed(nn.Module):
    """Its hidden layers are checkpointed, if that is asked for."""

    def __init__(self, reentrant):
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            self.first, self.hidden = nn.Linear(2, 6), nn.Sequential(nn.Linear(6, 6), nn.SiLU())
            self.last = nn.Linear(6, 5)
        self.reentrant = reentrant
        self.double()

    def forward(self, z):
        h = self.first(z).tanh()
        if self.reentrant is None:
            return self.last(self.hidden(h))
        options = {"use_reentrant": self.reentrant}
        return self.last(torch.utils.checkpoint.checkpoint(self.hidden, h, **options))


def gradients(reentrant, derivatives):
    decoder = Checkpointed(reentrant)
    z = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
    return [
        scalar,
        *torch.autograd.grad(scalar.sum(), [z, *decoder.parameters()], allow_unused=True),
    ]


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("reentrant", [True, False])
def test_curvature_and_gradients_are_those_without(reentrant, derivatives):
    for one, other in zip(
        gradients(reentrant, derivatives), gradients(None, derivatives), strict=True
    ):
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other)


def test_other_threads_and_later_calls_keep_their_checkpoints():
    names = ("CheckpointFunction", "_checkpoint_without_reentrant_generator")
    before = [getattr(torch.utils.checkpoint, name) for name in names]
    calls = []

    def counted(x):
        calls.append(threading.get_ident())
        return x.sin()

    def elsewhere():
        x = torch.ones(2, requires_grad=True)
        for reentrant in (True, False):
            y = torch.utils.checkpoint.checkpoint(counted, x, use_reentrant=reentrant)
            y.sum().backward()

    with PrimitiveOperations(), PrimitiveOperations():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(calls) == 4  # each once more for its gradient
    assert [getattr(torch.utils.checkpoint, name) for name in names] == before
