"""Symmetric packing: the distinct entries of symmetric tensors, on one axis.

Entries x_ij stand in the order of their sorted indices, i ≤ j, then x_ijk with i ≤ j ≤ k, each
lexicographic: d(d+1)/2 of rank two, d(d+1)(d+2)/6 of rank three. Torch tensors and numpy object
arrays, any axes before the packed ones.
"""

from itertools import product
from math import comb

import numpy as np
import torch


def count(d, rank):
    """How many entries of a symmetric tensor of this rank on R^d are distinct."""
    return comb(d + rank - 1, rank)


def pack(tensor, rank):
    """The distinct entries of a tensor symmetric in its last ``rank`` axes: (..., count)."""
    d = tensor.shape[-1]
    if rank < 2:
        return tensor
    return tensor[(..., *map(list, zip(*_sorted_indices(d, rank), strict=True)))]


def unpack(packed, d, rank):
    """The full tensor (..., d, ..., d) of packed entries (..., count)."""
    flat = packed[..., _positions(d, rank)]
    return flat.reshape(*packed.shape[:-1], *(d,) * rank)


def symmetric_square(matrix):
    """The matrix of Sym² E: from E (..., d, d) index order [i, a], [ij, ab] packed.

    H_ab = E^i_a E^j_b H_ij reads, over packed pairs, H_ab = Σ_{i≤j} (Sym² E)^ij_ab H_ij.
    """
    first, second = (list(axis) for axis in zip(*_sorted_indices(matrix.shape[-1], 2), strict=True))
    upper, lower = matrix[..., first, :], matrix[..., second, :]
    twice = upper[..., first] * lower[..., second] + lower[..., first] * upper[..., second]
    return twice / (3 - multiplicities(matrix))[:, None]


def multiplicities(matrix):
    """How often each distinct entry of a symmetric d×d matrix stands in it, 1 or 2: (count,)."""
    counts = [2 - (i == j) for i, j in _sorted_indices(matrix.shape[-1], 2)]
    if isinstance(matrix, torch.Tensor):
        return torch.tensor(counts, dtype=matrix.dtype, device=matrix.device)
    return np.array(counts, dtype=object)


def _sorted_indices(d, rank, start=0):
    if rank == 0:
        return [()]
    return [(i, *rest) for i in range(start, d) for rest in _sorted_indices(d, rank - 1, start=i)]


def _positions(d, rank):
    """Where each entry of the full tensor, in row-major order, stands among the packed ones."""
    place = {indices: n for n, indices in enumerate(_sorted_indices(d, rank))}
    return [place[tuple(sorted(indices))] for indices in product(range(d), repeat=rank)]
