"""R = |H|² − |II|² in an orthonormal frame: sums over pairs of directions, at any d.

The Gauss equation, contracted twice, needs no table of products of pairs::

    H = Σ_a II_aa,   |II|² = Σ_ab |II_ab|²,   R = |H|² − |II|².

Vectors II_ab, a ≤ b, stand in the order of :mod:`curvcore.packing`: (B, P, N). Where all of them
are too many, they come in blocks of directions, two blocks at a time.
"""

import itertools
import math
from functools import cache

import torch

from curvcore.caching import cached_quantity
from curvcore.constants import numbers
from curvcore.degenerate import filled
from curvcore.packing import pack, pack_of_vectors, unpack
from curvcore.tangent import TangentSpaces

# Up to this d, tables of products of pairs are small.
LARGEST_TABLE = 8


class FrameSums:
    """Curvature of packed derivatives in latent coordinates, at regular points.

    In an orthonormal frame Ric_ab = ⟨H, II_ab⟩ − Σ_c ⟨II_ac, II_bc⟩, and R is its trace. NaN where
    a frame cannot be had after all: near the limit of what counts as regular, at large d.
    """

    def __init__(self, derivatives):
        self.device_type = derivatives.device_type
        self._derivatives = derivatives

    @cached_quantity
    def scalar(self):
        """R: (B,)."""
        return self._known(_scalar(self._normal, self._tangent.dimension))

    @property
    def log_volume(self):
        """log √det g: (B,)."""
        return self._known(self._tangent.log_volume)

    @property
    def inverse_metric(self):
        """g^{ij}: (B, d, d)."""
        frame = self._tangent.frame()
        return self._known(frame @ frame.mT)

    @cached_quantity
    def ricci(self):
        """Ric_ij in latent coordinates: (B, d, d)."""
        form = _full(self._normal, self._tangent.dimension)
        return self._known(self._tangent.covariant(_ricci(form)))

    def plane(self, u, v):
        """K of the planes of latent vectors u, v (B, d), NaN where they are parallel: (B,)."""
        basis, parallel = self._tangent.plane(u, v)
        u, v = basis.unbind(1)
        weights = torch.stack([pack_of_vectors(a, b) for a, b in ((u, u), (u, v), (v, v))], 1)
        return filled(parallel, self._known(_plane(weights @ self._normal)), torch.nan)

    def _known(self, array):
        return filled(self._tangent.is_degenerate, array, torch.nan)

    @cached_quantity
    def _tangent(self):
        return TangentSpaces(self._derivatives.jacobian.mT)

    @cached_quantity
    def _normal(self):
        """II_ab (B, P, N)."""
        along, full = self._tangent.frame().mT[:, None], self._derivatives.full(2)
        return self._tangent.normal(pack(along @ full @ along.mT, 2).mT)


def ricci_of_frame(second, tangent):
    """Ric_ij (B, d, d) from ∂_a∂_bΨ (B, P, N) along an orthonormal frame, all at once."""
    return tangent.covariant(_ricci(_full(tangent.normal(second), tangent.dimension)))


def plane_of_vectors(second, tangent):
    """K (B,) from ∂_u∂_uΨ, ∂_u∂_vΨ, ∂_v∂_vΨ (B, 3, N) along orthonormal u, v."""
    return _plane(tangent.normal(second))


def _plane(normal):
    first, mixed, last = normal.unbind(1)
    return (first * last).sum(-1) - mixed.square().sum(-1)


def _full(normal, d):
    """II_ab (B, d, d, N) of packed ones (B, P, N)."""
    return unpack(normal.mT, d, 2).movedim(1, -1)


def _trace(form):
    """H, or a part of it, (B, N)."""
    return form.diagonal(dim1=1, dim2=2).sum(-1)


def _ricci(form):
    """⟨H, II_ab⟩ − Σ_c ⟨II_ac, II_bc⟩: (B, d, d)."""
    rows = form.flatten(2)
    return _along(_trace(form), form) - rows @ rows.mT


def _along(trace, form):
    """⟨H, II_ab⟩ of H (B, N) and II_ab (B, d, k, N): (B, d, k)."""
    return (form @ trace[:, None, :, None])[..., 0]


def scalar_of_frame(second, tangent):
    """R (B,) from ∂_a∂_bΨ (B, P, N) along an orthonormal frame of TangentSpaces, all at once."""
    return _scalar(tangent.normal(second), tangent.dimension)


def _scalar(normal, d):
    trace, square = _sums(normal, *_weights(((d, True),)))
    return trace.square().sum(-1) - square


def scalar_of_blocks(second_along, tangent, block_size):
    """The same from blocks: ``second_along`` takes directions (B, d, k) to ∂_a∂_bΨ (B, P_k, N).

    Args:
        block_size: pairs at a time, 3 at least, of which about half are new.
    """
    frame, blocks = tangent.frame(), _blocks(tangent.dimension, block_size)
    trace, square, seen = 0, 0, set()
    for pair in itertools.combinations(blocks, 2) if len(blocks) > 1 else [blocks]:
        columns = [a for block in pair for a in block]
        normal = tangent.normal(second_along(frame[..., columns]))
        weights = _weights(tuple((len(block), block not in seen) for block in pair))
        of_trace, of_square = _sums(normal, *weights)
        trace, square = trace + of_trace, square + of_square
        seen.update(pair)
    return trace.square().sum(-1) - square


def ricci_of_blocks(second_along, tangent, block_size):
    """Ric_ij (B, d, d) from such blocks, each pair met twice; those with one block are held."""
    frame, blocks = tangent.frame(), _blocks(tangent.dimension, block_size)

    def form(a, b):
        """II_ab for a and b in these blocks."""
        columns = [*a] if a is b else [*a, *b]
        whole = _full(tangent.normal(second_along(frame[..., columns])), len(columns))
        return whole[:, : len(a), -len(b) :]

    trace = sum(_trace(form(a, a)) for a in blocks)
    columns, square = [], 0
    for b in blocks:
        rows = torch.cat([form(a, b) for a in blocks], 1)
        columns.append(_along(trace, rows))
        square = square + rows.flatten(2) @ rows.flatten(2).mT
    return tangent.covariant(torch.cat(columns, 2) - square)


def _blocks(d, block_size):
    """Ranges of directions, so short that there are not more pairs in two of them."""
    length = max(1, (math.isqrt(1 + 8 * block_size) - 1) // 4)  # n (2n + 1) pairs
    return [range(a, min(a + length, d)) for a in range(0, d, length)]


def _sums(normal, of_trace, of_square):
    """Σ_a II_aa (B, N) and Σ_ab |II_ab|² (B,), with weights of pairs."""
    as_numbers = [numbers(w, normal.dtype, normal.device) for w in (of_trace, of_square)]
    return as_numbers[0] @ normal, normal.square().sum(-1) @ as_numbers[1]


@cache
def _weights(blocks):
    """Of pairs of directions in the sums H and |II|²: those within a block count if it is new."""
    within = [new for length, new in blocks for _ in range(length)]
    block_of = [n for n, (length, _) in enumerate(blocks) for _ in range(length)]
    of_trace, of_square = [], []
    for a, b in itertools.combinations_with_replacement(range(len(block_of)), 2):
        counts = block_of[a] != block_of[b] or within[a]
        of_trace.append(float(a == b and counts))
        of_square.append(float(counts * (1 + (a != b))))
    return tuple(of_trace), tuple(of_square)
