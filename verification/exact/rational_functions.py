"""Rational functions in exact arithmetic, on FLINT's integer polynomials."""

from functools import wraps

import flint


def _with_integers(operation):
    """A binary operation of rational functions that takes an integer on the right as well."""

    @wraps(operation)
    def lifted(self, other):
        if isinstance(other, int):
            context = self.numerator.context()
            other = RationalFunction(context.constant(other), context.constant(1))
        if not isinstance(other, RationalFunction):
            return NotImplemented
        return operation(self, other)

    return lifted


class RationalFunction:
    """p/q in lowest terms, q with positive leading coefficient: p, q integer polynomials of FLINT.

    The normal form is unique, so equality is equality of p and of q. Arithmetic with integers and,
    through numpy, with object arrays.
    """

    __slots__ = ("denominator", "numerator")

    def __init__(self, numerator: flint.fmpz_mpoly, denominator: flint.fmpz_mpoly):
        if denominator.is_zero():
            raise ZeroDivisionError("division by the zero of the function field")
        common = numerator.gcd(denominator)
        if denominator.leading_coefficient() < 0:
            common = -common
        if not common.is_one():
            numerator, denominator = numerator / common, denominator / common
        self.numerator, self.denominator = numerator, denominator

    def __repr__(self):
        return f"({self.numerator})/({self.denominator})"

    def __bool__(self):
        return not self.numerator.is_zero()

    @_with_integers
    def __eq__(self, other):
        return self.numerator == other.numerator and self.denominator == other.denominator

    __hash__ = None

    def __neg__(self):
        return RationalFunction(-self.numerator, self.denominator)

    @_with_integers
    def __add__(self, other):
        shared = self.denominator.gcd(other.denominator)  # keeps the common denominator least
        mine, theirs = self.denominator / shared, other.denominator / shared
        numerator = self.numerator * theirs + other.numerator * mine
        return RationalFunction(numerator, self.denominator * theirs)

    __radd__ = __add__

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    @_with_integers
    def __mul__(self, other):
        return RationalFunction(
            self.numerator * other.numerator, self.denominator * other.denominator
        )

    __rmul__ = __mul__

    @_with_integers
    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    def __pow__(self, exponent: int):
        if exponent < 0:
            return RationalFunction(self.denominator**-exponent, self.numerator**-exponent)
        return RationalFunction(self.numerator**exponent, self.denominator**exponent)
