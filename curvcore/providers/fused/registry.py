"""The rule table of the fused provider, and how to add to it.

A rule says what a torch function does to jets. Three kinds cover nearly everything:

- :func:`elementwise`: y = f(x) entry by entry. Give f', f'', f''' as a generator::

      @curvcore.rules.elementwise(torch.sin)
      def _(x, y):                 # the input x and y = sin(x); further arguments follow
          yield torch.cos(x)       # f'
          yield -y                 # f''
          yield -torch.cos(x)      # f''', run only if third derivatives are asked for

- :func:`linear`: linear in the first argument, the others constant, called under ``torch.vmap``;
  :func:`rowwise_linear` if it moreover does the same to every row along axis 0, as layers do: then
  it is called as it is, and may be opaque to torch. One declaration::

      curvcore.rules.linear(torch.flip)

- :func:`composite`: write it with functions that have rules::

      @curvcore.rules.composite(torch.nn.functional.glu)
      def _(x, dim=-1):
          value, gate = x.chunk(2, dim)
          return value * torch.sigmoid(gate)

A Python function of your own needs a rule only if it hides what it does (a custom kernel, an
``autograd.Function`` whose ``forward`` leaves torch). Then let it call
:func:`torch.overrides.handle_torch_function` for arguments that are not tensors, as torch's own
functions do, and register it.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

import torch

from curvcore.providers.fused.chain_rule import compose
from curvcore.providers.fused.hidden_layers import HiddenLayer, can_be_gathered
from curvcore.providers.fused.jet_tensor import RULES, JetTensor
from curvcore.providers.fused.layers import Activation, activated, can_be_activated
from curvcore.providers.fused.views import sharing
from curvcore.providers.primitives import magnitude

F = TypeVar("F", bound=Callable[..., Any])


def named(*names: str) -> tuple[Callable[..., Any], ...]:
    """The torch functions of these names: torch.x, torch.Tensor.x, torch.special.x, F.x, ..."""
    places = (torch, torch.Tensor, torch.special, torch.linalg, torch.nn.functional)
    found = [getattr(place, name) for name in names for place in places if hasattr(place, name)]
    return tuple(dict.fromkeys(found))


def composite(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Decorator: the decorated function is called on jets in place of each of ``functions``."""

    def register(implementation: F) -> F:
        RULES.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def elementwise(
    *functions: Callable[..., Any],
    closed: bool = False,
    kernel: str | Callable[..., Any] | None = None,
    multiplier: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Decorator of ``(x, y, *arguments)`` -> generator of f'(x), f''(x), f'''(x).

    A derivative that vanishes identically, as those after it, is left out.

    Args:
        functions: of torch, entry by entry.
        closed: all three are given, and depend on no tensor but x and y. Then a linear layer
            before is fused with the function, its gradient by hand.
        kernel: the function's name in ``curvcore.kernels.activations``, or what gives it from
            the further arguments.
        multiplier: m with f(cx) = m(c) f(x), c > 0, but for a constant. Then f is differentiated at
            x/|x|: f'' leaves the range of numbers long before f does.
    """

    def register(derivatives: F) -> F:
        for function in functions:
            RULES[function] = _chain_rule(function, derivatives, closed, kernel, multiplier)
        return derivatives

    return register


def linear(*functions: Callable[..., Any]) -> None:
    """Declare functions linear in their first argument, whatever they do to axis 0."""
    for function in functions:
        RULES[function] = sharing(function, linear_rule(function))


def rowwise_linear(*functions: Callable[..., Any]) -> None:
    """Declare functions linear in their first argument that treat all rows of axis 0 alike."""
    for function in functions:
        RULES[function] = _rowwise_rule(function)


def _chain_rule(function, derivatives, closed=False, kernel=None, multiplier=None):
    flag = _place_of_flag(function)

    def rule(x, *args, **kwargs):
        if kwargs.get("inplace") or (flag is not None and True in args[flag:][:1]):
            return x.become(differentiated(x.frozen(), *args, **kwargs))
        return differentiated(x, *args, **kwargs)

    def differentiated(x, *args, **kwargs):
        # A function that works in place gets a copy: its derivatives need what was there.
        in_place = kwargs.get("inplace") or any(argument is True for argument in args)
        if closed and x.is_pending and not in_place and can_be_activated(x.pending[0]):
            activation = Activation(
                lambda t: function(t, *args, **kwargs),
                lambda t, y: derivatives(t, y, *args, **kwargs),
                kernel(*args, **kwargs) if callable(kernel) else kernel,
            )
            if x.ndim == 2 and can_be_gathered(*x.pending, activation):
                return JetTensor.of_layer(HiddenLayer.of(*x.pending, activation), x.shape)
            stack = activated(*x.pending, activation)
            return JetTensor.of_stack(stack.reshape(-1, *x.shape), x.d, x.order)
        value = applied(function, x.value.clone() if in_place else x.value, *args, **kwargs)
        if multiplier is None or not isinstance(value, torch.Tensor):
            return x.like(value, composed(x, value, *args, **kwargs))
        size = magnitude(x.value)
        unit = x.like(x.value / size, x.channels / size)
        channels = composed(unit, function(unit.value, *args, **kwargs), *args, **kwargs)
        return x.like(value, channels * multiplier(size, *args, **kwargs))

    rule.closed_derivatives = derivatives if closed else None

    def composed(x, value, *args, **kwargs):
        factors = islice(derivatives(x.value, value, *args, **kwargs), x.order)
        return compose([filled(factor, value) for factor in factors], x)

    return rule


def _place_of_flag(function):
    """Where among the further arguments of a Python function ``inplace`` stands, if it does."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[1 : code.co_argcount] if code else ()
    return names.index("inplace") if "inplace" in names else None


def applied(function, tensor, *args, **kwargs):
    """``function(tensor, ...)``; methods of torch.Tensor take nothing else, not even overriding."""
    if isinstance(tensor, torch.Tensor):
        return function(tensor, *args, **kwargs)
    return tensor.__torch_function__(function, (type(tensor),), (tensor, *args), kwargs)


def filled(factor, value):
    """A derivative, which may have been given as a number, at every entry of the value."""
    if getattr(factor, "shape", None) == value.shape:
        return factor
    if not isinstance(factor, torch.Tensor):
        return torch.full_like(value, factor)
    return factor.to(value).expand_as(value)


def over_channels(function):
    """``function`` of tensors, applied to every channel of stacks of them."""

    def at_once(*stacks):
        if isinstance(stacks[0], torch.Tensor):
            return torch.vmap(function)(*stacks)
        results = [function(*channels) for channels in zip(*stacks, strict=True)]
        if isinstance(results[0], tuple):
            return tuple(map(torch.stack, zip(*results, strict=True)))
        return torch.stack(results)

    return at_once


def linear_rule(function):
    """The rule of a function linear in its first argument: it maps every channel."""

    def rule(x, *args, **kwargs):
        value = applied(function, x.value, *args, **kwargs)
        channels = over_channels(lambda channel: applied(function, channel, *args, **kwargs))(
            x.channels_at_every_point()
        )
        if isinstance(value, (tuple, list)):
            return tuple(x.like(v, c) for v, c in zip(value, channels, strict=True))
        return x.like(value, channels)

    return rule


def _rowwise_rule(function):
    def rule(x, *args, **kwargs):
        value = applied(function, x.value, *args, **kwargs)
        return x.like(value, rowwise(function, x.channels, *args, **kwargs))

    return rule


def rowwise(function, channels, *args, **kwargs):
    """``function`` applied to all channels at once, as so many more rows."""
    rows = applied(function, channels.flatten(0, 1), *args, **kwargs)
    return rows.unflatten(0, channels.shape[:2])


def is_jet(argument):
    """Whether an argument depends on the latent point."""
    return isinstance(argument, JetTensor)
