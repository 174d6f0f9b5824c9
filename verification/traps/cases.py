"""The traps: what torch's nested derivatives make of R and ∂R/∂θ, and what curvcore makes of them.

Each case is a decoder on which a composition of torch.func's transforms fails: a wrong number
without a word, NaN, a wrong dtype, an error. R is computed from that composition, by curvcore's
own tensor formulas, so that derivatives alone can be at fault; then by curvcore; both are compared
with the truth. What torch does is only reported: the next version may do better.
"""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.func import jacfwd, jacrev, vmap

import curvcore
from curvcore.providers import PROVIDERS
from verification.isolated import IsolatedError, isolated
from verification.results import Finding
from verification.traps import layers

JACFWD_JACFWD = (jacfwd, jacfwd)
JACREV_JACFWD = (jacrev, jacfwd)
JACFWD_JACREV = (jacfwd, jacrev)
JACREV_JACREV = (jacrev, jacrev)


@dataclass(frozen=True)
class Trap:
    """A decoder and a composition of transforms that torch gets wrong on it.

    Attributes:
        layer: what the decoder is made of.
        nesting: the outer transform, which gives ∇²Ψ, and the inner one.
        row: decoder -> the map z_i -> Ψ(z_i) that is transformed; it keeps a batch axis of one.
        context: () -> context manager in which R is computed, without gradient; or nullcontext.
        compiled: whether R is computed within ``torch.compile``.
        may_refuse: whether an error is all that can be asked of curvcore.
    """

    layer: layers.Layer
    nesting: tuple
    row: Callable = lambda decoder: lambda z: decoder(z[None])[0]
    context: Callable = nullcontext
    compiled: bool = False
    may_refuse: bool = False

    @property
    def name(self):
        """The composition, and under what conditions."""
        composition = "∘".join(transform.__name__ for transform in self.nesting)
        context = "" if self.context is nullcontext else f" under {self.context.__name__}"
        return composition + context + (" within torch.compile" if self.compiled else "")

    @property
    def has_gradient(self):
        """Whether ∂R/∂θ is looked at."""
        return self.context is nullcontext


def traps(full=False):
    """Yield every Trap; those that wait for a compiler only if ``full``."""
    for layer in (layers.LAYER_NORM, layers.INSTANCE_NORM):
        for nesting in (JACFWD_JACFWD, JACREV_JACFWD, JACREV_JACREV):
            yield Trap(layer, nesting)
    for layer in layers.MATRIX_FUNCTIONS:
        for nesting in (JACFWD_JACFWD, JACFWD_JACREV):
            yield Trap(layer, nesting)
    for layer in layers.REPEATED_VALUES:
        yield Trap(layer, JACFWD_JACFWD, may_refuse=True)
    yield Trap(layers.SCALED, JACFWD_JACFWD, row=lambda decoder: decoder)
    for layer in (layers.SILU, layers.MISH):
        for context in (torch.no_grad, torch.inference_mode):
            yield Trap(layer, JACFWD_JACFWD, context=context)
    if full:
        for nesting in (JACFWD_JACFWD, JACFWD_JACREV):
            yield Trap(layers.TANH, nesting, compiled=True)


def findings(full=False):
    """Yield a Finding per trap; it passes if curvcore is right, whatever torch does."""
    yield from map(examined, traps(full))


def examined(trap):
    """The Finding about one trap."""
    graph = layers.Graph(trap.layer)
    passed, ours = _of_curvcore(trap, graph)
    quantities = "R and ∂R/∂θ are" if trap.has_gradient else "R is"
    claim = "right, or refused," if trap.may_refuse else "right,"
    return Finding(
        section="traps",
        subject=trap.layer.name,
        statement=f"{quantities} {claim} whatever {trap.name} gives",
        figure=f"torch: {_of_torch(trap, graph)}; curvcore: {ours}",
        passed=passed,
    )


# --- the two verdicts ---------------------------------------------------------------------------


def _of_torch(trap, graph):
    """What torch does, in words."""
    if not trap.compiled:
        return _of_torch_here(trap, graph)
    try:  # what the compiler makes of the trap may crash
        return isolated(of_torch_compiled, [t for t in traps(full=True) if t.compiled].index(trap))
    except IsolatedError as error:
        return str(error)


def of_torch_compiled(number):
    """What torch does with the trap of that number among those that are compiled, in words."""
    trap = [trap for trap in traps(full=True) if trap.compiled][number]
    return _of_torch_here(trap, layers.Graph(trap.layer))


def _of_torch_here(trap, graph):
    try:
        errors, dtype = _errors(trap, graph, _nested_scalar(trap, graph))
    except Exception as error:  # torch raises many kinds
        return f"raises {type(error).__name__}"
    if dtype != graph.layer.dtype:
        return f"{_name(dtype)} from {_name(graph.layer.dtype)}"
    if _are_right(errors, graph):
        return "fixed in this version"
    return ", ".join(_in_words(*item, graph) for item in errors.items())


def _of_curvcore(trap, graph):
    """Whether curvcore is right by every provider that knows the layer, and by how much."""
    providers = ["fused"] if trap.compiled else PROVIDERS
    verdicts = [_of_provider(trap, graph, derivatives) for derivatives in providers]
    return all(passed for passed, _ in verdicts), ", ".join(figure for _, figure in verdicts)


def _of_provider(trap, graph, derivatives):
    def scalar(z):
        return curvcore.scalar_curvature(graph, z, derivatives=derivatives)

    try:
        errors, dtype = _errors(trap, graph, scalar)
    except Exception as error:  # the compiler's as well as curvcore's own
        refused = trap.may_refuse and isinstance(error, curvcore.CurvatureError)
        return refused, f"{derivatives} {type(error).__name__}"
    passed = _are_right(errors, graph) and dtype == graph.layer.dtype
    worst = max(errors.values(), key=lambda error: (error != error, error))
    return passed, f"{derivatives} {worst:.0e}"


# --- R, and its errors --------------------------------------------------------------------------


def _nested_scalar(trap, graph):
    """z -> R from ∇Ψ and ∇²Ψ as the trap's transforms give them."""
    outer, inner = trap.nesting
    row = trap.row(graph)

    def scalar(z):
        jacobian, hessian = vmap(inner(row))(z), vmap(outer(inner(row)))(z)
        jet = curvcore.Jet(jacobian[:, :, 0], jacobian, hessian)  # R does not depend on the value
        return curvcore.PullbackGeometry(jet, on_degenerate="nan").scalar

    return scalar


def _errors(trap, graph, scalar):
    """The errors of R and of ∂R/∂θ, by name, and the dtype of R."""
    with warnings.catch_warnings(), trap.context():
        warnings.simplefilter("ignore")  # torch's, of slow paths and of its own deprecations
        found = (torch.compile(scalar) if trap.compiled else scalar)(graph.points)
        errors = {"R": graph.truth.scalar_error(found.detach())}
        if trap.has_gradient:
            errors["∂R/∂θ"] = graph.truth.gradient_error(_gradient(found, graph))
    return errors, found.dtype


def _gradient(scalar, graph):
    """∂(Σ R)/∂θ (P,), zero in what R has no connection to."""
    parameters = [*graph.parameters()]
    if not scalar.requires_grad:
        return torch.cat([torch.zeros_like(p).flatten() for p in parameters])
    gradients = torch.autograd.grad(
        scalar.sum(), parameters, allow_unused=True, materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in gradients])


def _allowed(quantity, graph):
    allowances = {"R": graph.truth.scalar_allowance, "∂R/∂θ": graph.truth.gradient_allowance}
    return torch.finfo(graph.layer.dtype).eps * allowances[quantity]


def _are_right(errors, graph):
    """Whether all errors are within what rounding may cost; NaN is not."""
    return all(error <= _allowed(quantity, graph) for quantity, error in errors.items())


def _in_words(quantity, error, graph):
    if error <= _allowed(quantity, graph):
        return f"{quantity} right"
    return f"{quantity} wrong by {error:.2g}" if error == error else f"{quantity} NaN"


def _name(dtype):
    return str(dtype).removeprefix("torch.")
