"""What torch functions do to ExactTensors: arithmetic, shapes, linear layers, activations.

Other layers are in :mod:`verification.exact.layers`. Activations are what torch documents: GELU is
x Φ(x), not the polynomial that a kernel evaluates; softplus is x beyond its threshold. Literal
constants are the doubles in torch's source.
"""

import math

import numpy as np
import sympy
import torch
import torch.nn.functional as F

from curvcore.providers.fused.registry import named
from verification.exact.tensors import FUNCTIONS, ExactTensor


def implements(*functions):
    """Decorator: the decorated function stands for each of ``functions`` on ExactTensors."""

    def register(implementation):
        FUNCTIONS.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def _arrays(*operands):
    """The ExactTensor among the operands, and all of them as object arrays."""
    tensor = next(operand for operand in operands if isinstance(operand, ExactTensor))
    return tensor, *(tensor.numbers.array(operand) for operand in operands)


# --- arithmetic ---------------------------------------------------------------------------------


def _arithmetic(operation):
    def of(a, b, *, alpha=1, out=None):
        tensor, a, b = _arrays(a, b)
        result = operation(a, b if alpha == 1 else alpha * b)
        return tensor.like(result) if out is None else _written(out, result)

    return of


implements(*named("add", "__add__", "__radd__"))(_arithmetic(np.add))
implements(*named("sub", "subtract", "__sub__"))(_arithmetic(np.subtract))
implements(*named("rsub", "__rsub__"))(_arithmetic(lambda a, b: b - a))
implements(*named("mul", "multiply", "__mul__", "__rmul__"))(_arithmetic(np.multiply))
implements(*named("div", "divide", "true_divide", "__truediv__"))(_arithmetic(np.true_divide))
implements(*named("__rtruediv__", "__rdiv__"))(_arithmetic(lambda a, b: b / a))
implements(*named("neg", "negative", "__neg__"))(lambda x: x.like(-x.array))
implements(*named("square"))(lambda x: x.like(x.array * x.array))
implements(*named("reciprocal"))(lambda x: x.like(1 / x.array))


@implements(*named("addcmul"))
def _addcmul(summand, a, b, *, value=1):
    return summand + value * (a * b)


def _written(tensor, array):
    """``tensor``, and what it is a view of, holding ``array``."""
    tensor.array[...] = array
    return tensor


implements(*named("mul_"))(lambda x, factor: _written(x, (x * factor).array))
implements(*named("add_"))(lambda x, summand: _written(x, (x + summand).array))
implements(*named("addcmul_"))(
    lambda x, a, b, *, value=1: _written(x, torch.addcmul(x, a, b, value=value).array)
)


@implements(*named("pow", "__pow__"))
def _pow(base, exponent):
    if isinstance(exponent, ExactTensor):
        return torch.exp(exponent * torch.log(base))
    if not isinstance(exponent, int | float) or 2 * exponent != int(2 * exponent):
        raise TypeError(f"exact powers have integer or half-integer exponents; got {exponent}.")
    whole = math.floor(exponent)
    power = base.like(base.array**whole)
    return power if whole == exponent else power * torch.sqrt(base)


def _comparison(operation):
    def of(a, b):
        tensor, a, b = _arrays(a, b)
        return tensor.like(tensor.numbers.compare(operation, a, b))

    return of


for _name, _operation in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}.items():  # fmt: skip
    implements(*named(_name, f"__{_name}__"))(_comparison(_operation))


@implements(*named("where"))
def _where(condition, a, b):
    tensor, condition, a, b = _arrays(condition, a, b)
    return tensor.like(tensor.numbers.where(condition, a, b))


@implements(*named("abs", "__abs__"))
def _abs(x):
    return torch.where(x >= 0, x, -x)


@implements(*named("sign"))
def _sign(x):
    return torch.where(x >= 0, 1, -1)


@implements(*named("clamp_max"))
def _clamp_max(x, bound):
    return torch.where(x > bound, bound, x)


@implements(*named("clamp_min"))
def _clamp_min(x, bound):
    return torch.where(x < bound, bound, x)


# --- shapes -------------------------------------------------------------------------------------

for _names, _of_array in {
    ("reshape", "view"): lambda x, *shape: x.reshape(*_unwrapped(shape)),
    ("permute",): lambda x, *dims: x.transpose(*_unwrapped(dims)),
    ("transpose", "swapaxes"): np.swapaxes,
    ("movedim",): np.moveaxis,
    ("broadcast_to",): np.broadcast_to,
    ("unsqueeze",): np.expand_dims,
    ("squeeze",): lambda x, dim=None: np.squeeze(x, dim),
    ("__getitem__",): lambda x, index: x[index],
    ("sum",): lambda x, dim=None, keepdim=False: np.sum(x, axis=dim, keepdims=keepdim),
    ("clone", "contiguous", "detach", "to", "double"): lambda x, *_, **__: x,
}.items():

    def _shaped(x, *args, of_array=_of_array, **kwargs):
        return x.like(of_array(x.array, *args, **kwargs))

    implements(*named(*_names))(_shaped)


def _unwrapped(shape):
    return shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape


@implements(*named("expand"))
def _expand(x, *shape):
    shape = _unwrapped(shape)
    missing = len(shape) - x.ndim
    sizes = [x.shape[n - missing] if size == -1 else size for n, size in enumerate(shape)]
    return x.like(np.broadcast_to(x.array, sizes))


@implements(*named("flatten"))
def _flatten(x, start_dim=0, end_dim=-1):
    end = end_dim % x.ndim
    return x.reshape(*x.shape[:start_dim], -1, *x.shape[end + 1 :])


@implements(*named("unflatten"))
def _unflatten(x, dim, sizes):
    dim = dim % x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


@implements(*named("mean"))
def _mean(x, dim=None, keepdim=False):
    total = torch.sum(x, dim, keepdim)
    return total / (x.array.size // total.array.size)


@implements(*named("amax"))
def _amax(x, dim, keepdim=False):
    return x.like(x.numbers.largest(x.array, dim, keepdim))


@implements(*named("cat", "concat"))
def _cat(tensors, dim=0):
    tensor, *arrays = _arrays(*tensors)
    return tensor.like(np.concatenate(arrays, axis=dim))


@implements(*named("stack"))
def _stack(tensors, dim=0):
    tensor, *arrays = _arrays(*tensors)
    return tensor.like(np.stack(arrays, axis=dim))


@implements(*named("split", "split_with_sizes"))
def _split(x, sizes, dim=0):
    equal = isinstance(sizes, int)
    ends = range(sizes, x.shape[dim], sizes) if equal else np.cumsum(sizes)[:-1]
    return tuple(x.like(part) for part in np.split(x.array, ends, axis=dim))


@implements(*named("chunk"))
def _chunk(x, chunks, dim=0):
    return _split(x, -(-x.shape[dim] // chunks), dim)


@implements(*named("unbind"))
def _unbind(x, dim=0):
    return tuple(x.like(part) for part in np.moveaxis(x.array, dim, 0))


@implements(*named("new_zeros"))
def _new_zeros(x, shape):
    return x.like(x.numbers.full(shape, 0))


implements(*named("new_empty"))(_new_zeros)


@implements(*named("new_full"))
def _new_full(x, shape, number):
    return x.like(x.numbers.full(shape, number))


@implements(*named("sum_to_size"))
def _sum_to_size(x, shape):
    lengthened = tuple(n for n, size in enumerate(shape) if size < x.shape[n])
    return torch.sum(x, lengthened, keepdim=True) if lengthened else x


@implements(*named("full_like"))
def _full_like(x, number):
    return x.like(x.numbers.full(x.shape, number))


implements(*named("zeros_like"))(lambda x: _full_like(x, 0))
implements(*named("ones_like"))(lambda x: _full_like(x, 1))
implements(*named("result_type"))(lambda x, other: x.dtype)
implements(*named("is_complex"))(lambda x: False)
implements(*named("is_floating_point"))(lambda x: True)
implements(*named("dim"))(lambda x: x.ndim)
implements(*named("size"))(lambda x, dim=None: x.shape if dim is None else x.shape[dim])
implements(*named("numel"))(lambda x: x.array.size)

# --- linear layers ------------------------------------------------------------------------------


@implements(*named("matmul", "mm", "bmm", "mv", "dot", "vdot", "__matmul__"))
def _matmul(a, b):
    tensor, a, b = _arrays(a, b)
    return tensor.like(tensor.numbers.matmul(a, b))


@implements(F.linear)
def _linear(x, weight, bias=None):
    product = x @ weight.mT
    return product if bias is None else product + bias


# --- elementary functions -----------------------------------------------------------------------


def _apply(name):
    def of(x, *_, **__):
        return x.like(x.numbers.elementary(name, x.array))

    return of


for _name in ("tanh", "sin", "cos", "tan", "sinh", "cosh", "exp", "log", "sqrt", "erf", "erfc"):
    implements(*named(_name))(_apply(_name))
implements(*named("atan", "arctan"))(_apply("atan"))
implements(*named("asinh", "arcsinh"))(_apply("asinh"))
for _names, _name in {
    ("asin", "arcsin"): "asin", ("acos", "arccos"): "acos", ("atanh", "arctanh"): "atanh",
    ("acosh", "arccosh"): "acosh", ("erfinv",): "erfinv", ("lgamma",): "loggamma",
    ("digamma", "psi"): "digamma",
}.items():  # fmt: skip
    implements(*named(*_names))(_apply(_name))
implements(*named("entr"))(lambda x: -x * torch.log(x))


@implements(torch.special.zeta)
def _zeta(s, x):
    """Hurwitz' zeta of an integer s ≥ 2, by (−1)^s ψ^(s−1)(x) = (s − 1)! ζ(s, x); of sympy."""
    psi = np.frompyfunc(lambda entry: sympy.polygamma(s - 1, entry), 1, 1)
    return x.like((-1) ** s * psi(x.array) / math.factorial(s - 1))


implements(*named("expm1"))(lambda x: torch.exp(x) - 1)
implements(*named("log1p"))(lambda x: torch.log(1 + x))
implements(*named("rsqrt"))(lambda x: 1 / torch.sqrt(x))
implements(*named("sigmoid", "expit"))(lambda x: 1 / (1 + torch.exp(-x)))

# --- activations --------------------------------------------------------------------------------


@implements(F.silu)
def _silu(x, inplace=False):
    return x * torch.sigmoid(x)


@implements(F.gelu)
def _gelu(x, approximate="none"):
    if approximate == "none":
        return x * (1 + torch.erf(x / torch.sqrt(torch.full_like(x, 2)))) / 2
    scale = torch.sqrt(2 / x.like(x.numbers.pi()))
    return x * (1 + torch.tanh(scale * (x + 0.044715 * x**3))) / 2


@implements(F.softplus)
def _softplus(x, beta=1, threshold=20):
    return torch.where(beta * x > threshold, x, torch.log(1 + torch.exp(beta * x)) / beta)


@implements(F.logsigmoid)
def _logsigmoid(x):
    return -torch.log(1 + torch.exp(-x))


@implements(F.mish)
def _mish(x, inplace=False):
    return x * torch.tanh(F.softplus(x))


@implements(F.softsign)
def _softsign(x):
    return x / (1 + torch.abs(x))


@implements(F.tanhshrink)
def _tanhshrink(x):
    return x - torch.tanh(x)


def _exponential_unit(x, scale, left):
    return torch.where(x > 0, scale * x, scale * left)


@implements(F.elu)
def _elu(x, alpha=1.0, inplace=False):
    return _exponential_unit(x, 1, alpha * torch.expm1(x))


@implements(*named("celu"))
def _celu(x, alpha=1.0, inplace=False):
    return _exponential_unit(x, 1, alpha * torch.expm1(x / alpha))


@implements(*named("selu"))
def _selu(x, inplace=False):
    scale, alpha = 1.0507009873554804934, 1.6732632423543772848
    return _exponential_unit(x, scale, alpha * torch.expm1(x))
