"""Ricci, mean and sectional curvature where d is large: no ∂_i∂_jΨ are held that are not needed.

What :class:`curvcore.PullbackGeometry` has from the derivatives of all points at once, these
functions make of some points, and some pairs of directions of an orthonormal frame, at a time
(:mod:`curvcore.large_dimension`).
"""

from functools import partial

import torch

from curvcore.api import pullback
from curvcore.arithmetic import of_order_one
from curvcore.binding import bound_at
from curvcore.errors import InputError
from curvcore.geometry import ON_DEGENERATE
from curvcore.large_dimension import (
    mean_curvature_by_pieces,
    ricci_by_pieces,
    sectional_by_pieces,
)
from curvcore.piecewise import by_pieces, check_block_size, is_plain
from curvcore.types import Decoder, Derivatives, OnDegenerate
from curvcore.validation import (
    check_choice,
    check_chunk_size,
    check_has_planes,
    check_latent_array,
    check_points,
)


def ricci_curvature(
    decoder: Decoder,
    z: torch.Tensor,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    block_size: int | None = None,
    on_degenerate: OnDegenerate = "raise",
) -> torch.Tensor:
    """The Ricci tensor Ric_ij (B, d, d); arguments as of :func:`curvcore.scalar_curvature`.

    In an orthonormal frame Ric_ab = ⟨H, II_ab⟩ − Σ_c ⟨II_ac, II_bc⟩. In blocks every pair ab is
    made twice, and memory grows with B D d √block_size.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        DegenerateMetricError: g is degenerate.
    """
    decoder, z = bound_at(decoder, z)
    _check(z, chunk_size, on_degenerate)
    check_block_size(block_size, z)
    if len(z) == 0:
        return pullback(decoder, z).ricci
    way = partial(ricci_by_pieces, block_size=block_size)
    return by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate)[0]


def mean_curvature(
    decoder: Decoder,
    z: torch.Tensor,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    on_degenerate: OnDegenerate = "raise",
) -> torch.Tensor:
    """The mean curvature vector H = g^{ij} II_ij (B, D), not divided by d.

    The normal part of Σ_a ∂_a∂_aΨ along an orthonormal frame, d second derivatives and not
    d(d+1)/2; behind stacks of layers this trace goes through them as one vector, like a Laplacian.
    Arguments and errors as of :func:`ricci_curvature`.
    """
    decoder, z = bound_at(decoder, z)
    _check(z, chunk_size, on_degenerate)
    if len(z) == 0:
        return pullback(decoder, z).mean_curvature
    way = mean_curvature_by_pieces
    return by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate)[0]


def sectional_curvature(
    decoder: Decoder,
    z: torch.Tensor,
    u: torch.Tensor,
    v: torch.Tensor,
    *,
    derivatives: Derivatives = "auto",
    chunk_size: int | None = None,
    on_degenerate: OnDegenerate = "raise",
) -> torch.Tensor:
    """Sectional curvature K(u, v) of the planes of tangent vectors u, v: (B, d) or (d,) -> (B,).

    From ∂_u∂_uΨ, ∂_u∂_vΨ and ∂_v∂_vΨ; NaN where u and v are parallel to working precision.
    Arguments and errors as of :func:`ricci_curvature`.
    """
    decoder, z = bound_at(decoder, z)
    _check(z, chunk_size, on_degenerate)
    check_has_planes(z.shape[1])
    vectors = _vector("u", u, z), _vector("v", v, z)
    if len(z) == 0:
        return pullback(decoder, z).sectional(*vectors)
    way = partial(sectional_by_pieces, vectors=vectors)
    return by_pieces(way, decoder, z, derivatives, chunk_size, on_degenerate)[0]


def _check(z, chunk_size, on_degenerate):
    check_choice("on_degenerate", on_degenerate, ON_DEGENERATE)
    check_chunk_size(chunk_size)
    if not is_plain(z):
        raise InputError(
            "This works in float32 and float64, without torch.compile and torch.func's transforms; "
            f"got {getattr(z, 'dtype', type(z).__name__)}. Use curvcore.pullback(decoder, z)."
        )
    check_points(z)


def _vector(name, x, z):
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{name} must be a torch tensor; got {type(x).__name__}.")
    x = check_latent_array(name, x, 1, z.shape[1], len(z))
    return of_order_one(x.to(z)).expand(z.shape)
