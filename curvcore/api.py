"""The public functions: from a decoder and latent points to geometry."""

import warnings
from functools import partial
from typing import Any, Literal

import torch

from curvcore import geometry as geometries
from curvcore.binding import Ambient, Output, bound_at
from curvcore.errors import InputError, frames_inside_curvcore
from curvcore.estimated import EstimatedGeometry
from curvcore.frame_sums import LARGEST_TABLE
from curvcore.geometry import PullbackGeometry
from curvcore.hutchinson import Hutchinson, ScalarEstimate
from curvcore.jets import Jet
from curvcore.large_dimension import (
    Along,
    estimate_by_pieces,
    estimate_matrix_free,
    scalar_by_pieces,
)
from curvcore.modes import load_forward_mode
from curvcore.piecewise import by_pieces, check_block_size, check_no_rows, is_plain
from curvcore.providers import DERIVATIVES, PROVIDERS
from curvcore.providers.ambient import ambient_jet
from curvcore.providers.automatic import automatic_jet
from curvcore.providers.bound import AmbientDecoder, of_rows, rows_of
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.providers.outputs import ambient_dimension
from curvcore.providers.rounded import rounded_jet
from curvcore.providers.symbolic import symbolic_jet
from curvcore.providers.witness import check_rows_belong
from curvcore.second_pass import SecondPass
from curvcore.types import Decoder, Derivatives, Formula, OnDegenerate, Points
from curvcore.validation import (
    check_choice,
    check_chunk_size,
    check_decoder,
    check_finite,
    check_points,
    check_regular,
    list_points,
)


def jet(
    decoder: Decoder,
    z: Points,
    order: Literal[1, 2, 3] = 2,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    output: Output | None = None,
    ambient: Ambient | None = None,
    likelihood: str | None = None,
    **inputs: Any,
) -> Jet:
    """Value and derivatives of a decoder up to ``order``.

    Args:
        decoder: ``nn.Module`` or callable (B, d) -> (B, ...) that maps every row by itself.
        z: latent points (B, d), or (B, ...), flattened to d coordinates; real floating point; or
            sympy symbols, see :func:`pullback`.
        order: 1, 2 or 3.
        derivatives: ``"fused"``, one pass of all derivatives through the decoder's own code, by
            rules for its operations; ``"autodiff"``, nested forward mode of torch.func, slower,
            for nearly any operation; ``"auto"``, fused where it has all the rules.
        chunk_size: work on this many points at a time, to bound the memory of the derivatives.
        output, ambient, likelihood, inputs: as in :func:`curvcore.bind`.

    Returns:
        Jet, differentiable in z and in the parameters; the output is flattened to D components.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError.
    """
    decoder, z = bound_at(decoder, z, output, ambient, likelihood, inputs)
    if not _is_symbolic(decoder, z):
        check_points(z)
        check_finite(z)
    return _derive(decoder, z, order, derivatives, chunk_size)


def _derive(decoder, z, order, derivatives, chunk_size, lenient=False):
    if order not in (1, 2, 3) or type(order) is not int:
        raise InputError(f"order must be 1, 2 or 3; got {order!r}.")
    check_choice("derivatives", derivatives, DERIVATIVES)
    check_chunk_size(chunk_size)
    if _is_symbolic(decoder, z):
        return symbolic_jet(decoder, z, order)
    check_points(z)
    check_decoder(decoder, z)
    provider = automatic_jet if derivatives == "auto" else PROVIDERS[derivatives]
    return _by_provider(provider, decoder, z, order, chunk_size, lenient)


def _by_provider(provider, decoder, z, order, chunk_size, lenient):
    if isinstance(decoder, AmbientDecoder):
        provider = partial(ambient_jet, provider, lenient=lenient)
    # Curvature needs every digit of z's dtype.
    with torch.autocast(z.device.type, enabled=False):
        if torch.compiler.is_compiling():  # compilers of torch 2.6 break at contexts of one's own
            return _jet_of_pieces(provider, decoder, z, order, chunk_size)
        load_forward_mode()
        with one_warning_of_kinks():
            return _jet_of_pieces(provider, decoder, z, order, chunk_size)


def _jet_of_pieces(provider, decoder, z, order, chunk_size):
    if len(z) == 0:
        return _empty_jet(z, order, ambient_dimension(decoder, z))
    pieces = [provider(*piece, order) for piece in _chunks(decoder, z, chunk_size)]
    if len(pieces) == 1:
        return pieces[0]
    kinds = {type(piece) for piece in pieces}
    return (kinds.pop() if len(kinds) == 1 else Jet).joined(pieces)


def pullback(
    decoder: Decoder,
    z: Points,
    *,
    derivatives: Derivatives = "auto",
    formula: Formula = "gauss",
    order: Literal[1, 2, 3] | None = None,
    chunk_size: int | None = None,
    on_degenerate: OnDegenerate = "raise",
    output: Output | None = None,
    ambient: Ambient | None = None,
    likelihood: str | None = None,
    **inputs: Any,
) -> PullbackGeometry:
    """The geometry of the pullback metric g = ∇Ψᵀ∇Ψ of a decoder at latent points.

    Args:
        decoder: ``nn.Module`` or callable (B, d) -> (B, ...) that maps every row by itself; or D
            sympy expressions (a Matrix or a sequence).
        z: latent points (B, d), or (B, ...), flattened to d coordinates; with expressions, the d
            sympy symbols.
        derivatives: as in :func:`jet`.
        formula: ``"gauss"`` (from ∇Ψ, ∇²Ψ) or ``"intrinsic"`` (through Γ and ∂Γ, needs ∇³Ψ).
        order: of the derivatives; by default what curvature needs by this formula. 1 suffices for
            metric and volume.
        chunk_size: as in :func:`jet`; the derivatives of all points are kept.
        on_degenerate: ``"raise"``, ``"nan"`` or ``"flat"``, for points where g is degenerate, as in
            :class:`PullbackGeometry`.
        output, ambient, likelihood, inputs: which part of the decoder's output is Ψ,
            ``output="sample"``, the metric of its data space, g = G(∇Ψ, ∇Ψ), or the distribution
            that it gives parameters to, and what else it is called with, ``y=labels``: as in
            :func:`curvcore.bind`. With an ambient metric the Gauss equation has that one's own
            curvature in it (:mod:`curvcore.ambient`).

    Returns:
        PullbackGeometry: metric, Christoffel symbols, Riemann, Ricci, scalar curvature, ...

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        DegenerateMetricError: once a quantity that needs g⁻¹ is asked for.
    """
    check_choice("on_degenerate", on_degenerate, geometries.ON_DEGENERATE)
    order = _order_for(formula) if order is None else order
    lenient = on_degenerate != "raise"
    decoder, z = bound_at(decoder, z, output, ambient, likelihood, inputs, lenient=lenient)
    derived = _derive(decoder, z, order, derivatives, chunk_size, lenient)
    again = partial(_by_provider, rounded_jet, order=2, chunk_size=chunk_size, lenient=True)
    options = {"formula": formula, "on_degenerate": on_degenerate}
    return PullbackGeometry.at(z, derived, SecondPass.of(again, decoder, z), **options)


def scalar_curvature(
    decoder: Decoder,
    z: Points,
    *,
    derivatives: Derivatives = "auto",
    formula: Formula = "gauss",
    chunk_size: int | None = None,
    block_size: int | None = None,
    estimator: Hutchinson | None = None,
    on_degenerate: OnDegenerate = "raise",
    output: Output | None = None,
    ambient: Ambient | None = None,
    likelihood: str | None = None,
    **inputs: Any,
) -> torch.Tensor:
    """The scalar curvature R (B,) of the pullback metric; arguments as in :func:`pullback`.

    With ``chunk_size`` everything but R is dropped after each piece: without gradients, memory
    does not grow with B. Above d = 8 pieces are chosen that fit into memory, and stacks of layers
    go by moments of their hidden units (:mod:`curvcore.large_dimension`): last digits are others
    than those of ``pullback(...).scalar``, which ``scalar_error`` speaks of. In float32 up to a
    thousandth of R may be lost where its terms cancel; where more would be, another way is gone.

    Args:
        block_size: second derivatives of a point that are held at a time, 3 at least; by default
            all d(d+1)/2, or as many as 128 MiB of float32 hold. Without gradients memory grows with
            B D (d + block_size); time doubles. Formula ``"gauss"`` only.
        estimator: a :class:`Hutchinson`; then the result is the value that
            :func:`estimate_scalar_curvature` gives.
    """
    check_choice("on_degenerate", on_degenerate, geometries.ON_DEGENERATE)
    check_chunk_size(chunk_size)
    order, lenient = _order_for(formula), on_degenerate != "raise"
    decoder, z = bound_at(decoder, z, output, ambient, likelihood, inputs, lenient=lenient)
    check_block_size(block_size, z, formula)
    if estimator is not None:
        if formula != "gauss" or block_size is not None:
            raise InputError("An estimator goes with formula='gauss' and without block_size.")
        return estimate_scalar_curvature(
            decoder,
            z,
            estimator,
            derivatives=derivatives,
            chunk_size=chunk_size,
            on_degenerate=on_degenerate,
        ).value
    if _is_large(decoder, z, formula, block_size):
        way = partial(scalar_by_pieces, block_size=block_size)
        return by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate)[0]

    def geometry(decoder, points, on_degenerate):
        derived = _derive(decoder, points, order, derivatives, None, on_degenerate != "raise")
        return PullbackGeometry.at(points, derived, formula=formula, on_degenerate=on_degenerate)

    if chunk_size is None or _is_symbolic(decoder, z):
        return geometry(decoder, z, on_degenerate).scalar
    return _scalar_of_chunks(geometry, decoder, z, chunk_size, on_degenerate)


def _scalar_of_chunks(geometry, decoder, z, chunk_size, on_degenerate):
    """R of ``geometry(decoder, points, on_degenerate)``, some points at a time."""
    check_points(z)
    with one_warning_of_kinks():
        mask = "nan" if on_degenerate == "raise" else on_degenerate
        chunks = _chunks(decoder, z, chunk_size)
        pieces = [_regular_scalar(geometry(*chunk, mask)) for chunk in chunks]
    scalar, is_degenerate, condition = map(torch.cat, zip(*pieces, strict=True))
    if on_degenerate == "raise":
        check_regular(is_degenerate, condition, z)
    return scalar


def estimate_scalar_curvature(
    decoder: Decoder,
    z: Points,
    estimator: Hutchinson,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    on_degenerate: OnDegenerate = "raise",
) -> ScalarEstimate:
    """R (B,) estimated from random directions, with standard errors: see :class:`Hutchinson`.

    Arguments as in :func:`scalar_curvature`. The cost, beside that of the metric, does not depend
    on d; the estimate and its gradient are unbiased. A matrix-free estimator takes ``chunk_size``
    points at a time, by default one, and gives no gradients; it warns where its least squares do
    not converge.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError,
        DegenerateMetricError.
    """
    check_choice("on_degenerate", on_degenerate, geometries.ON_DEGENERATE)
    check_chunk_size(chunk_size)
    decoder, z = bound_at(decoder, z)
    _check_estimator(estimator, z)
    check_points(z)
    if len(z) == 0:
        return ScalarEstimate(*[z.sum(1)] * 3)
    way = estimate_matrix_free if estimator.matrix_free else estimate_by_pieces
    way = partial(way, estimator=estimator)
    estimate = ScalarEstimate(*by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate))
    if estimator.matrix_free:
        _warn_of_residuals(estimate.residual, estimator)
    return estimate


def estimated_geometry(
    decoder: Decoder,
    z: torch.Tensor,
    estimator: Hutchinson,
    *,
    derivatives: Derivatives = "auto",
    on_degenerate: OnDegenerate = "raise",
) -> EstimatedGeometry:
    """The geometry of the pullback metric with R estimated: for training where d is large.

    Arguments as in :func:`pullback`; of an estimator with ∇Ψ. Everything is differentiable.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        DegenerateMetricError: once a quantity that needs g⁻¹ is asked for.
    """
    check_choice("on_degenerate", on_degenerate, geometries.ON_DEGENERATE)
    check_choice("derivatives", derivatives, DERIVATIVES)
    decoder, z = bound_at(decoder, z)
    check_no_rows(decoder)
    _check_estimator(estimator, z)
    if estimator.matrix_free:
        raise InputError("A geometry needs ∇Ψ: give an estimator that is not matrix-free.")
    check_points(z)
    check_decoder(decoder, z)
    load_forward_mode()
    along = Along(decoder, derivatives, EstimatedGeometry.rows(z, estimator))
    return EstimatedGeometry(along, z, estimator, on_degenerate)


def _warn_of_residuals(residual, estimator):
    unsolved = residual > estimator.tolerance
    if unsolved.any():
        warnings.warn(
            f"Conjugate gradients ended after {estimator.max_iterations} iterations at "
            f"{list_points(unsolved)}, with residuals up to {float(residual[unsolved].max()):.1e} "
            f"> tolerance {estimator.tolerance:.1e}: R there is biased. Raise max_iterations, "
            "compute in float64, or choose a larger tolerance.",
            UserWarning,
            stacklevel=frames_inside_curvcore() + 1,
        )


def _is_large(decoder, z, formula, block_size):
    if not is_plain(z) or z.ndim != 2 or len(z) == 0 or formula != "gauss":
        return False
    if block_size is None and (rows_of(decoder) or isinstance(decoder, AmbientDecoder)):
        return False  # pieces do not know of these
    return z.shape[1] > LARGEST_TABLE or block_size is not None


def _check_estimator(estimator, z):
    if not isinstance(estimator, Hutchinson):
        raise InputError(
            f"estimator must be a curvcore.Hutchinson; got {type(estimator).__name__}."
        )
    if not isinstance(z, torch.Tensor):
        raise InputError(
            f"An estimator needs a torch tensor z (B, d); got {type(z).__name__}. R of expressions "
            "is exact: call it without."
        )
    if not is_plain(z):
        raise InputError(
            "Estimates work in float32 and float64, without torch.compile and torch.func's "
            f"transforms; z is {z.dtype}."
        )


def _regular_scalar(geometry):
    """R, where the metric is degenerate, and its condition number: all that is kept of a piece."""
    return geometry.scalar, geometry.is_degenerate, geometry.condition_number


def metric(
    decoder: Decoder,
    z: Points,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    output: Output | None = None,
    ambient: Ambient | None = None,
    likelihood: str | None = None,
    **inputs: Any,
) -> torch.Tensor:
    """The pullback metric g (B, d, d) alone: one derivative; arguments as in :func:`pullback`."""
    options = {"derivatives": derivatives, "chunk_size": chunk_size, "output": output}
    options |= {"ambient": ambient, "likelihood": likelihood}
    return PullbackGeometry(jet(decoder, z, 1, **options, **inputs)).metric


def _order_for(formula):
    check_choice("formula", formula, geometries.FORMULAS)
    return 3 if formula == "intrinsic" else 2


def _is_symbolic(decoder, z):
    return not callable(decoder) and not isinstance(z, torch.Tensor)


def _chunks(decoder, z, chunk_size):
    """The decoder of some points, and these points."""
    if chunk_size is None or len(z) == 0:
        return [(decoder, z)]
    if rows_of(decoder) and not torch.compiler.is_compiling():
        check_rows_belong(decoder, z)  # of a piece of one row it cannot be told
    starts = range(0, len(z), int(chunk_size))
    slices = [slice(start, start + int(chunk_size)) for start in starts]
    return [(of_rows(decoder, rows), z[rows]) for rows in slices]


def _empty_jet(z, order, components):
    d = z.shape[1]
    return Jet(*(z.new_zeros((0, components) + (d,) * k) + z.sum() for k in range(order + 1)))
