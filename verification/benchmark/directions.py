"""A Hessian from second derivatives along lines, for software that gives no more than those."""

from itertools import combinations


def polarised(d):
    """Directions v (d(d+1)/2, d), and how the entries of ∇²Ψ follow from ∂²_v Ψ along them.

    The first d directions are e_i, the others e_i + e_j with i < j, and

        Ψ_ii = ∂²_{e_i} Ψ,   Ψ_ij = (∂²_{e_i + e_j} Ψ − Ψ_ii − Ψ_jj) / 2.

    Returns:
        The directions as lists, and for each of the d² entries (i, j), row by row, its terms:
        pairs (number of the direction, factor).
    """
    mixed = list(combinations(range(d), 2))
    directions = [[float(k == i) for k in range(d)] for i in range(d)]
    directions += [[float(k in pair) for k in range(d)] for pair in mixed]
    terms = []
    for i in range(d):
        for j in range(d):
            if i == j:
                terms.append(((i, 1.0),))
            else:
                number = d + mixed.index((min(i, j), max(i, j)))
                terms.append(((number, 0.5), (i, -0.5), (j, -0.5)))
    return directions, terms
