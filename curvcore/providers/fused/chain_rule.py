"""The chain rule for f(x) entry by entry, on packed derivatives: Faà di Bruno's formula.

y_i = f' x_i;  y_ij = f' x_ij + f'' x_i x_j;
y_ijk = f' x_ijk + f'' (x_ij x_k + …) + f''' x_i x_j x_k.
"""

import torch
from torch.autograd import Function

from curvcore.modes import is_plain_eager
from curvcore.packing import count
from curvcore.providers.fused.product_rules import cross, cross_second, cube, square


def compose(factors, x):
    """The channels of f∘x from the derivatives f', f'', ... at x.value, zeros left out."""
    if x.order == 2 and len(factors) == 2 and _is_real(x.channels) and is_plain_eager():
        return _SecondOrder.apply(x.channels, *factors, x.d)
    return torch.cat(compose_levels(factors, x.levels, x.order))


def _is_real(channels):
    """Whether these are a tensor of real numbers, not of complex or of exact ones."""
    return isinstance(channels, torch.Tensor) and not channels.is_complex()


def compose_levels(factors, levels, order):
    """The levels of f∘x, zeros left out, from f', f'', ... and the levels of x; plain torch."""
    f1, f2, f3 = (*factors, *(None,) * (3 - len(factors)))
    first, second, third = (*levels, *(None,) * (3 - len(levels)))
    composed = [f1 * first]
    if order > 1:
        pairs = None if f2 is None else square(first)
        composed.append(_sum_of_products((f1, second), (f2, pairs)))
    if order > 2:
        mixed = None if f2 is None or second is None else cross_second(second, first)
        triples = None if f3 is None else cube(first)
        composed.append(_sum_of_products((f1, third), (f2, mixed), (f3, triples)))
    return [level for level in composed if level is not None]


def _sum_of_products(*products):
    """Σ factor · channels over the pairs in which neither is None; None if there is no such."""
    total = None
    for factor, channels in products:
        if factor is not None and channels is not None:
            total = factor * channels if total is None else torch.addcmul(total, factor, channels)
    return total


def compose_into(out, channels, f1, f2, d):
    """``compose_levels`` at order two, written into ``out`` without temporaries."""
    first, second = channels[:d], channels[d:]
    torch.mul(first, f1, out=out[:d])
    curved, done = f2 * first, d
    for i in range(d):
        torch.mul(curved[i], first[i:], out=out[done : done + d - i])
        done += d - i
    if len(second):
        out[d:].addcmul_(second, f1)


class _SecondOrder(Function):
    """``compose_into`` a new tensor, and its adjoint."""

    @staticmethod
    def forward(channels, f1, f2, d):
        composed = f1.new_empty((d + count(d, 2), *f1.shape))
        compose_into(composed, channels, f1, f2, d)
        return composed

    @staticmethod
    def setup_context(ctx, inputs, output):
        *tensors, ctx.d = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx, gradient):
        (channels, f1, f2), d = ctx.saved_tensors, ctx.d
        first, second = channels[:d], channels[d:]
        of_first, of_second = gradient[:d], gradient[d:]
        s = slopes(of_second, first)
        to_f1, to_f2 = contracted(gradient, channels), contracted(s, first) / 2
        to_channels = torch.addcmul(of_first * f1, s, f2)
        if len(second):
            to_channels = torch.cat([to_channels, of_second * f1])
        return to_channels.sum_to_size(channels.shape), to_f1, to_f2, None

    @staticmethod
    def jvp(ctx, channels_t, f1_t, f2_t, _):
        (channels, f1, f2), d = ctx.saved_tensors, ctx.d
        first, first_t = channels[:d], channels_t[:d]
        second_t = f2_t * square(first) + f2 * cross(first, first_t)
        if len(channels) > d:
            second_t = second_t + f1_t * channels[d:] + f1 * channels_t[d:]
        return torch.cat([f1_t * first + f1 * first_t, second_t])


def slopes(pairs, x, out=None):
    """s_k = Σ_j (1 + δ_kj) g_kj x_j, the derivative of Σ_{i≤j} g_ij x_i x_j; g = ``pairs``."""
    d = len(x)
    slopes, start = torch.mul(pairs[:d], x[:1], out=out), 0
    for i in range(d):
        row = pairs[start : start + d - i]
        start += d - i
        if i:
            slopes[i:].addcmul_(row, x[i])
        _add_contracted(slopes[i], row, x[i:])
    return slopes


def contracted(a, b):
    """Σ_k a_k b_k, without the products as temporaries."""
    return _add_contracted(a[0] * b[0], a[1:], b[1:])


def _add_contracted(total, a, b):
    for a_k, b_k in zip(a, b):  # noqa: B905  (of constant second derivatives b has none)
        total.addcmul_(a_k, b_k)
    return total
