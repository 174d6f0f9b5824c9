"""Monomials in d variables up to a total degree, and how they multiply."""

from functools import cached_property, lru_cache
from itertools import combinations_with_replacement

import torch


class Monomials:
    """x^α, |α| ≤ degree, lowest degree first; of constants there is one, x^0.

    Attributes:
        exponents: α, (M, d).
        degree: of the highest.
        weights: w with |α| = Σ w_i α_i, positive integers: x_i of weight w stands for what is as
            small as the w-th power of others. Monomials of equal degree begin with the first x_i.
    """

    def __init__(self, d, degree, weights=None):
        self.d, self.degree, self.weights = d, degree, weights or (1,) * d
        rows = [
            [indices.count(i) for i in range(d)]
            for k in range(degree + 1)
            for indices in combinations_with_replacement(range(d), k)
        ]
        rows = [row for row in rows if self._degree(row) <= degree]
        self.exponents = torch.tensor(sorted(rows, key=self._degree), dtype=torch.long)
        self.exponents = self.exponents.reshape(-1, d)

    def _degree(self, row):
        return sum(w * power for w, power in zip(self.weights, row, strict=True))

    def __len__(self):
        return len(self.exponents)

    def count(self, degree):
        """How many there are up to this degree."""
        return int((self.degrees <= degree).sum())

    @cached_property
    def degrees(self):
        """|α|, (M,)."""
        return (self.exponents * torch.tensor(self.weights)).sum(1)

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
def monomials(d, degree, weights=None):
    """The Monomials, made once."""
    return Monomials(d, degree, weights)
