"""Generic smooth functions, for torch, for jets and for sympy; and what the jet rules leave over.

A generic function is an undefined sympy function f whose derivatives are f′, f″, ...; torch code
calls it like one of torch's own, and jets know it by a rule, as a user would register it. Generic
inner functions u(z) are sympy's undefined functions. So a statement about jets is settled by
sympy's own differentiation of the expression that stands in the value.
"""

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import sympy as sp
from torch.overrides import handle_torch_function

import curvcore
from curvcore.providers.fused.jet_tensor import JetTensor
from verification.exact.functions import implements
from verification.exact.tensors import ExactTensor, Expressions


class Generic(Expressions):
    """Expressions of which any may be the largest one; where asked, the first one is the larger."""

    def largest(self, array, axis, keepdims):
        """A free symbol for each: what is to be shown holds whichever numbers these are."""
        shape = np.sum(array, axis=axis, keepdims=keepdims).shape
        return constants("m", *shape).array

    def compare(self, operator, a, b):
        """Whether a > b or a >= b: so; not a < b."""
        shape = np.broadcast_shapes(np.shape(a), np.shape(b))
        return np.full(shape, operator in (np.greater, np.greater_equal))


NUMBERS = Generic()


@cache
def derivative_of_generic(name, order):
    """The undefined function f^(order) of one variable, whose sympy derivative is f^(order+1)."""

    class Generic(sp.Function):
        nargs = 1

        def fdiff(self, argindex=1):
            return derivative_of_generic(name, order + 1)(*self.args)

    Generic.__name__ = name + "′" * order
    return Generic


def generic_function(name):
    """A smooth function of tensors, entry by entry, of which nothing is known."""

    def function(x):
        return handle_torch_function(function, (x,), x)

    def entrywise(order, x):
        return x.like(np.frompyfunc(derivative_of_generic(name, order), 1, 1)(x.array))

    implements(function)(lambda x: entrywise(0, x))

    @curvcore.rules.elementwise(function)
    def _(x, y):
        for order in (1, 2, 3):
            yield entrywise(order, x)

    return function


def coordinates(d):
    """z_1, ..., z_d."""
    return sp.symbols(f"z1:{d + 1}", real=True)


def generic(name, shape, z):
    """An array of undefined functions u(z), a row for one point: (1, *shape)."""
    return _array((1, *shape), lambda *n: sp.Function(name + "".join(map(str, n[1:])))(*z))


def generic_polynomial(name, degree, z):
    """A polynomial with free coefficients: (1, 1)."""
    monomials = [sp.Mul(*m) for k in range(degree + 1) for m in combinations_with_replacement(z, k)]
    return _array((1, 1), lambda *_: sum(sp.Symbol(f"{name}_{m}") * m for m in monomials))


def constants(name, *shape):
    """An array of free symbols."""
    return exact(_array(shape, lambda *n: sp.Symbol(name + "".join(map(str, n)))))


def exact(array):
    """The ExactTensor of an array of expressions."""
    return ExactTensor(array, NUMBERS)


def jet(expressions, z, order, levels=None):
    """The JetTensor of an array of expressions of z, held up to derivatives of order ``levels``."""
    channels = derivatives(expressions, z, order if levels is None else levels)
    return JetTensor(exact(expressions), exact(channels), len(z), order)


def derivatives(expressions, z, order):
    """sympy's partial derivatives of orders 1, ..., ``order``, packed: (K, *shape)."""
    known = {(): expressions}
    for rank in range(1, order + 1):
        for m in combinations_with_replacement(range(len(z)), rank):
            known[m] = _entrywise(lambda e, x=z[m[-1]]: e.diff(x), known[m[:-1]])
    return np.stack([known[m] for m in known if m])


def residual(function, inputs, z, order, levels=()):
    """:func:`difference`, expanded."""
    return expanded(difference(function, inputs, z, order, levels))


def difference(function, inputs, z, order, levels=()):
    """Jets of ``function(*inputs)`` less sympy's derivatives of its value.

    Args:
        function: torch code.
        inputs: arrays (B, ...) of expressions of z.
        levels: for each input the order beyond which its derivatives vanish and are not held.
    """
    levels = (*levels, *(None,) * (len(inputs) - len(levels)))
    jets = [jet(e, z, order, level) for e, level in zip(inputs, levels, strict=True)]
    value = function(*map(exact, inputs)).array
    output = function(*jets)
    expected = np.concatenate([value[None], derivatives(value, z, order)])
    computed = np.concatenate([output.value.array[None], output.all_channels().array])
    return computed - expected


def expanded(array):
    """The normal form of polynomials in undefined functions and their derivatives."""
    return _entrywise(sp.expand, array)


def _entrywise(function, array):
    return np.frompyfunc(function, 1, 1)(array)


def _array(shape, entry):
    array = np.empty(shape, dtype=object)
    for n in np.ndindex(*shape):
        array[n] = entry(*n)
    return array
