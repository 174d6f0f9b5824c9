"""Fields of rational functions in named generators, and derivatives in them."""

import flint
import numpy as np

from verification.exact.rational_functions import RationalFunction


def field(names):
    """The generators of the field of rational functions Q(names), by name."""
    context = flint.fmpz_mpoly_ctx.get(names)
    one = context.constant(1)
    return {
        name: RationalFunction(generator, one)
        for name, generator in zip(names, context.gens(), strict=True)
    }


def generators_in(elements):
    """Names of the generators that occur in an array of rational functions."""
    found = set()
    for element in np.asarray(elements, dtype=object).reshape(-1):
        for polynomial in (element.numerator, element.denominator):
            names, degrees = polynomial.context().names(), polynomial.degrees()
            found |= {name for name, degree in zip(names, degrees, strict=True) if degree > 0}
    return found


class Derivation:
    """A derivative of rational functions, from those of the generators.

    ∂(p/q) = (∂p − (p/q) ∂q)/q, ∂p = Σ_n ∂p/∂n · ∂n.

    Args:
        images: ∂n by the name of the generator n.
        default: ∂n of every other generator; unknown if left out.
    """

    def __init__(self, images, default=None):
        self._images, self._default = images, default

    def __call__(self, elements):
        """The derivative, entry by entry."""
        if isinstance(elements, np.ndarray):
            return np.frompyfunc(self, 1, 1)(elements)
        numerator = self._of_polynomial(elements.numerator)
        denominator = self._of_polynomial(elements.denominator)
        one = elements.denominator.context().constant(1)
        of_numerator = numerator - elements * denominator
        return of_numerator * RationalFunction(one, elements.denominator)

    def _of_polynomial(self, polynomial):
        context = polynomial.context()
        one = context.constant(1)
        total = RationalFunction(context.constant(0), one)
        for name, degree in zip(context.names(), polynomial.degrees(), strict=True):
            if degree > 0:
                slope = RationalFunction(polynomial.derivative(name), one)
                total = total + slope * self._of_generator(name)
        return total

    def _of_generator(self, name):
        image = self._images.get(name, self._default)
        if image is None:
            raise LookupError(f"the derivative of {name} is not known")
        return image
