"""Checks of what users hand in, before and after the derivatives are computed."""

import math
from numbers import Integral

import torch

from curvcore.errors import DecoderError, InputError, RowsNotIndependentError
from curvcore.providers.primitives import PrimitiveOperations, call_plainly

_NORMALISES_OVER_BATCH = torch.nn.modules.batchnorm._BatchNorm
_POWER_ITERATION = torch.nn.utils.parametrizations._SpectralNorm


def check_choice(name, value, choices):
    """Raise InputError unless ``value`` is one of ``choices``."""
    if isinstance(value, bool) or not any(value is c or value == c for c in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} must be one of {listed}; got {value!r}.")


def check_chunk_size(chunk_size):
    """Raise InputError unless ``chunk_size`` is None or a positive integer."""
    if chunk_size is None:
        return
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, Integral) or chunk_size < 1:
        raise InputError(f"chunk_size must be None or a positive integer; got {chunk_size!r}.")


def check_points(z):
    """Raise InputError unless z is a finite floating tensor (B, d) with d ≥ 1."""
    if not isinstance(z, torch.Tensor):
        raise InputError(
            f"z must be a torch tensor (B, d); got {type(z).__name__}. Write torch.as_tensor(z), "
            "or give sympy expressions with their symbols. The decoder comes first, then z."
        )
    if z.ndim != 2:
        hint = " For one point write z[None]." if z.ndim == 1 else ""
        raise InputError(f"z must be (B, d); got {tuple(z.shape)}.{hint}")
    if z.shape[1] == 0:
        raise InputError(f"z must have at least one latent coordinate; got {tuple(z.shape)}.")
    if not z.is_floating_point():
        hint = "z.real" if z.is_complex() else "z.double()"
        raise InputError(f"z must be real floating point; got {z.dtype}. Write {hint}.")
    finite = torch.isfinite(z.detach()).all(1)
    if not finite.all():
        raise InputError(f"z is NaN or Inf at {list_points(~finite)}.")


def check_decoder(decoder, z):
    """Raise unless ``decoder`` maps rows of z to rows of D ≥ d components; return D.

    The decoder is called once, on the first point.

    Raises:
        DecoderError: it is not callable, its dtype is not that of z, its output is not a floating
            tensor (B, ...) of that dtype, or has D < d components.
        RowsNotIndependentError: BatchNorm in train mode, Dropout.
    """
    if not callable(decoder):
        raise DecoderError(f"decoder must be callable; got {type(decoder).__name__}.")
    module = decoder if isinstance(decoder, torch.nn.Module) else getattr(decoder, "__self__", None)
    if isinstance(module, torch.nn.Module):
        _check_module(module, z)
    rows = z.detach()[:1].clone()
    with torch.no_grad(), PrimitiveOperations():
        return _check_output(call_plainly(decoder, rows), rows).shape[1]


def _check_module(module, z):
    for name, child in module.named_modules():
        if child.training and isinstance(child, _NORMALISES_OVER_BATCH | _POWER_ITERATION):
            raise RowsNotIndependentError(
                f"{type(child).__name__} '{name}' is in train mode: its output depends on the "
                "other rows or on earlier calls. Call decoder.eval(), or use LayerNorm or "
                "GroupNorm."
            )
    dtypes = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if dtypes and z.dtype not in dtypes:
        got = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise DecoderError(
            f"The decoder's parameters are {got} and z is {z.dtype}. "
            f"Convert one: z.to({got.split(', ')[0]}) or decoder.to({z.dtype})."
        )


def _check_output(output, rows):
    if not isinstance(output, torch.Tensor):
        raise DecoderError(
            f"decoder must return one tensor (B, ...); got {type(output).__name__}. "
            "Wrap it: lambda z: decoder(z)[0], or decoder(z).sample."
        )
    shape = tuple(output.shape)
    if output.ndim < 2 or output.shape[0] != len(rows):
        raise DecoderError(
            f"decoder must map z (B, d) to (B, ...); z {tuple(rows.shape)} gave {shape}. "
            "Keep the batch axis first and at least one axis after it."
        )
    if not output.is_floating_point():
        raise DecoderError(f"decoder must return real floating point; got {output.dtype}.")
    if output.dtype != rows.dtype:
        raise DecoderError(
            f"decoder must return the dtype of z, {rows.dtype}; got {output.dtype}. "
            f"Write lambda z: decoder(z).to(z.dtype), or remove the conversion."
        )
    components = math.prod(shape[1:])
    if components < rows.shape[1]:
        raise DecoderError(
            f"A decoder with D = {components} outputs cannot immerse d = {rows.shape[1]} latent "
            "coordinates: its metric is degenerate everywhere. D ≥ d is needed."
        )
    return output.reshape(len(rows), components)


def list_points(mask, most=8):
    """ "3 of 64 points: 1, 5, 9" for a boolean mask of points."""
    indices = mask.nonzero()[:, 0].tolist()
    listed = ", ".join(map(str, indices[:most])) + (", ..." if len(indices) > most else "")
    return f"{len(indices)} of {len(mask)} points: {listed}"
