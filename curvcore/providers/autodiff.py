"""Jets by nested forward-mode automatic differentiation (torch.func), one point at a time.

Slow and obvious: the referee of every other provider. ``vmap`` runs over the points, d tangents
per order over the directions, all orders in one sweep.

Nested transforms are silently wrong on some torch functions, so nothing here rests on one nesting:
those functions are swapped for primitives (:mod:`curvcore.providers.primitives`), and the result is
compared with derivatives taken another way (:mod:`curvcore.providers.witness`).
"""

import warnings

import torch
from torch.func import jacfwd, vmap

from curvcore.errors import (
    CurvatureError,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from curvcore.jets import Jet
from curvcore.modes import one_thread_of_forward_mode
from curvcore.providers.bound import of_one_row, rows_of
from curvcore.providers.fresh import Rows
from curvcore.providers.kinks import kinks_of, note_kinks
from curvcore.providers.outputs import ambient_dimension
from curvcore.providers.primitives import PrimitiveOperations
from curvcore.providers.restriction import sample_restriction
from curvcore.providers.witness import check_jet, check_rows_belong

_COMPARED = 8  # points, of decoders with inputs for each


def autodiff_jet(decoder, z, order):
    """The jet of ``decoder`` at latent points ``z``.

    Args:
        decoder: callable (B, d) -> (B, ...) that treats rows independently.
        z: points (B, d), B ≥ 1, of floating dtype.
        order: 1, 2 or 3.

    Returns:
        Jet with the output flattened to D components, differentiable in z and in the parameters.

    Raises:
        DecoderError: the output is not (B, ...) of z's dtype with D ≥ d components.
        RowsNotIndependentError: rows are coupled or random.
        UnsupportedOperationError: an operation has no, or a faulty, nested derivative.
    """
    if torch.is_inference_mode_enabled():  # where torch up to 2.11 has no nested forward mode
        with torch.inference_mode(False), torch.no_grad():
            return autodiff_jet(decoder, z.clone(), order)
    if rows_of(decoder):
        return _jet_of_rows(decoder, z, order)

    of_rows = Rows(decoder)

    def point_map(point):
        # A batch axis of one: 0-d float32 tensors would get float64 tangents. A copy: the decoder
        # may write to its input.
        return of_rows(point[None].clone())[0].reshape(-1)

    def derive(points, order=1):
        with one_thread_of_forward_mode(), PrimitiveOperations():
            return Jet(*vmap(_all_derivatives(point_map, order))(points.contiguous()))

    ambient_dimension(decoder, z)  # a decoder that cannot be called should fail in its own words
    operations = PrimitiveOperations()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # known: it is the referee
        try:
            with one_thread_of_forward_mode(), operations:
                derivatives = vmap(_all_derivatives(point_map, order))
                jet = Jet(*of_rows.tried(derivatives, z.contiguous()))
            check_jet(decoder, point_map, z, jet)
            kinks = kinks_of(decoder, z, jet, derive)
        except CurvatureError:
            raise
        except Exception as error:  # torch raises many kinds, AssertionError among them
            raise _translate(error, operations.operation) from error
    note_kinks(kinks)
    return jet


def autodiff_restriction(decoder, z, directions, order=2, compare=True):
    """The jet of y ↦ Ψ(z + V y) at y = 0, V = ``directions`` (B, d, k): Jet of d = k.

    Compared with other derivatives on a small affine space through the first point, if
    ``compare``. Raises what :func:`autodiff_jet` does.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            return autodiff_restriction(decoder, z.clone(), directions.clone(), order, compare)
    if compare:
        autodiff_jet(*sample_restriction(decoder, z), order)
    of_rows = Rows(decoder)

    def derivatives(point, directions):
        def restricted(y):
            return of_rows((point + directions @ y)[None])[0].reshape(-1)

        return _all_derivatives(restricted, order)(torch.zeros_like(directions[0]))

    return _jet_of_each(of_rows, derivatives, z.contiguous(), directions.contiguous())


def _jet_of_rows(decoder, z, order):
    """That of a decoder of which every point has inputs of its own; compared with those of one."""
    check_rows_belong(decoder, z)
    autodiff_jet(of_one_row(decoder), z[:_COMPARED], order)
    return plain_jet(decoder, z, order)


def plain_jet(decoder, z, order):
    """That of :func:`autodiff_jet`, compared with nothing."""
    names, rows = [*rows_of(decoder)], rows_of(decoder).values()
    of_rows = Rows(decoder)

    def derivatives(point, *own):
        bound = None
        if names:
            bound = decoder.with_inputs({n: x[None] for n, x in zip(names, own, strict=True)})
        point_map = lambda p: of_rows(p[None].clone(), bound)[0].reshape(-1)  # noqa: E731
        return _all_derivatives(point_map, order)(point)

    return _jet_of_each(of_rows, derivatives, z.contiguous(), *rows)


def _jet_of_each(of_rows, derivatives, *tensors):
    operations = PrimitiveOperations()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        try:
            with one_thread_of_forward_mode(), operations:
                return Jet(*of_rows.tried(vmap(derivatives), *tensors))
        except CurvatureError:
            raise
        except Exception as error:
            raise _translate(error, operations.operation) from error


def _all_derivatives(function, order):
    """z -> (Ψ, ∇Ψ, ..., ∇^order Ψ), the lower ones carried along as auxiliary output."""

    def level(z):
        value = function(z)
        return value, (value,)

    for _ in range(order):
        level = _differentiate(level)
    return lambda z: level(z)[1]


def _differentiate(level):
    jacobian = jacfwd(level, has_aux=True)

    def next_level(z):
        derivative, lower = jacobian(z)
        return derivative, (*lower, derivative)

    return next_level


def _translate(error, operation):
    text = str(error)
    if "called random operation" in text:
        return RowsNotIndependentError(
            f"The decoder is random: it calls {operation}. Call decoder.eval(), remove the noise, "
            "or draw it once outside the decoder."
        )
    reason = (text or type(error).__name__).splitlines()[0]
    return UnsupportedOperationError(
        f"The decoder cannot be differentiated in nested forward mode, at or just after "
        f"{operation}. torch says: {reason} Write that operation from differentiable "
        "primitives; a custom autograd.Function needs setup_context, jvp and a vmap rule."
    )
