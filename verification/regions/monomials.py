"""Monomials in d variables up to a total degree, and how they multiply."""

from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from math import comb

import torch


class Monomials:
    """x^α, |α| ≤ degree, lowest degree first; of constants there is one, x^0.

    Attributes:
        exponents: α, (M, d).
        degree: of the highest.
    """

    def __init__(self, d, degree):
        self.d, self.degree = d, degree
        rows = [
            [indices.count(i) for i in range(d)]
            for k in range(degree + 1)
            for indices in combinations_with_replacement(range(d), k)
        ]
        self.exponents = torch.tensor(rows, dtype=torch.long).reshape(-1, d)

    def __len__(self):
        return len(self.exponents)

    def count(self, degree):
        """How many there are up to this degree."""
        return comb(self.d + degree, self.d) if degree >= 0 else 0

    @cached_property
    def degrees(self):
        """|α|, (M,)."""
        return self.exponents.sum(1)

    @cached_property
    def products(self):
        """For each α the numbers of α + β, for the β whose product stays below the degree."""
        place = {tuple(row): n for n, row in enumerate(self.exponents.tolist())}
        found = []
        for alpha, degree in zip(self.exponents, self.degrees.tolist(), strict=True):
            others = self.exponents[: self.count(self.degree - degree)]
            found.append(torch.tensor([place[tuple(row)] for row in (alpha + others).tolist()]))
        return found

    @cached_property
    def are_even(self):
        """Whether all exponents are even, the x^α that are in [0, 1] rather than [−1, 1]: (M,)."""
        return (self.exponents % 2 == 0).all(1)

    @cached_property
    def means(self):
        """∏(α_i + 1), by which means over [−1, 1]^d are divided; 0 where they vanish: (M,)."""
        return torch.where(self.are_even, (self.exponents + 1).prod(1), 0).double()


@lru_cache(maxsize=32)
def monomials(d, degree):
    """The Monomials, made once."""
    return Monomials(d, degree)
