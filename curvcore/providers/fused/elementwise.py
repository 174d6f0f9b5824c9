"""Rules for functions that act entry by entry: their first three derivatives."""

import math

import torch
import torch.nn.functional as F

from curvcore.errors import MissingRuleError
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import composite, elementwise, named

_ROOTS = math.sqrt(2), math.sqrt(math.pi)
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934


def roots_of(x):
    """√2 and √π: floats for tensors, and what exact numbers say that they are."""
    return _ROOTS if isinstance(x, torch.Tensor) else x.roots()


@elementwise(*named("tanh"), closed=True, kernel="tanh")
def _tanh(x, y):
    first = 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)  # 1 − y² keeps no digits where y ≈ 1
    yield first
    yield -2 * y * first
    yield first * (6 * y * y - 2)


@elementwise(*named("sigmoid", "expit"), closed=True, kernel="sigmoid")
def _sigmoid(x, y):
    first = y * torch.sigmoid(-x)  # 1 − y keeps no digits where y ≈ 1
    yield first
    yield first * (1 - 2 * y)
    yield first * (1 - 6 * first)


@elementwise(*named("sin"), closed=True, kernel="sin")
def _sin(x, y):
    first = torch.cos(x)
    yield first
    yield -y
    yield -first


@elementwise(*named("cos"), closed=True)
def _cos(x, y):
    first = -torch.sin(x)
    yield first
    yield -y
    yield -first


@elementwise(*named("tan"))
def _tan(x, y):
    first = 1 + y * y
    yield first
    yield 2 * y * first
    yield first * (2 + 6 * y * y)


@elementwise(*named("sinh"))
def _sinh(x, y):
    first = torch.cosh(x)
    yield first
    yield y
    yield first


@elementwise(*named("cosh"))
def _cosh(x, y):
    first = torch.sinh(x)
    yield first
    yield y
    yield first


@elementwise(*named("exp"))
def _exp(x, y):
    yield y
    yield y
    yield y


@elementwise(*named("expm1"))
def _expm1(x, y):
    first = torch.exp(x)  # y + 1 keeps no digits where x ≪ 0
    yield first
    yield first
    yield first


def _logarithm(reciprocal, of_base=1):
    yield reciprocal / of_base
    yield -(reciprocal**2) / of_base
    yield 2 * reciprocal**3 / of_base


@elementwise(*named("log"), multiplier=torch.ones_like)
def _log(x, y):
    return _logarithm(1 / x)


@elementwise(*named("log1p"))
def _log1p(x, y):
    return _logarithm(1 / (1 + x))


@elementwise(*named("sqrt"), multiplier=torch.sqrt)
def _sqrt(x, y):
    yield 1 / (2 * y)
    yield -1 / (4 * x * y)
    yield 3 / (8 * x * x * y)


@elementwise(*named("rsqrt"), multiplier=torch.rsqrt)
def _rsqrt(x, y):
    yield -y / (2 * x)
    yield 3 * y / (4 * x * x)
    yield -15 * y / (8 * x * x * x)


@elementwise(*named("reciprocal"), multiplier=torch.reciprocal)
def _reciprocal(x, y):
    square = y * y
    yield -square
    yield 2 * square * y
    yield -6 * square * square


@elementwise(*named("square"))
def _square(x, y):
    yield 2 * x
    yield torch.full_like(x, 2)


@elementwise(*named("erf"))
def _erf(x, y):
    first = 2 / roots_of(x)[1] * torch.exp(-x * x)
    yield first
    yield -2 * x * first
    yield (4 * x * x - 2) * first


@elementwise(*named("atan", "arctan"))
def _atan(x, y):
    first = 1 / (1 + x * x)
    yield first
    yield -2 * x * first * first
    yield (6 * x * x - 2) * first**3


@elementwise(*named("asinh", "arcsinh"))
def _asinh(x, y):
    first = torch.rsqrt(1 + x * x)
    yield first
    yield -x * first**3
    yield (2 * x * x - 1) * first**5


@elementwise(*named("asin", "arcsin"))
def _asin(x, y):
    first = torch.rsqrt((1 - x) * (1 + x))
    yield first
    yield x * first**3
    yield (1 + 2 * x * x) * first**5


@elementwise(*named("acos", "arccos"))
def _acos(x, y):
    return (-derivative for derivative in _asin(x, y))


@elementwise(*named("atanh", "arctanh"))
def _atanh(x, y):
    first = 1 / ((1 - x) * (1 + x))
    yield first
    yield 2 * x * first**2
    yield (2 + 6 * x * x) * first**3


@elementwise(*named("acosh", "arccosh"))
def _acosh(x, y):
    first = torch.rsqrt((x - 1) * (x + 1))
    yield first
    yield -x * first**3
    yield (2 * x * x + 1) * first**5


@elementwise(*named("exp2"))
def _exp2(x, y):
    for order in (1, 2, 3):
        yield math.log(2) ** order * y


@elementwise(*named("log2"), multiplier=torch.ones_like)
def _log2(x, y):
    return _logarithm(1 / x, math.log(2))


@elementwise(*named("log10"), multiplier=torch.ones_like)
def _log10(x, y):
    return _logarithm(1 / x, math.log(10))


# --- x h(x): (x h)^(n) = x h^(n) + n h^(n−1) ----------------------------------------------------


def _times_x(x, h, first, second, third):
    yield h + x * first
    yield 2 * first + x * second
    yield 3 * second + x * third


@elementwise(F.silu, closed=True, kernel="silu")
def _silu(x, y, inplace=False):
    h = torch.sigmoid(x)
    return _times_x(x, h, *_sigmoid(x, h))


@elementwise(F.gelu, closed=True, kernel=lambda approximate="none": f"gelu_{approximate}")
def _gelu(x, y, approximate="none"):
    root_two, root_pi = roots_of(x)
    if approximate == "none":
        density = torch.exp(-x * x / 2) / (root_two * root_pi)
        cumulative = torch.erfc(-x / root_two) / 2
        return _times_x(x, cumulative, density, -x * density, (x * x - 1) * density)
    scale, cubic = root_two / root_pi, 0.044715
    linear = 6 * (scale * cubic)
    inner = (scale * (1 + 3 * (cubic * x * x)), linear * x, linear)
    u = scale * (x + cubic * x**3)
    outer = (f / 2 for f in _scalar_chain(tuple(_tanh(u, torch.tanh(u))), inner))
    return _times_x(x, torch.sigmoid(2 * u), *outer)


@elementwise(F.mish, closed=True)
def _mish(x, y, inplace=False):
    u = F.softplus(x)
    t = torch.tanh(u)
    return _times_x(x, t, *_scalar_chain(tuple(_tanh(u, t)), tuple(_softplus(x, u))))


def _scalar_chain(outer, inner):
    """Derivatives of f(u(x)) from those of f at u and of u at x."""
    (f1, f2, f3), (u1, u2, u3) = outer, inner
    return f1 * u1, f2 * u1**2 + f1 * u2, f3 * u1**3 + 3 * f2 * u1 * u2 + f1 * u3


# --- the other smooth activations ---------------------------------------------------------------


@elementwise(F.softplus, closed=True)
def _softplus(x, y, beta=1, threshold=20):
    straight = beta * x > threshold  # there torch takes x for softplus x
    logistic = torch.sigmoid(beta * x)
    curved = torch.where(straight, 0, logistic * torch.sigmoid(-beta * x))
    yield torch.where(straight, 1, logistic)
    yield beta * curved
    yield beta * (beta * curved) * (1 - 2 * logistic)


@elementwise(F.logsigmoid, closed=True)
def _logsigmoid(x, y):
    logistic, mirrored = torch.sigmoid(x), torch.sigmoid(-x)
    yield mirrored
    yield -logistic * mirrored
    yield -logistic * mirrored * (mirrored - logistic)


@elementwise(F.softsign, closed=True)
def _softsign(x, y):
    reciprocal = 1 / (1 + x.abs())
    yield reciprocal**2
    yield -2 * x.sign() * reciprocal**3
    yield 6 * reciprocal**4


@elementwise(F.tanhshrink)
def _tanhshrink(x, y):
    t = torch.tanh(x)
    _, second, third = _tanh(x, t)
    yield t * t
    yield -second
    yield -third


def _exponential_unit(x, slope, length, right=1.0):
    """f' = ``slope``, e^{x/length} up to a factor, for x ≤ 0, and f' = ``right`` for x > 0."""
    positive = x > 0
    yield torch.where(positive, right, slope)
    yield torch.where(positive, 0, slope / length)
    yield torch.where(positive, 0, slope / length / length)


@elementwise(F.elu, closed=True)
def _elu(x, y, alpha=1.0, inplace=False):
    return _exponential_unit(x, alpha * torch.exp(x.clamp_max(0)), 1)


@elementwise(*named("celu"), closed=True)
def _celu(x, y, alpha=1.0, inplace=False):
    return _exponential_unit(x, torch.exp(x.clamp_max(0) / alpha), alpha)


@elementwise(*named("selu"), closed=True)
def _selu(x, y, inplace=False):
    slope = _SELU_SCALE * (_SELU_ALPHA * torch.exp(x.clamp_max(0)))
    return _exponential_unit(x, slope, 1, right=_SELU_SCALE)


# --- with kinks: exact almost everywhere --------------------------------------------------------


@elementwise(*named("relu"))
def _relu(x, y, inplace=False):
    yield (x > 0).to(x.dtype)


@elementwise(F.leaky_relu)
def _leaky_relu(x, y, negative_slope=0.01, inplace=False):
    yield torch.where(x > 0, torch.ones_like(x), negative_slope)


@composite(*named("prelu"))
def _prelu(x, weight):
    """relu(x) − w relu(−x), with one w, or one for each index of axis 1."""
    shaped = weight if x.ndim < 2 else weight.reshape(-1, *(1,) * (x.ndim - 2))
    return torch.relu(x) - shaped * torch.relu(-x)


@elementwise(*named("abs", "absolute", "__abs__"))
def _abs(x, y):
    yield x.sign()


real_abs = RULES[torch.abs]  # of complex numbers: curvcore.providers.fused.complex_numbers


@elementwise(*named("clamp", "clip"))
def _clamp(x, y, min=None, max=None):
    yield (x == y).to(x.dtype)


@elementwise(*named("clamp_min"))
def _clamp_min(x, y, bound):
    yield torch.where(x >= bound, torch.ones_like(x), 0)


@elementwise(*named("clamp_max"))
def _clamp_max(x, y, bound):
    yield torch.where(x <= bound, torch.ones_like(x), 0)


def _refuse(name):
    def rule(x, *args, **kwargs):
        raise MissingRuleError(
            f"derivatives='fused' refuses {name}: it is piecewise linear or constant, its second "
            "derivative is zero almost everywhere, so the curvature it leads to sits on kinks that "
            "no derivative sees. Use a smooth activation (SiLU, GELU, tanh, softplus)."
        )

    return rule


for _name in (
    "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "relu6", "rrelu",
    "threshold", "max_pool1d", "max_pool2d", "max_pool3d", "round", "floor", "ceil", "sign",
):  # fmt: skip
    composite(*named(_name))(_refuse(_name))
