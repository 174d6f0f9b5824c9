"""Decoders that are stacks of linear layers and entrywise functions, recognised as such.

A decoder's ``forward`` is called on a Recorder, which takes linear layers, functions whose rules
are closed (:mod:`curvcore.providers.fused.registry`), and shapes at the end; whatever else it meets
ends the attempt. What was recorded must give what the decoder gives. Only what is called is
recorded: parameters are those of now, at every call.
"""

from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import torch
import torch.nn.functional as F

from curvcore.providers.arguments import by_position
from curvcore.providers.fused.jet_tensor import RULES, overload_operators
from curvcore.providers.fused.readout import AffineMap
from curvcore.providers.fused.registry import filled, named
from curvcore.providers.memory import recall
from curvcore.providers.primitives import call_plainly

_RESHAPING = frozenset(named("reshape", "view", "flatten", "unflatten"))


class _NotAStackError(Exception):
    """The decoder is something else."""


@dataclass(frozen=True)
class Layer:
    """f(W u + b): the map, f, and (x, f(x)) -> iterable of f'(x), f''(x)."""

    affine_map: AffineMap
    function: Any
    derivatives: Any


@dataclass(frozen=True)
class Stack:
    """Layers one after the other, and a last affine map, if there is one."""

    layers: tuple
    last: AffineMap | None

    def value(self, z):
        """Ψ(z), (B, D)."""
        for layer in self.layers:
            z = layer.function(layer.affine_map.of_value(z))
        return z if self.last is None else self.last.of_value(z)

    def slopes(self, z):
        """f'_l and f''_l, (B, h_l) each, of all layers."""
        found = []
        for layer in self.layers:
            x = layer.affine_map.of_value(z)
            z = layer.function(x)
            factors = [filled(f, z) for f in islice(layer.derivatives(x, z), 2)]
            found.append((*factors, *[torch.zeros_like(z)] * (2 - len(factors))))
        return tuple(zip(*found, strict=True))


def recorded_stack(decoder, z):
    """The Stack that ``decoder`` is, or None.

    Its values at points z (B, d) are compared with the decoder's at the calls at which jets are
    compared (:mod:`curvcore.providers.memory`).
    """
    record = recall(decoder, z, "stack", RULES.revision)
    try:
        stack = decoder(Recorder(z)).stack()
        if record.is_due:
            record.is_stack = _has_values_of(stack, decoder, z.detach())
            record.settle(decoder, record.kinks)
    except Exception:  # its forward may stumble over a Recorder anywhere
        return None
    return stack if record.is_stack else None


@torch.no_grad()
def _has_values_of(stack, decoder, z):
    value, expected = stack.value(z), call_plainly(decoder, z.clone()).flatten(1)
    if value.shape != expected.shape or value.dtype != expected.dtype:
        return False
    allowed = torch.finfo(z.dtype).eps ** 0.5 * expected.abs().max()
    return bool(((value - expected).abs() <= allowed).all())


class Recorder:
    """Stands for a tensor (B, ...) that layers have led to."""

    def __init__(self, z):
        self._like, self.shape = z, z.shape
        self._layers, self._pending = (), None
        self._with_gradient = torch.is_grad_enabled()

    def stack(self):
        """The Stack so far."""
        if not self._layers:
            raise _NotAStackError
        return Stack(self._layers, self._pending)

    def _after(self, shape, layers, pending):
        image = Recorder(self._like)
        image.shape, image._layers, image._pending = torch.Size(shape), layers, pending
        return image

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        args, kwargs = by_position(function, args, kwargs or {})
        x = args[0]
        if not isinstance(x, cls) or x._with_gradient != torch.is_grad_enabled():
            raise _NotAStackError
        if function is F.linear:
            return x._mapped(*args[1:], **kwargs)
        if function in _RESHAPING:
            return x._reshaped(function, *args[1:], **kwargs)
        return x._activated(function, *args[1:], **kwargs)

    def _mapped(self, weight, bias=None):
        tensors = [t for t in (weight, bias) if t is not None]
        if self._pending is not None or len(self.shape) != 2 or weight.ndim != 2:
            raise _NotAStackError  # two linear layers in a row are rare
        if not all(isinstance(t, torch.Tensor) for t in tensors):
            raise _NotAStackError
        return self._after((len(self), len(weight)), self._layers, AffineMap(weight, bias))

    def _activated(self, function, *args, **kwargs):
        derivatives = getattr(RULES.data.get(function), "closed_derivatives", None)
        if derivatives is None or self._pending is None or len(self.shape) != 2:
            raise _NotAStackError
        layer = Layer(
            self._pending,
            lambda t: function(t.clone(), *args, **kwargs),  # which may work in place
            lambda t, y: derivatives(t, y, *args, **kwargs),
        )
        return self._after(self.shape, (*self._layers, layer), None)

    def _reshaped(self, function, *args, **kwargs):
        shape = function(torch.empty(self.shape, device="meta"), *args, **kwargs).shape
        if len(shape) < 2 or shape[0] != len(self) or prod(shape[1:]) != prod(self.shape[1:]):
            raise _NotAStackError
        return self._after(shape, self._layers, self._pending)

    def __len__(self):
        return self.shape[0]

    def __getattr__(self, name):
        method = getattr(torch.Tensor, name, None)
        if not callable(method) or name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.__torch_function__(method, (), (self, *args), kwargs)

    ndim = property(lambda self: len(self.shape))
    dtype = property(lambda self: self._like.dtype)
    device = property(lambda self: self._like.device)
    requires_grad = True


overload_operators(Recorder, ())
