"""Rules for bilinear functions: products, quotients, powers, matrix products."""

import torch
import torch.nn.functional as F

from curvcore.errors import MissingRuleError
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.product_rules import cross, cross_second
from curvcore.providers.fused.registry import (
    composite,
    elementwise,
    is_jet,
    named,
    over_channels,
)


def bilinear(function, a, b):
    """The jet of f(a, b), f bilinear, where a, b or both are jets.

    (ab)_i = a_i b + a b_i;  (ab)_ij = a_ij b + a_i b_j + a_j b_i + a b_ij;  and so on.
    """
    if not is_jet(b):
        return _left(function, a, b)
    if not is_jet(a):
        return _left(lambda y, x: function(x, y), b, a)
    value = function(a.value, b.value)
    alone = [_left_channels(function, a, b.value), _left_channels(_flip(function), b, a.value)]
    levels = [list(a.like(value, channels).levels) for channels in alone]
    mixed = _mixed_levels(_over_channels(function), a, b)
    return a.like(value, torch.cat(_sum_of_levels(*levels, mixed)))


def _left(function, a, b):
    return a.like(function(a.value, b), _left_channels(function, a, b))


def _left_channels(function, a, b):
    return over_channels(lambda channel: function(channel, b))(a.channels_at_every_point())


def _flip(function):
    return lambda x, y: function(y, x)


def _over_channels(function):
    """``function`` on stacks of channels, of which one may have a single channel."""
    over = over_channels(function)

    def multiply(a, b):
        count = max(len(a), len(b))
        return over(a.expand(count, *a.shape[1:]), b.expand(count, *b.shape[1:]))

    return multiply


def _mixed_levels(multiply, a, b):
    """The terms in which both factors are differentiated, per level; the first has none."""
    levels_a, levels_b = (x.like(x.value, x.channels_at_every_point()).levels for x in (a, b))
    mixed = [None, cross(levels_a[0], levels_b[0], multiply)]
    if a.order > 2:
        third = None
        if len(levels_a) > 1:
            third = cross_second(levels_a[1], levels_b[0], multiply)
        if len(levels_b) > 1:
            other = cross_second(levels_b[1], levels_a[0], _flip(multiply))
            third = other if third is None else third + other
        mixed.append(third)
    return mixed if a.order > 1 else mixed[:1]


def _sum_of_levels(*summands):
    """Level by level sums of lists of levels, None and missing ones being zero."""
    total = []
    for level in range(max([len(levels) for levels in summands])):
        present = [s[level] for s in summands if len(s) > level and s[level] is not None]
        if present:
            total.append(sum(present[1:], start=present[0]))
    return total


@composite(*named("mul", "multiply", "__mul__", "__rmul__"))
def _multiply(a, b):
    if a is b:
        return torch.square(a)
    if is_jet(a) and is_jet(b):
        return bilinear(torch.mul, a, b)
    jet, constant = (a, b) if is_jet(a) else (b, a)
    if getattr(constant, "ndim", 0) > jet.ndim:
        return bilinear(torch.mul, jet, constant)
    value = jet.value * constant
    channels = jet.channels
    if value.shape != jet.value.shape or getattr(constant, "ndim", 0) == jet.ndim:
        channels = jet.channels_at_every_point()
    return jet.like(value, channels * constant)


@composite(*named("div", "divide", "true_divide", "__truediv__"))
def _divide(a, b, *, rounding_mode=None):
    if rounding_mode is not None:
        raise MissingRuleError(
            f"derivatives='fused' has no rule for division with rounding_mode={rounding_mode!r}: "
            "its derivative is zero almost everywhere."
        )
    if is_jet(b):
        return a * torch.reciprocal(b)
    if not isinstance(b, torch.Tensor):
        return a.like(a.value / b, a.channels / b)
    b = b.to(torch.result_type(a.value, b))  # 1/integers would be of torch's default dtype
    return a * (1 / b)


def _power(x, y, exponent):
    """f = x^p; derivatives stop where their coefficient p(p−1)... is zero, as 0 · x^{−1} is NaN."""
    coefficient = 1.0
    for _ in range(3):
        coefficient, exponent = coefficient * exponent, exponent - 1
        yield coefficient * x**exponent
        if not isinstance(exponent, torch.Tensor) and exponent == 0:
            return


elementwise(*named("pow"))(_power)
_polynomial = RULES[torch.pow]
elementwise(*named("pow"), multiplier=torch.pow)(_power)
_elementwise_power = RULES[torch.pow]


def _like(number, tensor):
    if isinstance(number, torch.Tensor):
        return number.to(tensor)
    return torch.full((), number, dtype=tensor.dtype, device=tensor.device)


@composite(*named("pow", "__pow__", "float_power"))
def _pow(base, exponent):
    if is_jet(exponent):
        logarithm = torch.log(base) if is_jet(base) else torch.log(_like(base, exponent.value))
        return torch.exp(exponent * logarithm)
    whole = isinstance(exponent, int) and exponent >= 0
    return (_polynomial if whole else _elementwise_power)(base, exponent)


def _product_rule(function):
    return lambda a, b: bilinear(function, a, b)


for _function in (*named("matmul", "mm", "bmm", "mv", "dot", "__matmul__"), *named("outer")):
    composite(_function)(_product_rule(_function))


@composite(torch.Tensor.matmul)
def _matmul_of_tensor(a, b):
    if torch.compiler.is_compiling() and not is_jet(a):
        raise MissingRuleError(
            "torch.compile turns x @ W, x dependent on z and W a tensor, into W @ x. Write "
            "torch.matmul(x, W), or F.linear(x, W.mT)."
        )
    return bilinear(torch.matmul, a, b)


@composite(torch.einsum)
def _einsum(equation, *operands):
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    places = [n for n, operand in enumerate(operands) if is_jet(operand)]

    def contract(*jets):
        filled = list(operands)
        for place, jet in zip(places, jets, strict=True):
            filled[place] = jet
        return torch.einsum(equation, *filled)

    if len(places) == 1:
        return _left(lambda a, _: contract(a), operands[places[0]], None)
    if len(places) == 2:
        return bilinear(contract, *(operands[place] for place in places))
    raise MissingRuleError(
        f"derivatives='fused' contracts at most two operands that depend on z at a time; einsum "
        f"{equation!r} has {len(places)}. Split it, or write derivatives='autodiff'."
    )


@composite(F.bilinear)
def _bilinear(a, b, weight, bias=None):
    product = bilinear(lambda x, y: torch.einsum("...i,kij,...j->...k", x, weight, y), a, b)
    return product if bias is None else product + bias
