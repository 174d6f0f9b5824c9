"""Decoders as they are: structured outputs, latents of any shape, further inputs."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import torch

from curvcore.errors import InputError
from curvcore.providers.bound import BoundDecoder

# What of a decoder's output is Ψ.
Output = str | int | Callable[[Any], torch.Tensor]


def bind(
    decoder: Callable[..., Any],
    *,
    output: Output | None = None,
    latent_shape: tuple[int, ...] | None = None,
    **inputs: Any,
) -> BoundDecoder:
    """A decoder with its output chosen and its other inputs given: for every function here.

    ``pullback``, ``scalar_curvature``, ``metric`` and ``jet`` take the same keywords.

    Args:
        decoder: ``nn.Module``, method of one or callable, called as ``decoder(z, **inputs)``; or
            one that is bound, to be bound otherwise.
        output: which part of what it returns is Ψ: the key of a dict, the name of an attribute
            (``"sample"``, ``"mean"``, ``"logits"``), the index of a tuple, or a function of what it
            returns. None where it returns a tensor.
        latent_shape: where it takes (B, C, H, W), this is (C, H, W), and d = C·H·W.
        inputs: by name, whatever else it takes. A tensor with as many rows as there are points has
            one for each of them; everything else is for all.

    Raises:
        InputError: ``output`` or ``latent_shape`` is no such thing.
    """
    if not callable(decoder):
        raise InputError(f"Only a callable can be bound; got {type(decoder).__name__}.")
    is_choice = output is None or callable(output) or isinstance(output, (str, Integral))
    if not is_choice or isinstance(output, bool):
        raise InputError(
            f"output must be a name, an index or a function; got {type(output).__name__}."
        )
    if latent_shape is not None:
        latent_shape = tuple(latent_shape)
        if not latent_shape or not all(isinstance(n, Integral) and n > 0 for n in latent_shape):
            raise InputError(f"latent_shape must be positive integers; got {latent_shape!r}.")
    if isinstance(decoder, BoundDecoder):
        output = decoder.output if output is None else output
        latent_shape = latent_shape or decoder.latent_shape
        decoder, inputs = decoder.decoder, decoder.inputs | inputs
    return BoundDecoder(decoder, output, latent_shape, inputs)


def bound_at(decoder, z, output=None, inputs=None):
    """A decoder of points (B, d), and these points: of z (B, ...) and what is bound by keyword.

    Raises:
        InputError: what was bound does not fit the points.
    """
    if not isinstance(z, torch.Tensor) or not callable(decoder):
        if output is not None or inputs:
            raise InputError("output and inputs are of decoders that are called on a tensor z.")
        return decoder, z
    shape = tuple(z.shape[1:]) if z.ndim > 2 else None
    if output is not None or inputs or (shape and not isinstance(decoder, BoundDecoder)):
        decoder = bind(decoder, output=output, latent_shape=shape, **(inputs or {}))
    if not isinstance(decoder, BoundDecoder):
        return decoder, z
    if shape and shape != (decoder.latent_shape or shape):
        raise InputError(
            f"The decoder was bound to latents (B, {', '.join(map(str, decoder.latent_shape))}); "
            f"got {tuple(z.shape)}."
        )
    own = [name for name, value in decoder.inputs.items() if _has_a_row_for_each(value, z)]
    decoder = BoundDecoder(
        decoder.decoder, decoder.output, shape or decoder.latent_shape, decoder.inputs, own
    )
    return decoder, z.flatten(1) if shape else z


def _has_a_row_for_each(value, z):
    return isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == len(z)
