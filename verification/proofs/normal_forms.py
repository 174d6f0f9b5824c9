"""Zero or not: expressions in undefined functions, square roots, exponentials and logarithms.

Undefined functions u(z) and their derivatives are symbols here, independent of each other. A root
√(p/q), q an integer, is r/q with r² = pq; e^{kw/m}, w a product of symbols, is E_w^k; log of a
product, of what is positive, is the sum of the factors' logarithms. What is left are rational
functions of symbols, of which the numerator is divided by every r² − pq: an expression whose
remainder is zero is zero.
"""

import math
from collections import defaultdict

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from verification.exact.fields import FunctionField

# Roots come first in the order of monomials, so that r² is what leads in r² − pq.
_ROOT = "0_root"


def remainders(array):
    """What the expressions of an array leave, all zero only if these are."""
    entries, squares = _without_roots(_without_undefined(list(array.reshape(-1))))
    entries = _without_logarithms(*_without_exponentials(entries))
    field = FunctionField([*entries, *squares, *squares.values()])
    relations = [(field.embed(r) ** 2 - field.embed(square)) for r, square in squares.items()]

    def remainder(entry):
        numerator = field.embed(entry).numerator
        for relation in relations:
            _, numerator = divmod(numerator, relation.numerator)
        return numerator

    found = np.empty(len(entries), dtype=object)
    found[:] = [remainder(entry) for entry in entries]
    return found


def _atoms(entries, *kinds):
    return sorted(set().union(*(e.atoms(*kinds) for e in entries)), key=sp.default_sort_key)


def _replaced(entries, table):
    return [entry.xreplace(table) for entry in entries]


def _without_undefined(entries):
    """A symbol for each undefined function and each of its derivatives."""
    found = _atoms(entries, AppliedUndef, sp.Derivative)
    return _replaced(entries, {x: sp.Symbol(f"u_{n}") for n, x in enumerate(found)})


def _without_roots(entries):
    """Entries with symbols r, and r² by r, polynomials with integer coefficients."""
    table, squares, known = {}, {}, {}
    for root in _atoms(entries, sp.Pow):
        if root.exp.is_Rational and root.exp.q == 2:
            numerator, denominator = sp.fraction(sp.together(sp.expand(root.base)))
            if not denominator.is_Integer:
                raise ValueError(f"{root}: of roots of quotients the sign is not known")
            square = sp.expand(numerator * denominator)
            symbol = known.setdefault(square, sp.Symbol(f"{_ROOT}{len(known)}"))
            squares[symbol] = square
            table[root] = (symbol / denominator) ** (2 * root.exp)
    return _replaced(entries, table), squares


def _without_exponentials(entries):
    """Entries with symbols E_w = e^{w/m}, and what their logarithms are, by symbol."""
    terms = {x: sp.expand(x.args[0]).as_coefficients_dict() for x in _atoms(entries, sp.exp)}
    steps = defaultdict(lambda: 1)
    for sums in terms.values():
        for w, coefficient in sums.items():
            steps[w] = math.lcm(steps[w], int(coefficient.q))
    symbols = {w: sp.Symbol(f"E_{n}", positive=True) for n, w in enumerate(steps)}
    table = {
        x: sp.Mul(*(symbols[w] ** (c * steps[w]) for w, c in sums.items()))
        for x, sums in terms.items()
    }
    return _replaced(entries, table), {symbols[w]: w / step for w, step in steps.items()}


def _without_logarithms(entries, exponents):
    """Entries with a symbol for the logarithm of each factor that is no exponential."""
    table, known = {}, {sp.log(symbol): exponent for symbol, exponent in exponents.items()}
    for logarithm in _atoms(entries, sp.log):
        factors = sp.expand_log(sp.log(sp.factor(logarithm.args[0])), force=True)
        for factor in _atoms([factors], sp.log):
            known.setdefault(factor, sp.Symbol(f"log_{len(known)}"))
        table[logarithm] = factors.xreplace(known)
    return _replaced(entries, table)
