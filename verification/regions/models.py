"""Taylor models: polynomials on [−1, 1]^d and a bound of all that they leave out.

A model stands for every function f with |f(x) − Σ_α c_α x^α| ≤ r on [−1, 1]^d; what is computed of
models stands for what is computed of such functions. r takes up what polynomials of the degree
cannot hold and what rounding does. References: Makino and Berz, *Int. J. Pure Appl. Math.* 4
(2003); Rump, *Acta Numerica* 19 (2010), for sums and products of matrices in floating point.

=================  ========================================================  ===================
code               mathematics                                               shape
=================  ========================================================  ===================
``coefficients``   c_α, in the order of the :class:`Monomials`               (M, ...)
``radius``         r                                                         (...)
=================  ========================================================  ===================

Constants, intervals c_0 ± r, hold one coefficient: M = 1. Rounding: a sum of K products errs by at
most γ_K = Ku/(1 − Ku) times the sum of their sizes, u = 2⁻⁵³, in whatever order it is made, with or
without fused multiply–add. Radii are sums of products of numbers that are not negative, so that
their own rounding is a factor, and underflow less than ``_TINY``.
"""

import math

import numpy as np
import torch

U = 2.0**-53
_TINY = 1e-290


class TaylorModels:
    """An array of Taylor models, which numpy's functions and operators take as one of theirs.

    Args:
        basis: the :class:`Monomials`.
        coefficients, radius: float64 tensors, see above.
    """

    __slots__ = ("basis", "coefficients", "radius")

    def __init__(self, basis, coefficients, radius):
        self.basis, self.coefficients, self.radius = basis, coefficients, radius

    @classmethod
    def constant(cls, basis, values):
        """Exact numbers: a float, an integer below 2⁵³, or an array or tensor of these."""
        if not isinstance(values, torch.Tensor):
            values = torch.from_numpy(np.array(values, dtype=np.float64))
        if not values.is_floating_point() and (values.abs() > 2**53).any():
            raise ValueError("An integer of more than 53 bits is no float.")
        values = values.detach().cpu().to(torch.float64, copy=True)
        return cls(basis, values[None], torch.zeros_like(values))

    # --- what an array has ------------------------------------------------------------------------

    @property
    def shape(self):
        """Of the array."""
        return tuple(self.radius.shape)

    @property
    def ndim(self):
        """Of the array."""
        return self.radius.ndim

    @property
    def size(self):
        """Of the array."""
        return self.radius.numel()

    @property
    def T(self):  # noqa: N802  (numpy's name)
        """All axes the other way round."""
        return self.transpose(*reversed(range(self.ndim)))

    def __len__(self):
        return len(self.radius)

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        return self._with(self.coefficients[(slice(None), *index)], self.radius[index])

    def __setitem__(self, index, values):
        """Write, also to what this is a view of; which must hold as many coefficients."""
        values, index = self.lifted(values), index if isinstance(index, tuple) else (index,)
        if len(values.coefficients) > len(self.coefficients):
            raise ValueError("A model cannot be written to a constant.")
        values = np.broadcast_to(values, tuple(self.radius[index].shape))
        self.coefficients[(slice(None), *index)] = values.padded(len(self.coefficients))
        self.radius[index] = values.radius

    def reshape(self, *shape):
        """The same in another shape."""
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        radius = self.radius.reshape(tuple(shape))
        return self._with(self.coefficients.reshape(-1, *radius.shape), radius)

    def transpose(self, *axes):
        """The same with its axes in this order."""
        axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        axes = [axis % self.ndim for axis in axes]
        return self._with(
            self.coefficients.permute(0, *(axis + 1 for axis in axes)), self.radius.permute(*axes)
        )

    def swapaxes(self, one, other):
        """The same with two axes swapped."""
        one, other = (axis % self.ndim - self.ndim for axis in (one, other))
        return self._with(self.coefficients.swapaxes(one, other), self.radius.swapaxes(one, other))

    def sum(self, axis=None, keepdims=False):
        """Sums over one axis, several, or all."""
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(a % self.ndim - self.ndim for a in axes)
        if not axes:
            return self
        total = self.coefficients.sum(axes, keepdim=keepdims)
        terms = self.size // max(1, total[0].numel())
        sizes = norm(self.coefficients).sum(axes, keepdim=keepdims)
        radius = self.radius.sum(axes, keepdim=keepdims) + 2 * terms * U * sizes
        return self._with(total, up(radius, terms))

    # --- bounds -----------------------------------------------------------------------------------

    @property
    def middle(self):
        """c_0."""
        return self.coefficients[0]

    def spread(self):
        """How far from c_0 the function may be, above: (...)."""
        return up(norm(self.coefficients[1:]) + self.radius, len(self.coefficients) + 2)

    def bounds(self):
        """Numbers that are not above, and not below, all values: (...) each."""
        even = self.basis.are_even[1 : len(self.coefficients)]
        rest = self.coefficients[1:]
        odd = norm(rest[~even]) + self.radius
        terms = len(self.coefficients) + 3
        below = up(odd + rest[even].clamp(max=0).abs().sum(0), terms)
        above = up(odd + rest[even].clamp(min=0).sum(0), terms)
        return _down_by(self.middle - below), _up_by(self.middle + above)

    def is_finite(self):
        """Whether all numbers are: (...)."""
        return self.radius.isfinite() & self.coefficients.isfinite().all(0)

    def hull(self):
        """The interval of all values, a constant."""
        return self._with(self.coefficients[:1], self.spread())

    # --- arithmetic -------------------------------------------------------------------------------

    def __neg__(self):
        return self._with(-self.coefficients, self.radius.clone())

    def __add__(self, other):
        other = self.lifted(other)
        one, two = aligned(self, other)
        longer, shorter = (one, two) if len(one) >= len(two) else (two, one)
        common = longer[: len(shorter)] + shorter
        rounding = U * norm(common)
        rest = longer[len(shorter) :].expand(-1, *common.shape[1:])
        radius = self.radius + other.radius + 2 * rounding
        return self._with(torch.cat([common, rest]) if len(rest) else common, up(radius, 8))

    __radd__ = __add__

    def __sub__(self, other):
        return self + -self.lifted(other)

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        if isinstance(other, int | float):
            return self._scaled(self.coefficients * other, abs(other))
        other = self.lifted(other)
        return self._product(*aligned(self, other), self.radius, other.radius, torch.mul, 1)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if isinstance(other, int | float):
            return self._scaled(self.coefficients / other, 1 / abs(other))
        return self * self.lifted(other).reciprocal()

    def __rtruediv__(self, other):
        return self.reciprocal() * other

    def __pow__(self, exponent):
        if exponent < 0:
            return (self**-exponent).reciprocal()
        if exponent == 0:
            return TaylorModels.constant(self.basis, torch.ones_like(self.radius))
        half = self ** (exponent // 2) if exponent > 1 else None
        square = self if half is None else half * half
        return square if half is None or exponent % 2 == 0 else square * self

    def reciprocal(self):
        """1/f, not finite where 0 is not excluded."""
        return self.elementary("reciprocal")

    def sqrt(self):
        """√f, not finite where f > 0 is not certain."""
        return self.elementary("sqrt")

    def elementary(self, name):
        """The function of that name (:mod:`verification.regions.elementary`)."""
        from verification.regions.elementary import compose

        return compose(name, self)

    def _scaled(self, coefficients, factor):
        """Times a number, or divided by one."""
        radius = self.radius * factor + 2 * U * norm(coefficients)
        return self._with(coefficients, up(radius, len(coefficients)))

    def contracted(self, equation, other):
        """The einsum of two arrays."""
        one, two = self.coefficients, other.coefficients
        left, rest = equation.split(",")
        right, out = rest.split("->")
        terms = _terms_of(left, right, out, self.shape, other.shape)

        def product(a, b):
            """Of (...) and (..., k) or of (...) and (...): leading axes are monomials."""
            if b.ndim > other.ndim:
                return torch.einsum(f"{left},Z{right}->Z{out}", a, b)
            return torch.einsum(equation, a, b)

        return self._product(one, two, self.radius, other.radius, product, terms)

    def _product(self, one, two, radius_of_one, radius_of_two, product, terms):
        """Of coefficients and radii, by a bilinear function that sums so many ``terms``."""
        sizes = norm(one), norm(two)
        if len(one) == 1:
            coefficients = product(one[0], two)
            excess = 0
        elif len(two) == 1:
            coefficients = torch.stack([product(c, two[0]) for c in one])
            excess = 0
        else:
            coefficients, excess = self._truncated(one, two, product)
        count = terms * min(len(one), len(two)) + len(self.basis)
        radius = product(sizes[0] + radius_of_one, radius_of_two + 2 * count * U * sizes[1])
        radius = radius + product(radius_of_one, sizes[1]) + excess
        return self._with(coefficients, up(radius, terms + 4 * len(self.basis)))

    def _truncated(self, one, two, product):
        """Coefficients up to the degree, and what the others come to at most."""
        coefficients = None
        for alpha, places in enumerate(self.basis.products):
            part = product(one[alpha], two[: len(places)])
            if coefficients is None:
                coefficients = part.clone()
            else:
                coefficients.index_add_(0, places, part)
        n, degrees = self.basis.degree, self.basis.degrees
        by_degree = [_by_degree(c, degrees, n) for c in (one, two)]
        tails = by_degree[1].flip(0).cumsum(0).flip(0)
        excess = 0
        for k in range(1, n + 1):
            excess = excess + product(by_degree[0][k], tails[n - k + 1])
        return coefficients, excess

    # --- how numpy reaches them -------------------------------------------------------------------

    def __array_function__(self, function, types, args, kwargs):
        from verification.regions.numpy_functions import FUNCTIONS

        if function not in FUNCTIONS:
            return NotImplemented
        return FUNCTIONS[function](*args, **kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from verification.regions.numpy_functions import UFUNCS

        if method != "__call__" or kwargs or ufunc not in UFUNCS:
            return NotImplemented
        return UFUNCS[ufunc](*(self.lifted(x) for x in inputs))

    def _with(self, coefficients, radius):
        return TaylorModels(self.basis, coefficients, radius)

    def lifted(self, other):
        """An array of models as it is, another one as constants."""
        return other if isinstance(other, TaylorModels) else self.constant(self.basis, other)

    def padded(self, length):
        """The coefficients, and zeros, so many in all."""
        missing = length - len(self.coefficients)
        if not missing:
            return self.coefficients
        zeros = self.coefficients.new_zeros(missing, *self.shape)
        return torch.cat([self.coefficients, zeros])


def norm(coefficients):
    """Σ |c_α| (M, ...) -> (...), what |f| is at most, but for the rounding of the sum itself."""
    return coefficients.abs().sum(0)


def aligned(one, other):
    """Coefficients of two arrays, of as many axes."""
    ndim = max(one.ndim, other.ndim)
    return tuple(
        x.coefficients.reshape(-1, *(1,) * (ndim - x.ndim), *x.shape) for x in (one, other)
    )


def up(radius, terms):
    """No less than what ``radius``, a sum of so many products of such sums, is without rounding."""
    return radius * (1 + 4 * (terms + 8) * U) + _TINY


def _down_by(number):
    return number - (number.abs() * (4 * U) + _TINY)


def _up_by(number):
    return number + (number.abs() * (4 * U) + _TINY)


def _by_degree(coefficients, degrees, n):
    """Σ |c_α| over |α| = k, (n + 1, ...)."""
    found = coefficients.new_zeros(n + 1, *coefficients.shape[1:])
    return found.index_add_(0, degrees, coefficients.abs())


def _terms_of(left, right, out, shape, other):
    """How many products an einsum sums."""
    sizes = {}
    for letters, lengths in ((left, shape), (right, other)):
        letters = letters.replace("...", "")
        for letter, size in zip(letters, lengths[len(lengths) - len(letters) :], strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"einsum {left},{right}->{out} of shapes {shape} and {other}")
    return math.prod(size for letter, size in sizes.items() if letter not in out)
