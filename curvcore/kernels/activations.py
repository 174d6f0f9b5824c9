"""Activations and their first three derivatives in float32, for kernels.

The formulas are those of :mod:`curvcore.providers.fused.elementwise`, which are their referee, with
exponentials of −|x| only, so that nothing overflows and saturated units keep their digits::

    e = exp(−|x|):  σ(|x|) = 1/(1 + e),  σ(−|x|) = e/(1 + e)

The hardware's exponential loses |x| eps; here the argument is reduced to |r| ≤ ln(2)/2 first.
"""

import triton
import triton.language as tl

KINDS = ("tanh", "sigmoid", "sin", "silu", "gelu_none", "gelu_tanh")


@triton.jit
def exponential(x):
    """exp(x) for −104 ≤ x ≤ 88, to the last digits; 0 below."""
    n = tl.floor(x * 1.4426950408889634 + 0.5)
    # ln 2 in two parts, of which n times the first is exact.
    r = (x - n * 0.693145751953125) - n * 1.4286068203094172e-06
    return tl.exp2(n) * tl.exp2(r * 1.4426950408889634)


@triton.jit
def logistic(x):
    """σ(x) and σ(−x)."""
    e = exponential(-tl.abs(x))
    large = 1 / (1 + e)
    small = e * large
    return tl.where(x >= 0, large, small), tl.where(x >= 0, small, large)


@triton.jit
def hyperbolic_tangent(x):
    """tanh x and 1 − tanh² x."""
    positive, negative = logistic(2 * x)
    slope = 4 * positive * negative
    # 2σ(2x) − 1 cancels near zero: a minimax polynomial there (S. Moshier, Cephes, tanhf).
    s = x * x
    p = -5.70498872745e-3 * s + 2.06390887954e-2
    p = p * s - 5.37397155531e-2
    p = p * s + 1.33314422036e-1
    p = p * s - 3.33332819422e-1
    return tl.where(tl.abs(x) < 0.625, x + x * s * p, positive - negative), slope


@triton.jit
def normal_distribution(x):
    """Φ(x), 1 − Φ(x) without cancellation, and the density φ(x).

    1 − Φ(t) = ½ exp(−t²/2) erfcx(t/√2), erfcx by Chebyshev's fit of Numerical Recipes, §6.2,
    whose relative error is 1.2e-7.
    """
    bell = exponential(-x * x / 2)
    z = tl.abs(x) * 0.7071067811865476
    t = 1 / (1 + 0.5 * z)
    p = 0.17087277 * t - 0.82215223
    p = p * t + 1.48851587
    p = p * t - 1.13520398
    p = p * t + 0.27886807
    p = p * t - 0.18628806
    p = p * t + 0.09678418
    p = p * t + 0.37409196
    p = p * t + 1.00002368
    p = p * t - 1.26551223
    tail = 0.5 * bell * t * exponential(p)
    positive = tl.where(x >= 0, 1 - tail, tail)
    negative = tl.where(x >= 0, tail, 1 - tail)
    return positive, negative, 0.3989422804014327 * bell


@triton.jit
def activation(x, KIND: tl.constexpr):
    """f(x), f'(x), f''(x), f'''(x)."""
    if KIND == "tanh":
        y, f1 = hyperbolic_tangent(x)
        return y, f1, -2 * y * f1, f1 * (6 * y * y - 2)
    elif KIND == "sigmoid":
        y, mirrored = logistic(x)
        f1 = y * mirrored
        return y, f1, f1 * (mirrored - y), f1 * (1 - 6 * f1)
    elif KIND == "sin":
        y, f1 = tl.sin(x), tl.cos(x)
        return y, f1, -y, -f1
    elif KIND == "silu":
        h, mirrored = logistic(x)
        h1 = h * mirrored
        h2 = h1 * (mirrored - h)
        h3 = h1 * (1 - 6 * h1)
        return x * h, h + x * h1, 2 * h1 + x * h2, 3 * h2 + x * h3
    elif KIND == "gelu_none":
        h, _, h1 = normal_distribution(x)
        return x * h, h + x * h1, (2 - x * x) * h1, x * (x * x - 4) * h1
    else:  # gelu_tanh: h(u) with u = √(2/π) (x + 0.044715 x³), h = σ(2u)
        u = 0.7978845608028654 * x * (1 + 0.044715 * x * x)
        u1 = 0.7978845608028654 * (1 + 0.134145 * x * x)
        u2 = 0.21406549518785 * x
        u3 = 0.21406549518785
        h, mirrored = logistic(2 * u)
        s1 = 2 * h * mirrored
        s2 = 2 * s1 * (mirrored - h)
        s3 = 4 * s1 * (1 - 6 * h * mirrored)
        h1 = s1 * u1
        h2 = s2 * u1 * u1 + s1 * u2
        h3 = s3 * u1 * u1 * u1 + 3 * s2 * u1 * u2 + s1 * u3
        return x * h, h + x * h1, 2 * h1 + x * h2, 3 * h2 + x * h3
