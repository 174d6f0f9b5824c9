"""R = |H|² − |II|² in an orthonormal frame: sums over pairs of directions, at any d.

The Gauss equation, contracted twice, needs no table of products of pairs::

    H = Σ_a II_aa,   |II|² = Σ_ab |II_ab|²,   R = |H|² − |II|².

Vectors II_ab, a ≤ b, stand in the order of :mod:`curvcore.packing`: (B, P, N). Where all of them
are too many, they come in blocks of directions, two blocks at a time.
"""

import itertools
import math
from functools import cache

from curvcore.constants import numbers
from curvcore.packing import pack
from curvcore.tangent import TangentSpaces

# Up to this d, tables of products of pairs are small.
LARGEST_TABLE = 8


def scalar_of_derivatives(derivatives):
    """R (B,) from packed derivatives in latent coordinates, of regular points."""
    tangent = TangentSpaces(derivatives.jacobian.mT)
    along, full = tangent.frame().mT[:, None], derivatives.full(2)
    second = pack(along @ full @ along.mT, 2)
    return scalar_of_frame(second.mT, tangent)


def scalar_of_frame(second, tangent):
    """R (B,) from ∂_a∂_bΨ (B, P, N) along an orthonormal frame of TangentSpaces, all at once."""
    normal = tangent.normal(second)
    trace, square = _sums(normal, *_weights(((tangent.dimension, True),)))
    return trace.square().sum(-1) - square


def scalar_of_blocks(second_along, tangent, block_size):
    """The same from blocks: ``second_along`` takes directions (B, d, k) to ∂_a∂_bΨ (B, P_k, N).

    Args:
        block_size: pairs at a time, 3 at least, of which about half are new.
    """
    d, frame = tangent.dimension, tangent.frame()
    length = max(1, math.isqrt(2 * block_size) // 2)
    blocks = [range(a, min(a + length, d)) for a in range(0, d, length)]
    trace, square, seen = 0, 0, set()
    for pair in itertools.combinations(blocks, 2) if len(blocks) > 1 else [blocks]:
        columns = [a for block in pair for a in block]
        normal = tangent.normal(second_along(frame[..., columns]))
        weights = _weights(tuple((len(block), block not in seen) for block in pair))
        of_trace, of_square = _sums(normal, *weights)
        trace, square = trace + of_trace, square + of_square
        seen.update(pair)
    return trace.square().sum(-1) - square


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
