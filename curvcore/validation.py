"""Checks of what users hand in. Nothing is changed, and nothing runs before it is checked."""

import torch

from curvcore.errors import DecoderError, InputError, RowsNotIndependentError
from curvcore.providers.primitives import PrimitiveOperations

_NORMALISES_OVER_BATCH = torch.nn.modules.batchnorm._BatchNorm


def check_choice(name, value, choices):
    """Raise InputError unless ``value`` is one of ``choices``."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} must be one of {listed}; got {value!r}.")


def check_chunk_size(chunk_size):
    """Raise InputError unless ``chunk_size`` is None or a positive integer."""
    if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
        raise InputError(f"chunk_size must be None or a positive integer; got {chunk_size!r}.")


def check_points(z):
    """Raise InputError unless z is a finite floating tensor (B, d) with d ≥ 1."""
    if not isinstance(z, torch.Tensor):
        raise InputError(
            f"z must be a torch tensor (B, d); got {type(z).__name__}. "
            "Write torch.as_tensor(z), or give sympy symbols together with sympy expressions."
        )
    if z.ndim != 2:
        hint = " For one point write z[None]." if z.ndim == 1 else ""
        raise InputError(f"z must be (B, d); got {tuple(z.shape)}.{hint}")
    if z.shape[1] == 0:
        raise InputError(f"z must have at least one latent coordinate; got {tuple(z.shape)}.")
    if not z.is_floating_point():
        raise InputError(f"z must be real floating point; got {z.dtype}. Write z.double().")
    finite = torch.isfinite(z.detach()).all(1)
    if not finite.all():
        raise InputError(f"z is NaN or Inf at {list_points(~finite)}.")


def check_decoder(decoder, z):
    """Probe ``decoder`` with at most two rows, and return the number D of output components.

    Raises:
        DecoderError: it is not callable, its dtype differs from that of z, its output is not a
            floating tensor (B, ...), or has D < d components.
        RowsNotIndependentError: BatchNorm in train mode, or a row's output that depends on the
            other rows.
    """
    if not callable(decoder):
        raise DecoderError(f"decoder must be callable; got {type(decoder).__name__}.")
    if isinstance(decoder, torch.nn.Module):
        _check_module(decoder, z)
    with torch.no_grad(), PrimitiveOperations():
        rows = _probe_rows(z)
        together = _check_output(decoder(rows), rows)
        if len(rows) == 2:
            alone = torch.cat([_check_output(decoder(row[None]), row[None]) for row in rows])
            _check_rows_independent(together, alone)
    return together.shape[1]


def _check_module(module, z):
    for name, child in module.named_modules():
        if isinstance(child, _NORMALISES_OVER_BATCH) and child.training:
            raise RowsNotIndependentError(
                f"{type(child).__name__} '{name}' is in train mode, so a row's output depends on "
                "the other rows. Call decoder.eval(), or use LayerNorm or GroupNorm."
            )
    dtypes = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if dtypes and z.dtype not in dtypes:
        got = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise DecoderError(
            f"The decoder's parameters are {got} and z is {z.dtype}. "
            f"Convert one: z.to({got.split(', ')[0]}) or decoder.to({z.dtype})."
        )


def _probe_rows(z):
    """Two distinct rows where there are any; the second made up where z has one row only."""
    rows = z.detach()[:2].clone()
    if len(rows) != 1:
        return rows
    return torch.cat([rows, rows + rows.abs().amax().clamp(min=1) / 8])


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
    components = output[:1].numel() if len(output) else output.flatten(1).shape[1]
    if components < rows.shape[1]:
        raise DecoderError(
            f"A decoder with D = {components} outputs cannot immerse d = {rows.shape[1]} latent "
            "coordinates: its metric is degenerate everywhere. D ≥ d is needed."
        )
    return output.reshape(len(rows), components)


def _check_rows_independent(together, alone):
    difference = (together - alone).abs().max()
    tolerance = torch.finfo(together.dtype).eps ** 0.5 * together.abs().max()
    if difference > tolerance:
        raise RowsNotIndependentError(
            "The decoder's output at a point changes with the other points in the batch, by "
            f"{float(difference):.1e}: it normalises over the batch or is random. Curvature needs "
            "a map of single points; call decoder.eval() or remove what couples the rows."
        )


def list_points(mask, most=8):
    indices = mask.nonzero()[:, 0].tolist()
    listed = ", ".join(map(str, indices[:most])) + (", ..." if len(indices) > most else "")
    return f"{len(indices)} of {len(mask)} points: {listed}"
