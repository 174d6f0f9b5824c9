"""Tensors of exact numbers or balls, which torch's own functions take.

An ExactTensor holds a numpy object array and answers to torch functions by ``__torch_function__``.
So code written for torch runs on it as it stands: a decoder's ``forward``, and the rules by which
curvcore propagates derivatives through it. The numbers are ``flint.arb`` balls, or sympy
expressions, as its :class:`Numbers` say.
"""

import math
from abc import ABC, abstractmethod
from contextlib import contextmanager
from contextvars import ContextVar

import flint
import numpy as np
import sympy
import torch
from torch.overrides import resolve_name
from torch.utils._pytree import tree_leaves, tree_map

import curvcore
from curvcore.providers.fused.jet_tensor import JetTensor, overload_operators

FUNCTIONS = {}
COMPUTING = ContextVar("whether numbers are being computed, by whatever means", default=False)


@contextmanager
def computing():
    """Within this, what torch does to plain tensors is how numbers are computed."""
    token = COMPUTING.set(True)
    try:
        yield
    finally:
        COMPUTING.reset(token)


class UndecidedError(curvcore.CurvatureError):
    """Balls are too wide to be compared."""


class Numbers(ABC):
    """A kind of number: how floats become one, and its elementary functions.

    Attributes:
        dtype: what decoders are told that their numbers are.
    """

    dtype = torch.float64

    @abstractmethod
    def of(self, number):
        """The number that equals an int or a float, exactly."""

    @abstractmethod
    def pi(self):
        """π."""

    @abstractmethod
    def apply(self, name, number):
        """The elementary function of that name."""

    def compare(self, operator, a, b):
        """Whether a < b, a <= b, a > b or a >= b, entry by entry."""
        return operator(a, b)

    def where(self, condition, a, b):
        """a where the condition holds, else b."""
        return np.where(condition.astype(bool), a, b)

    def maximum(self, a, b):
        """The larger one of two numbers."""
        return a if self.compare(np.greater_equal, a, b) else b

    def largest(self, array, axis, keepdims):
        """The largest numbers along an axis."""
        return np.frompyfunc(self.maximum, 2, 1).reduce(array, axis=axis, keepdims=keepdims)

    def elementary(self, name, array):
        """The elementary function of that name, entry by entry."""
        return np.frompyfunc(lambda entry: self.apply(name, entry), 1, 1)(array)

    def full(self, shape, number):
        """An array of one number, an int or a float."""
        return np.full(shape, self.of(number), dtype=object)

    def is_of_bools(self, array):
        """Whether the array is one of conditions."""
        return bool(array.size) and isinstance(array.flat[0], bool | np.bool_)

    def matmul(self, a, b):
        """The product of matrices."""
        return a @ b

    def array(self, values):
        """An object array of these numbers, from numbers, floats, arrays or torch tensors."""
        if isinstance(values, ExactTensor):
            return values.array
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu()
            values = (values if values.dtype == torch.bool else values.double()).numpy()
        values = np.asarray(values)
        if values.dtype in (object, bool):
            return values
        numbers = np.empty(values.size, dtype=object)
        numbers[:] = [self.of(entry) for entry in values.reshape(-1).tolist()]
        return numbers.reshape(values.shape)


class Balls(Numbers):
    """Real balls of the precision that flint is set to: every result encloses the exact one."""

    def __init__(self, dtype=torch.float64):
        self.dtype = dtype

    def of(self, number):
        """A ball of radius zero."""
        return flint.arb(number)

    def pi(self):
        """An enclosure of π."""
        return flint.arb.pi()

    def apply(self, name, number):
        """An enclosure."""
        return getattr(number, name)()

    def compare(self, operator, a, b):
        """The same where it is certain; UndecidedError where balls overlap."""
        opposite = {np.less: np.greater_equal, np.less_equal: np.greater}
        opposite |= {value: key for key, value in opposite.items()}
        found = np.asarray(operator(a, b), dtype=bool)
        if not (found | np.asarray(opposite[operator](a, b), dtype=bool)).all():
            raise UndecidedError("Two numbers that the decoder compares cannot be told apart.")
        return found

    def maximum(self, a, b):
        """An enclosure, of balls that overlap too."""
        return a.max(b)

    def matmul(self, a, b):
        """FLINT's product of matrices."""
        if b.ndim != 2:
            return a @ b
        rows = a.reshape(-1, a.shape[-1])
        left, right = (
            flint.arb_mat(*x.shape, x.reshape(-1).tolist()) if isinstance(x, np.ndarray) else x
            for x in (rows, b)
        )
        product = left * right
        entries = np.empty(product.nrows() * product.ncols(), dtype=object)
        entries[:] = product.entries()
        return entries.reshape(*a.shape[:-1], b.shape[-1])


class Expressions(Numbers):
    """sympy expressions."""

    def of(self, number):
        """An integer or a rational number, or ±∞, of which sympy's Rational makes 0."""
        return sympy.Rational(number) if math.isfinite(number) else sympy.sympify(number)

    def pi(self):
        """π."""
        return sympy.pi

    def apply(self, name, number):
        """The same function of sympy."""
        return getattr(sympy, name)(number)


def _lifted(args, kwargs):
    """The same with tensors of floats as exact ones, so that nothing of them alone is rounded."""
    leaves = tree_leaves((args, kwargs))
    numbers = next((leaf.numbers for leaf in leaves if isinstance(leaf, ExactTensor)), None)

    def lift(leaf):
        is_of_floats = isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
        return ExactTensor(leaf, numbers) if is_of_floats and numbers is not None else leaf

    return tree_map(lift, (args, kwargs))


class ExactTensor:
    """An object array that torch functions take.

    Attributes:
        array: numpy object array of numbers, or of bools.
        numbers: what kind they are.
    """

    def __init__(self, values, numbers):
        self.numbers = numbers
        self.array = numbers.array(values)

    def like(self, array):
        """The same kind of tensor."""
        return ExactTensor(array, self.numbers)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if any(isinstance(operand, JetTensor) for operand in args):
            return JetTensor.__torch_function__(function, types, args, kwargs)
        implementation = FUNCTIONS.get(function)
        if implementation is None:
            name = resolve_name(function) or getattr(function, "__name__", repr(function))
            raise curvcore.UnsupportedOperationError(
                f"There is no exact version of {name}; known are linear layers, convolutions, "
                "elementary activations, sums, products, normalisations, softmax and attention "
                "(verification.exact.functions, verification.exact.layers)."
            )
        with computing():
            args, kwargs = _lifted(args, kwargs or {})
            return implementation(*args, **kwargs)

    def __getattr__(self, name):
        method = getattr(torch.Tensor, name, None)
        if not callable(method) or name.startswith("__"):
            raise AttributeError(f"an exact tensor has no attribute {name!r}")
        return lambda *args, **kwargs: self.__torch_function__(method, (), (self, *args), kwargs)

    def roots(self):
        """√2 and √π, for rules that need them."""
        with computing():
            two, pi = (self.like(x) for x in (self.numbers.of(2), self.numbers.pi()))
            return torch.sqrt(two), torch.sqrt(pi)

    shape = property(lambda self: torch.Size(self.array.shape))
    ndim = property(lambda self: self.array.ndim)
    device = torch.device("cpu")
    is_nested = False
    mT = property(lambda self: self.like(self.array.swapaxes(-2, -1)))  # noqa: N815  (torch's name)
    T = property(lambda self: self.like(self.array.T))
    __array_ufunc__ = None  # numpy numbers leave operators to this class

    @property
    def dtype(self):
        """What torch would call it."""
        return torch.bool if self.numbers.is_of_bools(self.array) else self.numbers.dtype

    def __len__(self):
        return len(self.array)

    def __bool__(self):
        raise curvcore.UnsupportedOperationError("A decoder may not branch on its values.")

    __float__ = __int__ = __bool__


overload_operators(ExactTensor, ("neg", "abs", "getitem", "lt", "le", "gt", "ge", "invert"))
