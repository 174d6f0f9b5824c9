"""A decoder that changes after a first right call is compared with other derivatives again."""

import sys
import types
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

import curvcore
from curvcore import PiecewiseLinearWarning, UnsupportedOperationError
from curvcore.providers import fused, memory
from curvcore.providers.fingerprint import fingerprint
from curvcore.providers.fused.jet_tensor import RULES

Z = torch.tensor([[0.3, -0.4], [0.9, 0.1], [-0.5, 0.7]], dtype=torch.float64)


class Sine(torch.autograd.Function):
    """A custom function."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


def sine(x):
    """A function with a rule of its own, y' = cos x."""
    if torch.overrides.has_torch_function_unary(x):
        return torch.overrides.handle_torch_function(sine, (x,), x)
    return Sine.apply(x)


def faulty(x):
    """sin x, with a wrong rule."""
    if torch.overrides.has_torch_function_unary(x):
        return torch.overrides.handle_torch_function(faulty, (x,), x)
    return x.sin()


@pytest.fixture(autouse=True)
def rules():
    """Those of ``sine`` and ``faulty``."""

    @curvcore.rules.elementwise(sine)
    def _(x, y):
        yield x.cos()
        yield -y
        yield -x.cos()

    @curvcore.rules.elementwise(faulty)
    def _(x, y):
        yield x.cos() / 2
        yield -y
        yield -x.cos()

    yield
    for function in (sine, faulty):
        del RULES[function]


def activation(x):
    """What the decoder below calls by its global name."""
    return sine(x)


class Decoder(nn.Module):
    """Switched in many ways between what is right and what is not."""

    act = staticmethod(torch.sin)

    def __init__(self):
        super().__init__()
        self.lift, self.layer = nn.Linear(2, 6), nn.Tanh()
        self.register_buffer("flag", torch.zeros(()))
        self.mode, self.function, self.functions = "right", torch.sin, [torch.sin]
        self.calls = 0

    def helper(self, x):
        return self.act(x)

    def forward(self, z):
        h = activation(self.helper(self.layer(self.lift(z))))
        if self.flag or self.mode != "right":
            h = faulty(h)
        for function in (self.function, *self.functions):
            h = function(h)
        return torch.cat([z, h], 1)


class Faulty(nn.Module):
    """``faulty`` as a layer."""

    def forward(self, x):
        return faulty(x)


def wrong_forward(decoder, z):
    return torch.cat([z, faulty(decoder.lift(z))], 1)


class Rebuilt(nn.Module):
    """A parametrisation that changes nothing."""

    def forward(self, x):
        return x.clone()


def parametrised(decoder, monkeypatch):
    monkeypatch.setattr(Decoder, "act", property(lambda self: faulty))
    parametrize.register_parametrization(decoder.lift, "weight", Rebuilt())


CHANGES = {
    "forward of the object": lambda d, m: setattr(d, "forward", partial(wrong_forward, d)),
    "forward of the class": lambda d, m: m.setattr(Decoder, "forward", wrong_forward),
    "code of forward": lambda d, m: m.setattr(Decoder.forward, "__code__", wrong_forward.__code__),
    "class": lambda d, m: setattr(
        d, "__class__", type("Other", (Decoder,), {"forward": wrong_forward})
    ),
    "method": lambda d, m: m.setattr(Decoder, "helper", lambda self, x: faulty(x)),
    "class attribute": lambda d, m: m.setattr(Decoder, "act", staticmethod(faulty)),
    "global function": lambda d, m: m.setattr(sys.modules[__name__], "activation", faulty),
    "custom function": lambda d, m: m.setattr(
        Sine, "forward", staticmethod(lambda ctx, x: 2 * x.sin())
    ),
    "rule": lambda d, m: m.setitem(RULES, sine, RULES[faulty]),
    "hook": lambda d, m: d.layer.register_forward_hook(lambda _, __, output: faulty(output)),
    "hook before": lambda d, m: d.layer.register_forward_pre_hook(lambda _, x: faulty(x[0])),
    "hook on all": lambda d, m: m.setitem(
        nn.modules.module._global_forward_hooks, 10**9,
        lambda module, _, output: faulty(output) if isinstance(module, nn.Tanh) else None,
    ),
    "buffer written": lambda d, m: d.flag.fill_(1),
    "buffer replaced": lambda d, m: setattr(d, "flag", torch.ones(())),
    "submodule": lambda d, m: setattr(d, "layer", Faulty()),
    "submodule of a submodule": lambda d, m: setattr(d, "layer", nn.Sequential(d.layer, Faulty())),
    "parametrisation": parametrised,
    "attribute, a string": lambda d, m: setattr(d, "mode", "wrong"),
    "attribute, a function": lambda d, m: setattr(d, "function", faulty),
    "attribute, a list": lambda d, m: d.functions.append(faulty),
}  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_to_what_is_wrong_is_refused(change, monkeypatch):
    decoder = Decoder().double()
    for _ in range(2):
        curvcore.jet(decoder, Z, derivatives="fused")
    change(decoder, monkeypatch)
    for _ in range(2):
        with pytest.raises(UnsupportedOperationError, match="disagrees with finite differences"):
            curvcore.jet(decoder, Z, derivatives="fused")


def test_functions_are_compared_again_when_what_they_refer_to_changes():
    inner = nn.Sequential(nn.Linear(2, 5), nn.Tanh()).double()
    function = torch.sin

    def decoder(z, layers=(inner,)):
        return torch.cat([z, function(layers[0](z))], 1)

    for change in ("closure", "submodule"):
        curvcore.jet(decoder, Z, derivatives="fused")
        if change == "closure":
            function = faulty
        else:
            function, inner[1] = torch.sin, Faulty()
        with pytest.raises(UnsupportedOperationError):
            curvcore.jet(decoder, Z, derivatives="fused")
        function = torch.sin


def test_objects_that_are_called_are_compared_again():
    class Callable:
        act = torch.sin

        def __init__(self):
            self.layer = nn.Linear(2, 5).double()

        def __call__(self, z):
            return torch.cat([z, self.act(self.layer(z))], 1)

    decoder = Callable()
    curvcore.jet(decoder, Z, derivatives="fused")
    decoder.act = faulty
    with pytest.raises(UnsupportedOperationError):
        curvcore.jet(decoder, Z, derivatives="fused")


# --- how often ------------------------------------------------------------------------------------


@pytest.fixture
def comparisons(monkeypatch):
    """The calls of :func:`curvcore.providers.witness.check_jet`."""
    seen, check = [], fused.check_jet
    monkeypatch.setattr(fused, "check_jet", lambda *a: (seen.append(a), check(*a)))
    return seen


def call(decoder, times=1, **options):
    for _ in range(times):
        curvcore.jet(decoder, Z, derivatives="fused", **options)


def test_a_hidden_change_is_found_at_one_of_the_next_calls():
    hidden = types.SimpleNamespace(act=torch.sin)
    layer = nn.Linear(2, 5).double()
    decoder = lambda z: torch.cat([z, hidden.act(layer(z))], 1)  # noqa: E731
    call(decoder)
    hidden.act = faulty
    call(decoder, 14)
    with pytest.raises(UnsupportedOperationError):
        call(decoder)


@pytest.mark.slow
def test_comparisons_come_round_ever_more_seldom(comparisons):
    decoder = Decoder().double()
    at = []
    for n in range(1, 1200):
        before = len(comparisons)
        curvcore.jet(decoder, Z[:1], 1, derivatives="fused")
        at += [n] * (len(comparisons) - before)
    assert at == [1, 16, 32, 64, 128, 256, 512, 1024]


def test_comparisons_never_end():
    at = [n for n in range(1, 5000) if memory._comes_round(n)]
    assert at == [16, 32, 64, 128, 256, 512, 1024, 2048, 3072, 4096]


def test_training_is_no_change(comparisons):
    """Parameters and numbers change; so do flags, back and forth."""
    decoder = Decoder().double()
    optimizer = torch.optim.Adam(decoder.parameters())
    for step in range(12):
        decoder.calls, decoder.lift.step = step, 1.5 * step
        decoder.train(step % 2 == 0)
        optimizer.zero_grad()
        curvcore.jet(decoder, Z, derivatives="fused").hessian.square().sum().backward()
        optimizer.step()
    assert len(comparisons) == 2  # one in each mode


def test_kinds_of_calls_are_compared_by_themselves(comparisons):
    decoder = Decoder().double()
    for order in (1, 2, 1, 2):
        call(decoder, order=order)
    assert len(comparisons) == 2


def test_methods_are_compared_once(comparisons):
    decoder = Decoder().double()
    for _ in range(3):
        call(decoder.forward)
        call(partial(decoder.forward))  # a new object each time
    assert len(comparisons) == 1 + 3


class Counting(nn.Module):
    """A decoder that keeps count of its calls, and what it saw last."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 5)
        self.register_buffer("calls", torch.zeros(()))
        self.act = torch.sin

    def forward(self, z):
        self.calls += 1
        self.last = self.layer(z)
        return torch.cat([z, self.act(self.last)], 1)


def test_what_a_decoder_writes_itself_is_no_change(comparisons):
    decoder = Counting().double()
    call(decoder, 8)
    assert len(comparisons) <= 3
    decoder.act = faulty
    with pytest.raises(UnsupportedOperationError):
        call(decoder)


def test_a_decoder_that_always_changes_is_not_compared_for_ever(comparisons):
    decoder = Decoder().double()
    for _ in range(15):
        decoder.function = partial(torch.mul, 1)
        call(decoder)
    assert len(comparisons) == 8


def test_kinks_are_remembered_and_forgotten():
    decoder = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 5)).double()
    for _ in range(3):
        with pytest.warns(PiecewiseLinearWarning, match="relu"):
            call(decoder)
    decoder[1] = nn.Tanh()
    call(decoder, 3)


def test_kinks_of_some_points_are_remembered_at_others():
    """Where the decoder is compared again, no unit switches."""
    layer = nn.Linear(2, 8).double()
    nn.init.zeros_(layer.bias)

    def decoder(z):
        return torch.cat([z, layer(z).square().clamp(max=1.0)], 1)

    with pytest.warns(PiecewiseLinearWarning, match="clamp"):
        curvcore.jet(decoder, 100 * Z, derivatives="fused")
    for _ in range(17):
        with pytest.warns(PiecewiseLinearWarning, match="clamp"):
            curvcore.jet(decoder, Z / 100, derivatives="fused")


class Forbidden(TorchDispatchMode):
    """Within this context no operation on tensors is allowed."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        raise AssertionError(f"{function} was called")


def test_a_fingerprint_reads_no_tensor():
    decoders = (Decoder(), Decoder().to("meta"), nn.Sequential(Decoder(), nn.BatchNorm1d(8)))
    with torch.inference_mode():
        frozen = Decoder()  # its tensors count no versions
    with Forbidden():
        for decoder in (*decoders, frozen, lambda z: decoders[0](z), decoders[0].forward):
            assert fingerprint(decoder) == fingerprint(decoder)
