"""Expectations of polynomials in random variables, exactly."""

from itertools import product
from math import prod

import numpy as np

from verification.exact.rational_functions import RationalFunction


def mean_over_signs(function, variables):
    """E of independent Rademacher signs: the average over all of their values.

    Args:
        function: of an array of the shape of ``variables``.
        variables: array of generators, of which only the shape is used.
    """
    size = variables.size
    total = 0
    for signs in product((1, -1), repeat=size):
        total = function(np.array(signs, dtype=object).reshape(variables.shape)) + total
    return total / 2**size


def mean_over_normals(function, variables):
    """E of independent standard normal variables: E x^{2m} = 1·3·5 ⋯ (2m−1), monomial by monomial.

    Args:
        function: of an array of the shape of ``variables``; a polynomial in them.
        variables: array of generators of a field of rational functions.
    """
    polynomial = function(variables)
    random = [_position(variable) for variable in variables.flat]
    numerator, denominator = polynomial.numerator, polynomial.denominator
    if any(denominator.degrees()[position] for position in random):
        raise ValueError("not a polynomial in the random variables")
    terms = {}
    for exponents, coefficient in numerator.to_dict().items():
        moment = prod(_moment(exponents[position]) for position in random)
        rest = list(exponents)
        for position in random:
            rest[position] = 0
        key = tuple(rest)
        terms[key] = terms.get(key, 0) + moment * coefficient
    return RationalFunction(numerator.context().from_dict(terms), denominator)


def _moment(order):
    return 0 if order % 2 else prod(range(1, order, 2))


def _position(generator):
    return generator.numerator.degrees().index(1)
