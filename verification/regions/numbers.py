"""Taylor models as numbers that decoders and curvcore's rules compute with."""

import numpy as np
import torch

from curvcore.errors import UnsupportedOperationError
from verification.exact.tensors import ExactTensor, Numbers
from verification.regions import intervals
from verification.regions.models import TaylorModels, norm, up


class Conditions(TaylorModels):
    """Models that stand for conditions."""

    __slots__ = ()


# From bounds of a − b: where a condition holds, and where it fails.
_DECIDED = {
    np.less: lambda low, high: (high < 0, low >= 0),
    np.less_equal: lambda low, high: (high <= 0, low > 0),
    np.greater: lambda low, high: (low > 0, high <= 0),
    np.greater_equal: lambda low, high: (low >= 0, high < 0),
}


class Models(Numbers):
    """Taylor models in the variables of one box, or of many boxes at once.

    Conditions are models too: 1 where they hold on all of the box, 0 where nowhere, else ½ ± ½.
    """

    def __init__(self, basis, dtype=torch.float64):
        self.basis, self.dtype = basis, dtype

    def of(self, number):
        """The constant."""
        return TaylorModels.constant(self.basis, float(number))

    def pi(self):
        """π."""
        return intervals.pi(self.basis)

    def apply(self, name, number):
        """The elementary function of that name."""
        return number.elementary(name)

    def elementary(self, name, array):
        """The same, of all at once."""
        return self.apply(name, array)

    def array(self, values):
        """An array of models, from models, numbers, arrays or torch tensors."""
        values = values.array if isinstance(values, ExactTensor) else values
        return values if isinstance(values, TaylorModels) else self.constants(values)

    def constants(self, values):
        """Exact numbers; conditions are 1 and 0."""
        if isinstance(values, torch.Tensor) and values.dtype == torch.bool:
            values = values.double()
        constant = TaylorModels.constant(self.basis, values)
        if not constant.is_finite().all():
            raise UnsupportedOperationError(
                "There are no Taylor models of infinite numbers, by which attention is masked."
            )
        return constant

    def full(self, shape, number):
        """An array of one number, which others can be written to."""
        coefficients = torch.zeros((len(self.basis), *shape), dtype=torch.float64)
        coefficients[0] = number
        return TaylorModels(
            self.basis, coefficients, torch.zeros(tuple(shape), dtype=torch.float64)
        )

    def is_of_bools(self, array):
        """Whether these are conditions, which are numbers here."""
        return isinstance(array, Conditions)

    def compare(self, operator, a, b):
        """Whether a < b, a <= b, a > b or a >= b, entry by entry."""
        low, high = (a - b).bounds()
        holds, fails = _DECIDED[operator](low, high)
        known = torch.where(holds, 1.0, torch.where(fails, 0.0, 0.5)).double()
        return Conditions(self.basis, known[None], self.undecided(holds | fails))

    def undecided(self, decided):
        """The radius of conditions."""
        return decided.logical_not() / 2.0

    def where(self, condition, a, b):
        """a where the condition holds on all of the box, b where nowhere, else what holds both."""
        shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
        a, b = (np.broadcast_to(x, shape) for x in (a, b))
        known, length = condition.middle, max(len(a.coefficients), len(b.coefficients))
        middles = (TaylorModels(self.basis, x.coefficients, 0 * x.radius) for x in (a, b))
        one, other = middles
        gap = one - other
        both = other + gap / 2  # and ± half of gap, beside what a and b are off
        off = norm(gap.coefficients) / 2 + gap.radius + torch.maximum(a.radius, b.radius)
        mixed = both.padded(length), up(both.radius + off, length)
        parts = zip((a.padded(length), a.radius), (b.padded(length), b.radius), mixed, strict=True)
        chosen = (
            torch.where(known == 1, one, torch.where(known == 0, other, rest))
            for one, other, rest in parts
        )
        return TaylorModels(self.basis, *chosen)

    def largest(self, array, axis, keepdims):
        """The largest models along an axis, pairwise."""
        pieces = np.split(array, range(1, array.shape[axis]), axis)
        found = pieces[0]
        for piece in pieces[1:]:
            found = self.where(self.compare(np.greater_equal, found, piece), found, piece)
        return found if keepdims else np.squeeze(found, axis)

    def matmul(self, a, b):
        """The product of matrices."""
        equation = "...ij,jk->...ik" if b.ndim == 2 else "...ij,...jk->...ik"
        if b.ndim == 1:
            equation = "...ij,j->...i"
        if a.ndim == 1:
            equation = equation.replace("i", "")
        return a.contracted(equation, b)
