"""Decoders as they are: structured outputs, latents of any shape, further inputs."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch

from curvcore.errors import InputError
from curvcore.expected import Ensemble
from curvcore.likelihoods import Coordinates, parameters_of
from curvcore.modes import is_plain_eager
from curvcore.providers.bound import AmbientDecoder, AmbientExpressions, BoundDecoder, alone

# x (B, D) -> a metric (B, D, D), its diagonal (B, D), or the factor (B,) of the identity.
Ambient = Callable[[torch.Tensor], torch.Tensor]
# What of a decoder's output is Ψ.
Output = str | int | Callable[[Any], torch.Tensor]


def bind(
    decoder: Callable[..., Any],
    *,
    output: Output | None = None,
    latent_shape: tuple[int, ...] | None = None,
    ambient: Ambient | None = None,
    likelihood: str | None = None,
    per_row: Sequence[str] | None = None,
    **inputs: Any,
) -> BoundDecoder | AmbientDecoder:
    """A decoder with its output chosen and its other inputs given: for every function here.

    ``pullback``, ``scalar_curvature``, ``metric`` and ``jet`` take the same keywords.

    Args:
        decoder: ``nn.Module``, method of one or callable, called as ``decoder(z, **inputs)``; or
            one that is bound, to be bound otherwise.
        output: which part of what it returns is Ψ: the key of a dict, the name of an attribute
            (``"sample"``, ``"mean"``, ``"logits"``), the index of a tuple, or a function of what it
            returns. None where it returns a tensor.
        latent_shape: where it takes (B, C, H, W), this is (C, H, W), and d = C·H·W.
        ambient: a metric on the data space, x (B, D) -> G(x) (B, D, D), its diagonal (B, D), or the
            factor (B,) of the identity, for g = ∇ΨᵀG(Ψ)∇Ψ; positive, and made of torch functions.
        likelihood: Ψ are the parameters of a distribution, and g is Fisher and Rao's metric: one of
            :data:`curvcore.likelihoods.LIKELIHOODS`, which says what the output must be then.
        per_row: the names of the inputs with a row for each point; one row alone is given to any
            number of points. None: those tensors that have as many rows as there are points.
        inputs: by name, whatever else it takes.

    Raises:
        InputError: ``output`` or ``latent_shape`` is no such thing, or ``likelihood`` is asked of
            an Ensemble.
    """
    _check_callable(decoder, ambient)
    _check_output(output)
    latent_shape = _checked_shape(latent_shape)
    if isinstance(decoder, AmbientDecoder):
        if output is not None or likelihood is not None:
            raise InputError("A decoder with a metric has its output chosen: bind it before.")
        ambient, decoder = ambient or decoder.ambient, decoder.immersion
    if isinstance(decoder, BoundDecoder):
        output = decoder.output if output is None else output
        latent_shape = latent_shape or decoder.latent_shape
        per_row = decoder.declared if per_row is None else per_row
        decoder, inputs = decoder.decoder, decoder.inputs | inputs
    if isinstance(decoder, Ensemble) and (ambient is not None or likelihood is not None):
        raise InputError(
            "The outputs of an Ensemble are stacked: give its members what they decode to, "
            "curvcore.Ensemble([curvcore.bind(member, likelihood=...) for member in members])."
        )
    if likelihood is not None:
        if ambient is not None:
            raise InputError("Give ambient, a metric of data, or likelihood, of parameters.")
        output, ambient = parameters_of(likelihood, output)
    bound = _with_declared(decoder, output, latent_shape, inputs, per_row)
    return bound if ambient is None else AmbientDecoder(bound, ambient)


def _check_callable(decoder, ambient):
    if not callable(decoder):
        raise InputError(f"Only a callable can be bound; got {type(decoder).__name__}.")
    if ambient is not None and not callable(ambient):
        raise InputError(
            f"ambient must be a function of x (B, D); got {type(ambient).__name__}. Of a constant "
            "metric G: lambda x: G.expand(len(x), *G.shape)."
        )


def _check_output(output):
    is_choice = output is None or callable(output) or isinstance(output, (str, Integral))
    if not is_choice or isinstance(output, bool):
        raise InputError(
            f"output must be a name, an index or a function; got {type(output).__name__}."
        )


def _checked_shape(latent_shape):
    if latent_shape is None:
        return None
    latent_shape = tuple(latent_shape)
    if not latent_shape or not all(isinstance(n, Integral) and n > 0 for n in latent_shape):
        raise InputError(f"latent_shape must be positive integers; got {latent_shape!r}.")
    return latent_shape


def _with_declared(decoder, output, latent_shape, inputs, per_row):
    """A BoundDecoder; of the inputs ``per_row``, if any are named, one row is for all points."""
    if per_row is None:
        return BoundDecoder(decoder, output, latent_shape, inputs)
    per_row = (per_row,) if isinstance(per_row, str) else tuple(per_row)
    for name in per_row:
        value = inputs.get(name)
        if not isinstance(value, torch.Tensor) or not value.ndim:
            raise InputError(
                f"per_row names {name!r}, which is no tensor of rows among the inputs "
                f"{sorted(inputs)}."
            )
    single = [name for name in per_row if len(inputs[name]) == 1]
    left = tuple(name for name in per_row if name not in single)
    bound = BoundDecoder(decoder, output, latent_shape, inputs, single, left)
    return alone(bound, 0) if single else bound


def bound_at(decoder, z, output=None, ambient=None, likelihood=None, inputs=None, *, lenient=False):
    """A decoder of points (B, d), and these points: of z (B, ...) and what is bound by keyword.

    Parameters of likelihoods are seen to be in their range, unless ``lenient``: then Ψ is NaN
    where they are not.

    Raises:
        InputError: what was bound does not fit the points.
    """
    options = {"output": output, "ambient": ambient, "likelihood": likelihood, **(inputs or {})}
    is_asked = bool(inputs) or any(x is not None for x in (output, ambient, likelihood))
    if not isinstance(z, torch.Tensor) or not callable(decoder):
        if inputs or output is not None or likelihood is not None:
            raise InputError("output, likelihood and inputs are of callables and a tensor z.")
        return decoder if ambient is None else AmbientExpressions(decoder, ambient), z
    shape = tuple(z.shape[1:]) if z.ndim > 2 else None
    is_bound = isinstance(decoder, (BoundDecoder, AmbientDecoder))
    if is_asked or (shape and not is_bound):
        decoder, is_bound = bind(decoder, latent_shape=shape, **options), True
    if not is_bound:
        return decoder, z
    immersion = decoder.immersion if isinstance(decoder, AmbientDecoder) else decoder
    bound, z = _at(immersion, z, shape)
    if isinstance(bound.output, Coordinates) and is_plain_eager():
        bound.output.check(bound, z, lenient)
    return (bound if immersion is decoder else decoder.with_immersion(bound)), z


def _at(decoder, z, shape):
    """A BoundDecoder that knows which of its inputs are of these points, and they, flattened."""
    if shape and shape != (decoder.latent_shape or shape):
        raise InputError(
            f"The decoder was bound to latents (B, {', '.join(map(str, decoder.latent_shape))}); "
            f"got {tuple(z.shape)}."
        )
    own = decoder.declared
    if own is None:
        own = [name for name, value in decoder.inputs.items() if _has_a_row_for_each(value, z)]
    for name in own:
        if len(decoder.inputs[name]) != len(z):
            raise InputError(
                f"{name} must have a row for each of {len(z)} points, or one for all; it has "
                f"{len(decoder.inputs[name])}."
            )
    decoder = BoundDecoder(
        decoder.decoder, decoder.output, shape or decoder.latent_shape, decoder.inputs, own,
        decoder.declared,
    )  # fmt: skip
    return decoder, z.flatten(1) if shape else z


def _has_a_row_for_each(value, z):
    return isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == len(z)
