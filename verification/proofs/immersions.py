"""A generic immersion, known only by the inner products of its derivatives.

Intrinsic geometry sees an immersion Ψ: R^d → R^D through

    A_ij = ⟨Ψ_i, Ψ_j⟩,  B_i,jk = ⟨Ψ_i, Ψ_jk⟩,  C_ij,kl = ⟨Ψ_ij, Ψ_kl⟩,  T_i,jkl = ⟨Ψ_i, Ψ_jkl⟩.

Here these are independent symbols. The derivatives are formal vectors: linear combinations of
e_i, e_ij, e_ijk over the field Q(A, B, C, T), whose products are read off a table. In object arrays
with an ambient axis of length one they go through the shipped formulas unchanged, and come out as
rational functions. An identity of those holds for every immersion into every R^D, whose inner
products may be put for the symbols.
"""

from itertools import combinations_with_replacement, product

import numpy as np

from curvcore.jets import Jet
from curvcore.packing import unpack
from verification.proofs.fields import field


class FormalVector:
    """Σ c_n e_n, with ⟨e_m, e_n⟩ known for some of the pairs."""

    __slots__ = ("coefficients", "products")

    def __init__(self, coefficients, products):
        self.coefficients, self.products = coefficients, products

    def __repr__(self):
        return " + ".join(f"({c}) e_{_name(n)}" for n, c in self.coefficients.items()) or "0"

    def __add__(self, other):
        if isinstance(other, int) and other == 0:  # where a sum starts
            return self
        if not isinstance(other, FormalVector):
            return NotImplemented
        total = dict(self.coefficients)
        for n, coefficient in other.coefficients.items():
            total[n] = total[n] + coefficient if n in total else coefficient
        return FormalVector(total, self.products)

    __radd__ = __add__

    def __sub__(self, other):
        return self + (-1) * other

    def __mul__(self, other):
        """The product with a number, or the inner product with a vector."""
        if isinstance(other, FormalVector):
            # By rows: most of these vanish where ``other`` is normal.
            return sum(a * other._component(m) for m, a in self.coefficients.items())
        scaled = {n: coefficient * other for n, coefficient in self.coefficients.items()}
        return FormalVector(scaled, self.products)

    __rmul__ = __mul__

    def _component(self, m):
        """⟨e_m, self⟩."""
        return sum(b * self._product(m, n) for n, b in self.coefficients.items())

    def _product(self, m, n):
        if frozenset((m, n)) not in self.products:
            raise LookupError(f"⟨Ψ_{_name(m)}, Ψ_{_name(n)}⟩ is not known")
        return self.products[frozenset((m, n))]


class GenericImmersion:
    """The 3-jet of an immersion of R^d, with free inner products.

    Args:
        d: dimension.
        extra: names of further generators of the field.
        differentiable: whether ⟨Ψ_ij, Ψ_klm⟩ is known as well, which ∂C is made of.

    Attributes:
        jet: of formal vectors, for ``PullbackGeometry``.
        products: ⟨Ψ_m, Ψ_n⟩ by the frozen set of m and n, sorted tuples of indices.
        generators: all generators by name, as rational functions.
        third_products: names of the symbols T_i,jkl.
    """

    def __init__(self, d, extra=(), differentiable=False):
        indices = [list(combinations_with_replacement(range(d), rank)) for rank in range(4)]
        ranks = [(1, 1), (1, 2), (2, 2), (1, 3)] + [(2, 3)] * differentiable
        names = {
            frozenset((m, n)): f"p_{_name(m)}_{_name(n)}"
            for left, right in ranks
            for m, n in product(indices[left], indices[right])
            if left < right or m <= n
        }
        self.d, self._names = d, names
        self.generators = field(sorted(names.values()) + list(extra))
        self.products = {pair: self.generators[name] for pair, name in names.items()}
        self.third_products = {names[frozenset(pair)] for pair in product(indices[1], indices[3])}
        origin = np.array([FormalVector({}, self.products)], dtype=object)
        self.jet = Jet(origin, *(self._level(indices[rank], rank) for rank in (1, 2, 3)))

    def _level(self, indices, rank):
        packed = np.empty((1, len(indices)), dtype=object)
        packed[0] = [FormalVector({n: 1}, self.products) for n in indices]
        return unpack(packed, self.d, rank)

    def product_derivatives(self, i):
        """∂_i of the known products, by name: ∂_i⟨Ψ_m, Ψ_n⟩ = ⟨Ψ_mi, Ψ_n⟩ + ⟨Ψ_m, Ψ_ni⟩."""
        derivatives = {}
        for pair, name in self._names.items():
            m, n = min(pair), max(pair)
            raised = frozenset((_with(m, i), n)), frozenset((m, _with(n, i)))
            if all(other in self.products for other in raised):
                derivatives[name] = sum(self.products[other] for other in raised)
        return derivatives


def _with(indices, i):
    return tuple(sorted((*indices, i)))


def _name(indices):
    return "".join(str(i + 1) for i in indices)
