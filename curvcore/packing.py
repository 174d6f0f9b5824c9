"""Symmetric packing: the distinct entries of symmetric tensors, on one axis.

Entries x_ij stand in the order of their sorted indices, i ≤ j, then x_ijk with i ≤ j ≤ k, each
lexicographic: d(d+1)/2 of rank two, d(d+1)(d+2)/6 of rank three. Torch tensors and numpy object
arrays, any axes before the packed ones.
"""

from itertools import combinations_with_replacement
from math import comb

import numpy as np
import torch

from curvcore.constants import identity, indices, numbers

# Up to so many entries, taking them one by one is faster than indexing by a list.
_FEW = 16


def count(d, rank):
    """How many entries of a symmetric tensor of this rank on R^d are distinct."""
    return comb(d + rank - 1, rank)


def pack(tensor, rank):
    """The distinct entries of a tensor symmetric in its last ``rank`` axes: (..., count)."""
    if rank < 2:
        return tensor
    return _entries(tensor, *zip(*_sorted_indices(tensor.shape[-1], rank), strict=True))


def unpack(packed, d, rank):
    """The full tensor (..., d, ..., d) of packed entries (..., count)."""
    place = {entry: n for n, entry in enumerate(_sorted_indices(d, rank))}
    row_major = [place[tuple(sorted(entry))] for entry in _all_indices(d, rank)]
    return _take(packed, row_major).reshape(*packed.shape[:-1], *(d,) * rank)


def symmetric_square(matrix):
    """The matrix of Sym² E: from E (..., d, d) index order [i, a], [ij, ab] packed.

    H_ab = E^i_a E^j_b H_ij reads, over packed pairs, H_ab = Σ_{i≤j} (Sym² E)^ij_ab H_ij.
    """
    first, second = zip(*_sorted_indices(matrix.shape[-1], 2), strict=True)
    upper, lower = (_take(matrix.swapaxes(-2, -1), i).swapaxes(-2, -1) for i in (first, second))
    twice = _take(upper, first) * _take(lower, second) + _take(lower, first) * _take(upper, second)
    return twice / (3 - multiplicities(matrix))[:, None]


def pack_of_vectors(u, v):
    """Weights of packed pairs with Σ_{i≤j} w_ij h_ij = h(u, v) for symmetric h: (..., count)."""
    product = u[..., :, None] * v[..., None, :]
    return pack(product + product.mT, 2) * multiplicities(product) / 2


def pack_of_directions(directions):
    """Those of all pairs of V (..., d, k): H(v_a, v_b) = Σ w_ij h_ij, (..., k(k+1)/2, count)."""
    pairs = combinations_with_replacement(directions.unbind(-1), 2)
    return torch.stack([pack_of_vectors(*pair) for pair in pairs], -2)


def multiplicities(matrix):
    """How often each distinct entry of a symmetric d×d matrix stands in it, 1 or 2: (count,)."""
    counts = [2 - (i == j) for i, j in _sorted_indices(matrix.shape[-1], 2)]
    if isinstance(matrix, torch.Tensor):
        return numbers(tuple(counts), matrix.dtype, matrix.device)
    return np.array(counts, dtype=object)


def _entries(tensor, *axes):
    """The entries at positions given by a sequence for each of the last axes: (..., how many)."""
    d, rank = tensor.shape[-1], len(axes)
    positions = [sum(i * d**k for k, i in enumerate(reversed(n))) for n in zip(*axes, strict=True)]
    return _take(tensor.reshape(*tensor.shape[:-rank], d**rank), positions)


def _take(array, positions):
    """array[..., positions], in the way that is fastest and right."""
    if not isinstance(array, torch.Tensor):
        return array[..., list(positions)]
    if len(positions) <= _FEW:
        return torch.stack([array[..., position] for position in positions], -1)
    if not torch.compiler.is_compiling():
        return array[..., indices(tuple(positions), array.device)]
    # What torch 2.13's compiler writes for the gradient of an index list corrupts memory.
    return array @ identity(array.shape[-1], array.dtype, array.device)[:, list(positions)]


def _all_indices(d, rank):
    """Those of a tensor of this rank on R^d, the last one fastest."""
    if rank == 0:
        return [()]
    return [(*rest, i) for rest in _all_indices(d, rank - 1) for i in range(d)]


def _sorted_indices(d, rank, start=0):
    if rank == 0:
        return [()]
    return [(i, *rest) for i in range(start, d) for rest in _sorted_indices(d, rank - 1, start=i)]
