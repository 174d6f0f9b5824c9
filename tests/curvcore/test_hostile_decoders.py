"""Decoders that keep state, hide operations, or lie about derivatives: right, or a clear error.

Each is held against finite differences, in float64, on both providers.
"""

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

import curvcore
from curvcore import RowsNotIndependentError, UnsupportedOperationError
from tests.support.custom_functions import saving
from tests.support.referees import finite_differences
from tests.support.tolerance import assert_close

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
RIGHT, REFUSED, COUPLED = "right", UnsupportedOperationError, RowsNotIndependentError


def network():
    torch.manual_seed(1)
    layers = nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 6)
    return nn.Sequential(*layers).double()


class Wrapped(nn.Module):
    """A function of the network, z, and how often it was called."""

    def __init__(self, function, part=None):
        super().__init__()
        self.network, self.function, self.calls = part or network(), function, 0

    def forward(self, z):
        self.calls += 1
        return self.function(self.network, z, self.calls)


def caching():
    kept = {}
    return Wrapped(lambda network, z, _: kept.setdefault(z.shape, network(z)))


class Symmetric(nn.Module):
    """A parametrisation."""

    def forward(self, weight):
        return weight.triu() + weight.triu(1).mT


def parametrized():
    decoder = network()
    parametrize.register_parametrization(decoder[2], "weight", Symmetric())
    parametrizations.weight_norm(decoder[0])
    return decoder


def orthogonal():
    decoder = network()
    parametrizations.orthogonal(decoder[2])
    return decoder.double()


class Experts(nn.Module):
    """A mixture, over all experts or the best two."""

    def __init__(self, best=None):
        super().__init__()
        torch.manual_seed(2)
        self.gate, self.best = nn.Linear(2, 3).double(), best
        self.experts = nn.ModuleList([network() for _ in range(3)])

    def forward(self, z):
        weights = self.gate(z).softmax(-1)
        if self.best:
            chosen = weights.topk(self.best, -1).indices
            weights = weights * torch.zeros_like(weights).scatter(-1, chosen, 1.0)
        parts = [torch.sin((n + 1) * e(z)) for n, e in enumerate(self.experts)]
        return sum(weights[:, n : n + 1] * part for n, part in enumerate(parts))


# sin, whose derivative is said to be constant.
ConstantSlope = saving(torch.sin, lambda x: x.cos().detach())


class WrongTangent(ConstantSlope):
    """sin, with a tangent twice as long."""

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * tangent * ctx.saved_tensors[0].cos()


def hooked():
    decoder = network()
    decoder[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    decoder.register_forward_pre_hook(lambda module, inputs: (inputs[0] / 2,))
    return decoder


def doubling_its_input(network, z, _):
    z *= 2
    return network(z)


def writing_to_its_output(network, z, _):
    y = network(z)
    y[:, 0] = y[:, 1] * y[:, 2]
    return y


def exported():
    dynamic = ({0: torch.export.Dim("batch")},)
    points = torch.randn(3, 2, dtype=torch.float64)
    return torch.export.export(network(), (points,), dynamic_shapes=dynamic).module()


# name -> how to build it, and what becomes of it: fused, autodiff.
DECODERS = {
    "counts its calls": (lambda: Wrapped(lambda n, z, _: n(z)), RIGHT, RIGHT),
    "changes with every call": (lambda: Wrapped(lambda n, z, k: k * n(z)), COUPLED, COUPLED),
    "caches its output": (caching, COUPLED, COUPLED),
    "checkpoints": (
        lambda: Wrapped(lambda n, z, _: checkpoint(n, z, use_reentrant=False)), RIGHT, RIGHT,
    ),
    "checkpoints, reentrant": (
        lambda: Wrapped(lambda n, z, _: checkpoint(n, z, use_reentrant=True)), RIGHT, RIGHT,
    ),
    "parametrised weights": (parametrized, RIGHT, RIGHT),
    "orthogonal weights": (orthogonal, RIGHT, RIGHT),
    "a soft mixture": (Experts, RIGHT, RIGHT),
    "the best experts": (lambda: Experts(2), REFUSED, RIGHT),
    "exported": (exported, REFUSED, RIGHT),
    "traced": (lambda: torch.jit.trace(network(), torch.randn(3, 2).double()), REFUSED, RIGHT),
    "scripted": (lambda: torch.jit.script(network()), REFUSED, RIGHT),
    "a constant slope": (
        lambda: Wrapped(lambda n, z, _: ConstantSlope.apply(n(z))), REFUSED, REFUSED,
    ),
    "a wrong tangent": (
        lambda: Wrapped(lambda n, z, _: WrongTangent.apply(n(z))), REFUSED, REFUSED,
    ),
    "hooks": (hooked, RIGHT, RIGHT),
    "writes to its input": (lambda: Wrapped(doubling_its_input), RIGHT, RIGHT),
    "writes to its output": (lambda: Wrapped(writing_to_its_output), RIGHT, REFUSED),
}  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_right_or_refused(name, derivatives):
    build, *outcomes = DECODERS[name]
    outcome = outcomes[derivatives == "autodiff"]
    z = torch.randn(4, 2, dtype=torch.float64)
    before = z.clone()
    if outcome is not RIGHT:
        with pytest.raises(outcome):
            curvcore.scalar_curvature(build(), z, derivatives=derivatives)
        return
    jet = curvcore.jet(build(), z, derivatives=derivatives)
    decoder = build()
    for order, found in ((1, jet.jacobian), (2, jet.hessian)):
        expected = finite_differences(lambda x: decoder(x.clone()).flatten(1), z, order, 0.02)
        assert_close(found, expected, scale=1e8 * (1 + expected.abs().max()))  # of order h⁸
    assert torch.equal(z, before)


@pytest.mark.slow
def test_a_compiled_module():
    """The rules are traced into the graph, or left out of it: the numbers are the same."""
    torch.compiler.reset()  # of what other tests compiled
    z = torch.randn(4, 2, dtype=torch.float64)
    decoder = network()
    found = curvcore.scalar_curvature(torch.compile(decoder, backend="eager"), z)
    expected = curvcore.scalar_curvature(decoder, z)
    assert_close(found, expected, scale=1e4 * (1 + expected.detach().abs().max()))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("call", range(5))
def test_a_failure_at_any_call_leaves_no_trace(call, derivatives, error):
    def state():
        return (
            torch.is_grad_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.overrides._get_current_function_mode(),
            torch._C._functorch.peek_interpreter_stack(),
            torch.autograd.forward_ad._current_level,
            torch.backends.cuda.flash_sdp_enabled(),
        )

    def function(network, z, calls):
        if calls > call:
            raise error
        return network(z)

    before, z = state(), torch.randn(4, 2, dtype=torch.float64)
    with suppress(ValueError, KeyboardInterrupt, UnsupportedOperationError):
        curvcore.scalar_curvature(Wrapped(function), z, derivatives=derivatives)
    assert state() == before


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("d", [2, 6])
def test_deterministic_algorithms_and_anomaly_detection(d, derivatives):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, 20)).double()
    z = torch.randn(3, d, dtype=torch.float64)
    parameters = list(decoder.parameters())[:3]
    expected = torch.autograd.grad(curvcore.scalar_curvature(decoder, z).sum(), parameters)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autograd.detect_anomaly():
            scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
            found = torch.autograd.grad(scalar.sum(), parameters)
    finally:
        torch.use_deterministic_algorithms(False)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, scale=1e4 * (1 + other.abs().max()))


@pytest.mark.slow
def test_a_million_outputs():
    """Neither a Jacobian nor a Hessian of D rows is held for R behind a last linear layer."""
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 10**6))
    scalar = curvcore.scalar_curvature(decoder, torch.randn(40, 2), chunk_size=10)
    assert scalar.shape == (40,)
    assert scalar.isfinite().all()
