"""Every change of what a decoder is made of changes its marks; what training changes does not."""

import types
from functools import partial

import pytest
import torch
from torch import nn

from curvcore.providers.fingerprint import fingerprint

helpers = types.ModuleType("helpers")  # a module of the user's
helpers.__file__, helpers.act = __file__, torch.sin


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.gelu, self.last = nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 4)
        self.numbers, self.flags = {"steps": 1}, [True]
        self.register_buffer("flag", torch.zeros(()))

    def forward(self, z, *, act=torch.tanh):
        def inner(x):
            return helpers.act(act(x))

        return self.last(self.gelu(inner(self.first(z))))


def doubled(z):
    return 2 * z


def tripled(z):
    return 3 * z


def partial_of(net):
    return partial(torch.nn.Module.__call__, net)


CHANGES = {
    "submodule of its class": lambda net, m: setattr(net, "first", nn.Linear(2, 3)),
    "submodule taken out": lambda net, m: setattr(net, "gelu", None),
    "submodule that comes twice": lambda net, m: setattr(net, "other", net.first),
    "attribute of torch's module": lambda net, m: setattr(net.gelu, "approximate", "tanh"),
    "forward of torch's class": lambda net, m: m.setattr(nn.GELU, "forward", lambda self, x: x),
    "forward of torch's class, torch's": lambda net, m: m.setattr(
        nn.GELU, "forward", nn.SiLU.forward
    ),
    "forward of torch's module": lambda net, m: setattr(net.gelu, "forward", doubled),
    "default by keyword": lambda net, m: m.setitem(
        Net.forward.__kwdefaults__, "act", torch.sigmoid
    ),
    "in a module of the user's": lambda net, m: m.setattr(helpers, "act", torch.cos),
    "word in a container": lambda net, m: m.setitem(net.numbers, "activation", "sine"),
    "flag in a container": lambda net, m: net.flags.__setitem__(0, False),
    "buffer": lambda net, m: net.flag.add_(1),
    "buffer of torch's module": lambda net, m: net.first.register_buffer("flag", torch.ones(())),
    "hook": lambda net, m: net.first.register_forward_hook(lambda *_: None),
}


@pytest.mark.parametrize("make", [lambda net: net, lambda net: net.forward, partial_of])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_changes_the_marks(change, make, monkeypatch):
    net = Net()
    decoder = make(net)
    before = fingerprint(decoder)[0]
    assert fingerprint(decoder)[0] == before
    change(net, monkeypatch)
    assert fingerprint(decoder)[0] != before


def test_code_changes_the_marks(monkeypatch):
    """Though it names the same."""
    before = fingerprint(doubled)[0]
    monkeypatch.setattr(doubled, "__code__", tripled.__code__)
    assert fingerprint(doubled)[0] != before


def test_training_does_not():
    net = Net()
    before, modes = fingerprint(net)
    with torch.no_grad():
        net.first.weight.add_(1)
    net.first.weight.requires_grad_(False)
    net.numbers["steps"], net.steps = 2, 7
    steps = fingerprint(net)[0]
    net.steps = 8
    net.eval()
    after, others = fingerprint(net)
    assert before == steps == after
    assert modes != others
