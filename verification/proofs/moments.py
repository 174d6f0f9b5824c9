"""Expectations of functions of random variables, exactly."""

from itertools import product
from math import prod

import numpy as np

from verification.exact.rational_functions import RationalFunction


def mean_over_all_signs(function, variables):
    """E of independent Rademacher signs: the average over all of their values, one by one.

    Args:
        function: of an array of the shape of ``variables``.
        variables: array of generators, of which only the shape is used.
    """
    total = 0
    for signs in product((1, -1), repeat=variables.size):
        total = function(np.array(signs, dtype=object).reshape(variables.shape)) + total
    return total / 2**variables.size


def mean_over_signs(function, variables):
    """E of independent Rademacher signs, monomial by monomial: E x^{2m} = 1."""
    return _mean(function(variables), variables, _moment_of_sign)


def mean_over_normals(function, variables):
    """E of independent standard normal variables: E x^{2m} = 1·3·5 ⋯ (2m−1).

    Args:
        function: of an array of the shape of ``variables``; a polynomial in them.
        variables: array of generators of a field of rational functions.
    """
    return _mean(function(variables), variables, _moment_of_normal)


def _mean(polynomial, variables, moment):
    """The polynomial with each power of a variable replaced by its mean."""
    random = [variable.numerator.degrees().index(1) for variable in variables.flat]
    numerator, denominator = polynomial.numerator, polynomial.denominator
    if any(denominator.degrees()[position] for position in random):
        raise ValueError("not a polynomial in the random variables")
    terms = {}
    for exponents, coefficient in numerator.to_dict().items():
        mean = prod(moment(exponents[position]) for position in random)
        rest = tuple(0 if n in random else power for n, power in enumerate(exponents))
        terms[rest] = terms.get(rest, 0) + mean * coefficient
    return RationalFunction(numerator.context().from_dict(terms), denominator)


def _moment_of_sign(order):
    return 0 if order % 2 else 1


def _moment_of_normal(order):
    return 0 if order % 2 else prod(range(1, order, 2))
