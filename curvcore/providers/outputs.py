"""Checks of what a decoder returns."""

import torch

from curvcore.errors import CurvatureError, DecoderError
from curvcore.providers.bound import AmbientDecoder, BoundDecoder, of_one_row
from curvcore.providers.primitives import PrimitiveOperations, call_plainly
from curvcore.providers.structured import advice


def ambient_dimension(decoder, z):
    """D, from calling the decoder on the first point; raises what :func:`check_output` does."""
    if isinstance(decoder, AmbientDecoder):
        decoder = decoder.immersion
    rows = z.detach()[:1].clone()
    try:
        with torch.no_grad(), PrimitiveOperations():
            output = call_plainly(of_one_row(decoder), rows)
    except Exception as error:  # the decoder's own
        if not isinstance(error, CurvatureError) and not torch.compiler.is_compiling():
            for line in _advice(decoder, rows):
                error.add_note(line)
        raise
    check_output(output, rows, torch.Tensor)
    return output.shape[1:].numel()


def check_runs(decoder, z):
    """Raise DecoderError with the decoder's own words where it does not take points like z."""
    if torch.compiler.is_compiling():
        return
    try:
        with torch.no_grad():
            call_plainly(decoder, z.detach().clone())
    except CurvatureError:
        raise
    except Exception as error:
        hint = " ".join(_advice(decoder, z))
        raise DecoderError(
            f"The decoder does not take z {tuple(z.shape)}, {z.dtype}: {error} {hint}"
        ) from error


def _advice(decoder, z):
    """What may be meant where a decoder does not take points (B, d)."""
    bound = decoder.immersion if isinstance(decoder, AmbientDecoder) else decoder
    is_bound = isinstance(bound, BoundDecoder)
    if not is_bound or bound.latent_shape is None:
        yield (
            "Latents of another shape: z as they are, or curvcore.bind(decoder, latent_shape=...)."
        )
    if is_bound and bound.declared is None:
        single = [
            name
            for name, value in bound.inputs.items()
            if isinstance(value, torch.Tensor) and value.ndim and len(value) == 1 != len(z)
        ]
        if single:
            yield f"One row of inputs for all points: curvcore.bind(..., per_row={single})."


def check_output(output, rows, kind):
    """Raise DecoderError unless ``output`` of type ``kind`` can be the image of ``rows``."""
    if not isinstance(output, kind):
        raise DecoderError(
            f"decoder must return one tensor (B, ...); got {type(output).__name__}. "
            f"{advice(output)}"
        )
    shape = tuple(output.shape)
    if output.ndim < 2 or output.shape[0] != len(rows):
        raise DecoderError(
            f"decoder must map z (B, d) to (B, ...); z {tuple(rows.shape)} gave {shape}. "
            "Keep the batch axis first and at least one axis after it."
        )
    if not output.dtype.is_floating_point:
        raise DecoderError(f"decoder must return real floating point; got {output.dtype}.")
    if output.dtype != rows.dtype:
        raise DecoderError(
            f"decoder must return the dtype of z, {rows.dtype}; got {output.dtype}. "
            f"Write lambda z: decoder(z).to(z.dtype), or remove the conversion."
        )
    components = output.shape[1:].numel()
    if components < rows.shape[1]:
        raise DecoderError(
            f"A decoder with D = {components} outputs cannot immerse d = {rows.shape[1]} latent "
            "coordinates: its metric is degenerate everywhere. D ≥ d is needed."
        )
