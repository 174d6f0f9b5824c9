"""Decoders of which an output was chosen and further inputs are bound."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from curvcore.errors import InputError
from curvcore.providers.structured import chosen


class BoundDecoder(nn.Module):
    """A decoder (B, d) -> (B, ...) made of a callable: made by :func:`curvcore.bind`.

    Attributes:
        decoder: the callable.
        output: which part of what it returns is Ψ.
        latent_shape: (B, d) is given to it as (B, *latent_shape), or as it is.
        inputs: what else it is called with, by name.
        per_row: the names of those of which every point has its own row.
        declared: those that the user said to have, or None.
    """

    def __init__(
        self, decoder, output=None, latent_shape=None, inputs=None, per_row=(), declared=None
    ):
        super().__init__()
        self.declared = declared
        self.decoder, self.output, self.latent_shape = decoder, output, latent_shape
        self.inputs, self.per_row = dict(inputs or {}), tuple(per_row)
        owner = getattr(decoder, "__self__", None)
        self.owner = owner if isinstance(owner, nn.Module) else None  # whose parameters these are

    def extra_repr(self):
        """What was bound."""
        bound = {"output": self.output, "latent_shape": self.latent_shape, "inputs": [*self.inputs]}
        return ", ".join(f"{name}={value}" for name, value in bound.items() if value)

    def forward(self, z):
        """Ψ at points (B, d)."""
        return chosen(self.returned(z), self.output)

    def returned(self, z):
        """What the callable itself returns at points (B, d)."""
        if self.latent_shape is not None:
            z = z.reshape(len(z), *self.latent_shape)
        return self.decoder(z, **self.inputs)

    def of_rows(self, rows):
        """The same for the points that ``rows``, a slice or an index, selects."""
        if not self.per_row:
            return self
        own = {name: self.inputs[name][rows] for name in self.per_row}
        return self.with_inputs(own)

    def with_inputs(self, own):
        """The same with other inputs of these names."""
        inputs = self.inputs | own
        return BoundDecoder(
            self.decoder, self.output, self.latent_shape, inputs, self.per_row, self.declared
        )


class Joined(nn.Module):
    """What a decoder returns -> (Ψ, G(Ψ)), flattened: the derivatives of both in one pass."""

    def __init__(self, output, ambient):
        super().__init__()
        self.output, self.ambient = output, ambient

    def forward(self, returned):
        """(B, D + numbers of G)."""
        x = chosen(returned, self.output).flatten(1)
        return torch.cat([x, self.ambient(x).reshape(len(x), -1)], 1)


class AmbientDecoder(nn.Module):
    """A decoder into R^D with a metric of its own: made by :func:`curvcore.bind`.

    Functions that know of such metrics take it apart; no other can call it.

    Attributes:
        immersion: the BoundDecoder (B, d) -> (B, ...).
        ambient: x (B, D) -> G(x), (B, D, D), its diagonal (B, D), or the factor (B,) of I.
        joined: a Joined of its output and of ``ambient``.
    """

    def __init__(self, immersion, ambient, joined=None):
        super().__init__()
        self.immersion, self.ambient = immersion, ambient
        self.joined = Joined(immersion.output, ambient) if joined is None else joined

    def joint(self):
        """z ↦ (Ψ(z), G(Ψ(z))), a BoundDecoder."""
        own = self.immersion
        return BoundDecoder(own.decoder, self.joined, own.latent_shape, own.inputs, own.per_row)

    def with_immersion(self, immersion):
        """The same metric on what another BoundDecoder of the same output returns."""
        return AmbientDecoder(immersion, self.ambient, self.joined)

    def forward(self, z):
        """Nothing: Ψ alone would be taken to be in a Euclidean space."""
        raise InputError(
            "This function takes the data space to be Euclidean; the decoder is bound to an "
            "ambient metric or a likelihood. curvcore.pullback, scalar_curvature, metric, jet, the "
            "maps, geodesics and curvcore.statistics know of these."
        )


@dataclass(frozen=True)
class AmbientExpressions:
    """Expressions of an immersion, and of a diagonal metric or a factor: x -> one or D of them."""

    expressions: Any
    ambient: Callable[..., Any]


class _WithRow(nn.Module):
    """A callable that gives all points the same row of some inputs."""

    def __init__(self, bound, row):
        super().__init__()
        self.decoder, self.owner = bound.decoder, bound.owner
        self.own = {name: bound.inputs[name][row] for name in bound.per_row}

    def forward(self, z, **shared):
        own = {name: value.expand(len(z), *value.shape) for name, value in self.own.items()}
        return self.decoder(z, **shared, **own)


def alone(decoder, row):
    """What a decoder is with the inputs of one of its rows, at any points."""
    if isinstance(decoder, AmbientDecoder):
        return decoder.with_immersion(alone(decoder.immersion, row))
    shared = {name: x for name, x in decoder.inputs.items() if name not in decoder.per_row}
    left = tuple(name for name in decoder.declared or () if name in shared)
    one = _WithRow(decoder, row)
    return BoundDecoder(one, decoder.output, decoder.latent_shape, shared, declared=left)


def rows_of(decoder):
    """The inputs of which every point has its own row, by name."""
    if isinstance(decoder, AmbientDecoder):
        decoder = decoder.immersion
    if not isinstance(decoder, BoundDecoder):
        return {}
    return {name: decoder.inputs[name] for name in decoder.per_row}


def of_rows(decoder, rows):
    """``decoder`` for some of the points, a slice or an index."""
    if isinstance(decoder, AmbientDecoder):
        return decoder.with_immersion(of_rows(decoder.immersion, rows))
    return decoder.of_rows(rows) if isinstance(decoder, BoundDecoder) else decoder


def of_one_row(decoder):
    """``decoder`` as a map of any points: with the inputs of the first one for all."""
    return alone(decoder, 0) if rows_of(decoder) else decoder
