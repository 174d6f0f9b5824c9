"""The product rules on packed derivatives.

The derivatives of a quantity x are stacked on a leading axis as channels: first x_i, then x_ij with
i ≤ j, then x_ijk with i ≤ j ≤ k, in the order of :mod:`curvcore.packing`. In that order the pairs
(j, k) with i ≤ j are a tail of all pairs, and the triples that begin with i are that tail once
more, so every product below is made of slices: a loop over the d directions, none over points or
pairs, and no index tensors.
"""

import torch

from curvcore.packing import count


def level_sizes(d, order):
    """Number of channels of the levels 1, ..., order."""
    return [count(d, k) for k in range(1, order + 1)]


def split_levels(channels, d):
    """The levels of a stack of channels: (first,), (first, second) or (first, second, third)."""
    sizes, total = [], 0
    while total < channels.shape[0]:
        sizes.append(count(d, len(sizes) + 1))
        total += sizes[-1]
    return channels.split(sizes)


def pairs_from(second, d, i):
    """The channels x_jk with i ≤ j ≤ k: the last ones of ``second``."""
    return second[second.shape[0] - count(d - i, 2) :]


def row(second, d, i):
    """The channels x_ij with j ≥ i."""
    return pairs_from(second, d, i)[: d - i]


def square(first):
    """x_i x_j for i ≤ j."""
    return torch.cat([first[i : i + 1] * first[i:] for i in range(first.shape[0])])


def cube(first):
    """x_i x_j x_k for i ≤ j ≤ k."""
    d, pairs = first.shape[0], square(first)
    return torch.cat([first[i : i + 1] * pairs_from(pairs, d, i) for i in range(d)])


def cross(a, b, multiply=torch.mul):
    """a_i b_j + a_j b_i for i ≤ j, with ``multiply`` bilinear and broadcasting over channels."""
    d = a.shape[0]
    return torch.cat(
        [multiply(a[i : i + 1], b[i:]) + multiply(a[i:], b[i : i + 1]) for i in range(d)]
    )


def cross_second(second, first, multiply=torch.mul):
    """a_ij b_k + a_ik b_j + a_jk b_i for i ≤ j ≤ k, with a = ``second``, b = ``first``."""
    d = first.shape[0]
    return torch.cat(
        [
            multiply(pairs_from(second, d, i), first[i : i + 1])
            + cross(row(second, d, i), first[i:], multiply)
            for i in range(d)
        ]
    )
