"""R at latent dimensions d at which ∂_i∂_jΨ of all points at once, or their products, are too many.

Three ways: by moments of hidden units (:mod:`curvcore.hidden_units`), for stacks of layers; from
∂_a∂_bΨ along an orthonormal frame, of some points at a time; and of one point and some pairs ab at
a time (:mod:`curvcore.frame_sums`). And estimated (:mod:`curvcore.hutchinson`).
"""

from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import torch

from curvcore.constants import identity
from curvcore.degenerate import filled
from curvcore.estimated import EstimatedGeometry
from curvcore.frame_sums import (
    plane_of_vectors,
    ricci_of_blocks,
    ricci_of_frame,
    scalar_of_blocks,
    scalar_of_frame,
)
from curvcore.hidden_units import (
    Slopes,
    cost_of_units,
    mean_curvature_of_units,
    scalar_of_units,
)
from curvcore.hutchinson import estimate_of
from curvcore.matrix_free import Linearised, Solutions, Solver, normal_second_derivatives
from curvcore.packing import count, pack_of_directions
from curvcore.providers import PROVIDERS, RESTRICTIONS
from curvcore.providers.automatic import automatic_jet, automatic_restriction
from curvcore.providers.fused import fused_restriction
from curvcore.providers.fused.recorder import recorded_stack
from curvcore.providers.outputs import ambient_dimension
from curvcore.providers.primitives import call_plainly
from curvcore.tangent import TangentSpaces

# How many numbers are held at a time: derivatives of points, and moments of hidden units.
_DERIVATIVES_AT_ONCE, _MOMENTS_AT_ONCE = 2**25, 2**18
_COMPARED = 8
_FEW = 4  # latent dimensions, of which all second derivatives cost less than another pass
# Moments lose about a third of eps √κ |∇²Ψ|² of R at most, as measured on MLPs of d = 10 to 64.
# Where that is more of R than this, it is taken along a frame.
_LOST = 3e-3


def scalar_by_pieces(decoder, z, derivatives, chunk_size, block_size):
    """R (B,), where it has no digits (B,), and the condition number of g (B,).

    Where it has none it is zero.

    Args:
        decoder, z, derivatives: as of :func:`curvcore.scalar_curvature`.
        chunk_size: points at a time at most, or None.
        block_size: pairs at a time, or None for as many as memory is meant to hold.
    """
    way = None
    if block_size is None and derivatives != "autodiff":
        way = _by_units(decoder, z, derivatives)
    scalar, numbers = way or _by_frame(decoder, z, derivatives, block_size)

    def piece(points):
        value, tangent = scalar(points)
        return _regular([value], tangent)

    return _joined(piece, [z], numbers, chunk_size)


def ricci_by_pieces(decoder, z, derivatives, chunk_size, block_size):
    """The same of Ric_ij, (B, d, d)."""
    along, block_size, numbers = _pairs_along(decoder, z, derivatives, block_size)

    def piece(points):
        tangent = along.tangent_spaces(points)
        if block_size is None:
            ricci = ricci_of_frame(along.second(points, tangent.frame()), tangent)
        else:
            ricci = ricci_of_blocks(partial(along.second, points), tangent, block_size)
        return _regular([ricci], tangent)

    return _joined(piece, [z], numbers, chunk_size)


def mean_curvature_by_pieces(decoder, z, derivatives, chunk_size):
    """The same of H, (B, D): the trace alone is projected, and no mixed derivatives are made."""
    way = _trace_by_units(decoder, z) if derivatives != "autodiff" else None
    mean, numbers = way or _trace_by_frame(decoder, z, derivatives)

    def piece(points):
        value, tangent = mean(points)
        return _regular([value], tangent)

    return _joined(piece, [z], numbers, chunk_size)


def _trace_by_frame(decoder, z, derivatives):
    d, along = z.shape[1], Along(decoder, derivatives, 0)  # in R^D itself, where H is

    def mean(points):
        tangent = along.tangent_spaces(points)
        each = tangent.frame().mT.flatten(0, 1)[..., None]  # a direction at a time
        second = along.second(points.repeat_interleave(d, 0), each)
        trace = second.unflatten(0, (-1, d)).sum(1)
        return tangent.normal(trace)[:, 0], tangent

    return mean, 4 * d * along.components(z)


def sectional_by_pieces(decoder, z, derivatives, chunk_size, vectors):
    """The same of K(u, v), (B,), for ``vectors`` u and v (B, d)."""
    along = Along(decoder, derivatives, len(z) * (z.shape[1] + 3))

    def piece(points, u, v):
        tangent = along.tangent_spaces(points)
        basis, parallel = tangent.plane(u, v)
        second = along.second(points, tangent.directions(basis))
        curvature, *rest = _regular([plane_of_vectors(second, tangent)], tangent)
        return filled(parallel, curvature, torch.nan), *rest

    numbers = along.components(z) * (z.shape[1] + 3)
    return _joined(piece, [z, *vectors], numbers, chunk_size)


def estimate_by_pieces(decoder, z, derivatives, chunk_size, estimator):
    """The numbers of a ScalarEstimate, where they have no digits, and the condition number of g.

    Args:
        estimator: a :class:`curvcore.Hutchinson`. Others as of :func:`scalar_by_pieces`.
    """
    rows = EstimatedGeometry.rows(z, estimator)
    along = Along(decoder, derivatives, rows)

    def piece(points, components):
        tangent = along.tangent_spaces(points)
        second = along.second(points, tangent.directions(components))
        estimate = estimate_of(tangent.normal(second), estimator.probes)
        return _regular([estimate.value, estimate.standard_error, estimate.square], tangent)

    numbers = along.components(z) * rows // len(z)
    return _joined(piece, [z, estimator.draw(z)], numbers, chunk_size)


def estimate_matrix_free(decoder, z, derivatives, chunk_size, estimator):
    """The same without ∇Ψ, of ``chunk_size`` points at a time, by default of one; no gradients.

    Where the residual does not fall below 1, there are no digits; κ is not known.
    """
    solver = Solver(estimator.tolerance, estimator.max_iterations)
    outputs = ambient_dimension(decoder, z)
    along = Along(decoder, derivatives, 0)

    def piece(points):
        noise = estimator.draw(points, outputs)
        with along.linearised(points) as linearised:
            solutions = Solutions(linearised, solver)
            normal = normal_second_derivatives(linearised, solutions, noise)
        estimate = estimate_of(normal, estimator.probes)
        iterations = torch.full_like(solutions.residual, solutions.iterations)
        results = estimate.value, estimate.standard_error, estimate.square
        failed = ~(estimate.value.isfinite() & (solutions.residual < 1))
        results = [filled(failed, r, 0) for r in (*results, solutions.residual, iterations)]
        return *results, failed, torch.full_like(results[0], torch.nan)

    return _in_pieces(piece, [z.detach()], 1 if chunk_size is None else int(chunk_size))


def _joined(piece, tensors, numbers, chunk_size):
    """``piece`` of so many points of ``tensors`` at a time that its ``numbers`` a point fit."""
    size = max(1, _DERIVATIVES_AT_ONCE // numbers)
    return _in_pieces(piece, tensors, size if chunk_size is None else min(size, int(chunk_size)))


def _in_pieces(piece, tensors, size):
    pieces = [piece(*points) for points in zip(*(t.split(size) for t in tensors), strict=True)]
    return tuple(map(torch.cat, zip(*pieces, strict=True)))


def _regular(results, tangent):
    """Results (B, ...), 0 where g is degenerate or the first is not finite; that; and κ."""
    is_finite = results[0].detach().isfinite().reshape(len(results[0]), -1).all(1)
    is_degenerate = tangent.is_degenerate | ~is_finite
    results = [filled(is_degenerate, result, 0) for result in results]
    return *results, is_degenerate, tangent.condition_number


# --- by hidden units ----------------------------------------------------------------------------


def _by_units(decoder, z, derivatives):
    """None where the decoder is no stack of layers, or the other way is faster."""
    stack = recorded_stack(decoder, z[:_COMPARED])
    if stack is None:
        return None
    widths = [len(layer.affine_map.weight) for layer in stack.layers]
    d, outputs = z.shape[1], widths[-1] if stack.last is None else stack.last.output_dimension
    if cost_of_units(d, widths) > _cost_of_frame(d, widths, outputs):
        return None
    slopes_at, held = _slopes(stack, _readout(stack, widths[-1], z), decoder, z)
    at_once = max(1, _MOMENTS_AT_ONCE // max(widths) ** 2)

    def along_frame(points):
        scalar, numbers = _by_frame(decoder, points, derivatives, None)
        return _joined(lambda piece: scalar(piece)[:1], [points], numbers, None)[0]

    def scalar(points):
        value, cancelled, tangent = scalar_of_units(slopes_at(points), at_once)
        share = torch.finfo(value.dtype).eps * tangent.condition_number.sqrt() * cancelled
        lost = ~tangent.is_degenerate & (share > _LOST)
        if lost.any():
            at = lost.nonzero()[:, 0]
            value = value.index_copy(0, at, along_frame(points[at]))
        return value, tangent

    return scalar, held


def _trace_by_units(decoder, z):
    """None where the decoder is no stack of layers."""
    stack = recorded_stack(decoder, z[:_COMPARED])
    if stack is None:
        return None
    width = len(stack.layers[-1].affine_map.weight)
    readout = identity(width, z.dtype, z.device) if stack.last is None else stack.last.weight
    slopes_at, held = _slopes(stack, readout, decoder, z)
    return lambda points: mean_curvature_of_units(slopes_at(points)), held


def _slopes(stack, readout, decoder, z):
    """Points -> Slopes, and how many numbers of derivatives a point takes."""
    # Compares the rules of the layers with torch's derivatives, and looks for kinks.
    fused_restriction(decoder, z[:1], torch.zeros_like(z[:1, :, None]))
    weights = tuple(layer.affine_map.weight for layer in stack.layers)
    held = z.shape[1] * (sum(map(len, weights)) + len(readout))
    return lambda points: Slopes(weights, *stack.slopes(points), readout), held


def _readout(stack, width, z):
    """A matrix with the inner products of the columns of the last map."""
    if stack.last is None:
        return identity(width, z.dtype, z.device)
    return stack.last.isometric_matrix()


def _cost_of_frame(d, widths, outputs):
    """Multiplications a point that derivatives along a frame take, and their sums."""
    layers = sum(a * b for a, b in pairwise(widths))
    narrow = min(widths[-1], outputs)
    return count(d, 2) * (layers + widths[-1] * narrow + 2 * d * narrow)


# --- along a frame ------------------------------------------------------------------------------


class Along:
    """Derivatives of a decoder along directions, as vectors with the inner products of Ψ's.

    Args:
        decoder, derivatives: as of :func:`curvcore.scalar_curvature`.
        rows: how many vectors there will be, of all points.
    """

    def __init__(self, decoder, derivatives, rows):
        self._decoder, self._rows = decoder, rows
        self._jet, self._restriction = automatic_jet, automatic_restriction
        if derivatives != "auto":
            self._jet, self._restriction = PROVIDERS[derivatives], RESTRICTIONS[derivatives]

    def components(self, z):
        """How many components N a vector has."""
        jet = self._jet(self._decoder, z[:1].detach(), 1)
        return jet.isometric_channels(self._rows).shape[-1]

    def tangent_spaces(self, z, compare=True):
        """TangentSpaces at z (B, d)."""
        if compare:
            jet = self._jet(self._decoder, z, 1)
        else:  # for the later ones of many calls
            every = identity(z.shape[1], z.dtype, z.device).expand(len(z), -1, -1)
            jet = self._restriction(self._decoder, z, every, 1, compare)
        return TangentSpaces(jet.isometric_channels(self._rows).transpose(0, 1))

    @contextmanager
    def linearised(self, z):
        """Products with ∇Ψ at z, and second derivatives, as Linearised."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = z.detach().clone().requires_grad_()
            value = call_plainly(self._decoder, leaf).flatten(1)

        def along(directions, order):
            return self._restriction(self._decoder, z, directions, order, compare=False)

        def transposed(w):
            return torch.autograd.grad(value, leaf, w, retain_graph=True)[0]

        def times(v):
            return along(v[..., None], 1).jacobian[..., 0]

        def second(directions):
            return along(directions, 2).derivatives().second.mT

        self._restriction(self._decoder, z[:1], torch.zeros_like(z[:1, :, None]))  # compares
        with torch.no_grad():
            yield Linearised(times, transposed, second)

    def second(self, z, directions, compare=True):
        """∂_a∂_bΨ (B, k(k+1)/2, N) along directions (B, d, k)."""
        jet = self._restriction(self._decoder, z, directions, 2, compare)
        return jet.isometric_channels(self._rows)[directions.shape[-1] :].transpose(0, 1)

    def tangential(self, z, directions):
        """g^{ij} ⟨∂_jΨ, ∂_a∂_bΨ⟩ (B, k(k+1)/2, d) of the same; compared with nothing."""
        d = z.shape[1]
        if d > _FEW:
            second = self.second(z, directions, compare=False)
            return self.tangent_spaces(z, compare=False).tangential(second)
        every = identity(d, z.dtype, z.device).expand(len(z), -1, -1)
        jet = self._restriction(self._decoder, z, every, 2, compare=False)
        vectors = jet.isometric_channels(self._rows).transpose(0, 1)
        second = pack_of_directions(directions) @ vectors[:, d:]
        return TangentSpaces(vectors[:, :d]).tangential(second)


def _pairs_along(decoder, z, derivatives, block_size):
    """An Along for all pairs of directions, pairs at a time, and how many numbers a point takes."""
    d, pairs = z.shape[1], count(z.shape[1], 2)
    along = Along(decoder, derivatives, len(z) * (d + pairs))
    components = along.components(z)
    if block_size is None and pairs * components > _DERIVATIVES_AT_ONCE:
        block_size = max(3, _DERIVATIVES_AT_ONCE // components)
    held = pairs if block_size is None else min(pairs, block_size)
    return along, block_size, components * (d + held)


def _by_frame(decoder, z, derivatives, block_size):
    along, block_size, numbers = _pairs_along(decoder, z, derivatives, block_size)

    def scalar(points):
        tangent = along.tangent_spaces(points)
        if block_size is None:
            return scalar_of_frame(along.second(points, tangent.frame()), tangent), tangent
        second = partial(along.second, points)
        return scalar_of_blocks(second, tangent, block_size), tangent

    return scalar, numbers
