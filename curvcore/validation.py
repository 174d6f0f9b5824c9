"""Checks of what users hand in, before and after the derivatives are computed."""

from numbers import Integral

import torch

from curvcore.errors import (
    DecoderError,
    DegenerateMetricError,
    InputError,
    RowsNotIndependentError,
)

# Batch norms, and spectral norms, which iterate at every call.
_CHANGE_IN_TRAINING = (
    torch.nn.modules.batchnorm._BatchNorm,
    torch.nn.utils.parametrizations._SpectralNorm,
)


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
    """Raise InputError unless z is a real floating tensor (B, d) with d ≥ 1."""
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


def check_finite(z, name="z"):
    """Raise InputError if z is NaN or Inf anywhere; not in a compiler, which cannot branch on it.

    On a GPU the host waits for the answer: geometry asks where it has found degenerate points.
    """
    if torch.compiler.is_compiling():
        return
    finite = torch.isfinite(z.detach()).all(1)
    if not finite.all():
        raise InputError(f"{name} is NaN or Inf at {list_points(~finite)}.")


def check_regular(is_degenerate, condition, z=None, value=None):
    """Raise where the metric is degenerate: here the host waits for the device.

    Args:
        is_degenerate, condition: where, and the condition number of g, (B,).
        z, value: the latent points, and Ψ there (B, D), where they are known.

    Raises:
        InputError: z is not finite.
        DegenerateMetricError: the metric is degenerate, or Ψ not finite.
    """
    if is_degenerate.any():
        if z is not None:
            check_finite(z)
        points = is_degenerate.nonzero()[:, 0]
        unknown = None if value is None else ~value.isfinite().flatten(1).all(1)
        if unknown is not None and unknown.any():
            error = DegenerateMetricError(
                f"Ψ(z) is NaN or infinite at {list_points(unknown)}: outside of the decoder's "
                "domain. Leave such points out, or pass on_degenerate='nan'."
            )
            error.points, error.condition = points, condition[points]
            raise error
        raise DegenerateMetricError.at(points, condition[points])


def check_decoder(decoder, z):
    """Raise unless ``decoder`` can be called on z: what is known before it is.

    Raises:
        DecoderError: it is not callable, or its dtype is not that of z.
        RowsNotIndependentError: BatchNorm in train mode.
    """
    if not callable(decoder):
        raise DecoderError(f"decoder must be callable; got {type(decoder).__name__}.")
    module = getattr(
        decoder, "__self__", decoder
    )  # that of a bound method, or it may be one itself
    if isinstance(module, torch.nn.Module):
        _check_module(module, z)


def _check_module(module, z):
    for name, child in module.named_modules():
        if child.training and isinstance(child, _CHANGE_IN_TRAINING):
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


def checked_box(box, z):
    """``box`` (d, 2) as a tensor like points z (B, d).

    Raises:
        InputError: it is not one, or its ends are not in order.
    """
    box, d = as_numbers("box", box, z), z.shape[1]
    if box.shape != (d, 2):
        raise InputError(f"box must be (d, 2) = ({d}, 2); got {tuple(box.shape)}.")
    if not (box[:, 0] < box[:, 1]).all():
        raise InputError(
            f"box must be lower and upper ends of {d} coordinates, in this order; got "
            f"{box.tolist()}."
        )
    return box


def as_numbers(name, values, like):
    """``values`` as a tensor like another one.

    Raises:
        InputError: they are no numbers.
    """
    try:
        return torch.as_tensor(values).to(like)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} must be numbers, as a tensor, an array or lists; got {values!r:.60}."
        ) from error


def list_points(mask, most=8):
    """ "3 of 64 points: 1, 5, 9" for a boolean mask of points."""
    indices = mask.nonzero()[:, 0].tolist()
    listed = ", ".join(map(str, indices[:most])) + (", ..." if len(indices) > most else "")
    return f"{len(indices)} of {len(mask)} points: {listed}"


def check_latent_array(name, array, rank, d, count):
    """``array`` if it has ``rank`` axes of length d, after one of ``count`` points or none.

    Args:
        count: None for a symbolic geometry, which has no batch axis.

    Raises:
        InputError: it has another shape.
    """
    shape, batch = tuple(getattr(array, "shape", ())), () if count is None else (count,)
    if shape not in ((d,) * rank, batch + (d,) * rank):
        raise InputError(
            f"{name} must be (B{', d' * rank}) with d = {d}; got "
            f"{shape or type(array).__name__}{f' for B = {count} points' if batch else ''}."
        )
    return array


def check_has_planes(d):
    """Raise an InputError unless a latent space of dimension d has planes."""
    if d < 2:
        raise InputError("Sectional curvature needs a plane: d ≥ 2; this latent space has d=1.")
