"""The table of elementary functions: f', f'' and f''' of each rule are sympy's derivatives.

The rule is run on the jet of x itself, d = 1, order 3, whose channels then are f', f'' and f'''.
Functions defined by cases are proved on either side. Decimals in the source, such as the 0.044715
of GELU, stand for themselves here, not for the nearest float; of SELU's eighteen digits, a fraction
within 1e-18 of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import sympy as sp
import torch
import torch.nn.functional as F

from curvcore.providers.fused.jet_tensor import JetTensor
from verification.exact.fields import FunctionField
from verification.exact.tensors import ExactTensor, Expressions
from verification.proofs.verdicts import proved


class Decimals(Expressions):
    """sympy expressions, in which a float stands for the short decimal that was meant."""

    def of(self, number):
        """The fraction with small denominator next to it."""
        meant = Fraction(number).limit_denominator(10**9)
        return sp.Rational(meant.numerator, meant.denominator)


REAL = (sp.Symbol("x", real=True),)
POSITIVE = (sp.Symbol("x", positive=True),)
NEGATIVE = (sp.Symbol("x", negative=True),)
SIDES = POSITIVE + NEGATIVE
# Beyond its threshold torch takes x for softplus x; on this side of it the formula is analytic.
AROUND_THRESHOLD = (*NEGATIVE, 20 + POSITIVE[0])

HYPERBOLIC = (sp.tanh, sp.sinh, sp.cosh)


@dataclass(frozen=True)
class Elementary:
    """A function that has a rule, and where its derivatives are compared."""

    function: Callable
    arguments: tuple = REAL


def _named(names, arguments=REAL):
    return {name: Elementary(getattr(torch, name), arguments) for name in names.split()}


def _activations(names, arguments=REAL):
    return {name: Elementary(getattr(F, name), arguments) for name in names.split()}


FUNCTIONS = {
    **_named("tanh sigmoid sin cos tan sinh cosh exp expm1 square erf atan asinh"),
    **_named("log log1p sqrt rsqrt reciprocal", POSITIVE),
    **_named("asin acos atanh erfc erfinv"),
    **_named("lgamma digamma", POSITIVE),
    "acosh": Elementary(torch.acosh, (1 + POSITIVE[0],)),
    "entr": Elementary(torch.special.entr, POSITIVE),
    **_activations("silu gelu logsigmoid tanhshrink"),
    "gelu, tanh": Elementary(partial(F.gelu, approximate="tanh")),
    **_activations("softplus mish", AROUND_THRESHOLD),
    "softplus, beta 2": Elementary(partial(F.softplus, beta=2), NEGATIVE),
    **_activations("softsign elu selu", SIDES),
    "elu, alpha 3/2": Elementary(partial(F.elu, alpha=1.5), SIDES),
    "celu, alpha 2": Elementary(partial(torch.celu, alpha=2.0), SIDES),
}


def findings():
    """One Finding per function."""
    yield from map(of, FUNCTIONS)


def of(name):
    """The Finding on one of FUNCTIONS."""
    elementary = FUNCTIONS[name]
    residual = np.stack([_residual(elementary.function, x) for x in elementary.arguments])
    return proved(f"jets: {name}", "f', f'', f''' of its rule are sympy's", residual)


def _residual(function, argument):
    """The channels of f at x less the derivatives of f(x)."""
    numbers = Decimals()
    (symbol,) = argument.free_symbols
    x, slope = (
        ExactTensor(np.array([[e]], dtype=object), numbers) for e in (argument, sp.Integer(1))
    )
    output = function(JetTensor(x, slope[None], 1, 3))
    value = function(x).array[0, 0]
    channels = output.all_channels().array[:, 0, 0]
    expected = [value.diff((symbol, order)) for order in (1, 2, 3)]
    return np.array([_normal(c - e) for c, e in zip(channels, expected, strict=True)], dtype=object)


def _normal(expression):
    """0 if the expression is zero as a rational function of x, exp, erf, roots, ..."""
    expression = expression.rewrite(sp.erf).rewrite(HYPERBOLIC, sp.exp)
    expression = expression.replace(_is_root, lambda root: sp.factor(root.base) ** root.exp)
    try:
        return FunctionField([expression]).embed(expression)
    except ValueError:  # erf, roots, ... have no place in that field
        numerator, denominator = sp.fraction(sp.together(expression))
        return sp.expand(numerator) / denominator


def _is_root(expression):
    return expression.is_Pow and expression.exp.is_Rational and expression.exp.q == 2
