"""A linear layer and the activation behind it, as one operation on 2-jets.

Value and derivatives stand in one stack (1 + d + d(d+1)/2, B, h), the value first, so that the
layer is one matrix product, and what follows one pass over memory::

    x = W u + b,  x_p = W u_p;   y = f(x),  y_i = f' x_i,  y_ij = f' x_ij + f'' x_i x_j.

Backward goes by hand, from what the products left: with ȳ the gradient of y and s_i =
Σ_j (1 + δ_ij) ȳ_ij x_j,

    x̄_ij = f' ȳ_ij,  x̄_i = f' ȳ_i + f'' s_i,
    x̄ = f' ȳ + f'' (Σ_i ȳ_i x_i + Σ_{i≤j} ȳ_ij x_ij) + ½ f''' Σ_i s_i x_i.

On CUDA both are kernels (:mod:`curvcore.kernels.chain_rule`). In the first layers, x_i are the same
at every point and x_ij vanish: they are rows (d, h), not channels (d, B, h). Along directions that
differ from point to point, the first layer has channels x_i, and x_ij vanish.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.autograd import Function

from curvcore import kernels
from curvcore.modes import is_plain_eager
from curvcore.packing import count
from curvcore.providers.fused.chain_rule import (
    compose_into,
    compose_levels,
    contracted,
    slopes,
)
from curvcore.providers.fused.product_rules import split_levels


@dataclass(frozen=True)
class Activation:
    """f; (x, f(x)) -> iterable of f'(x), f''(x) and f''' (x); the name of its kernel, if any."""

    function: Any
    derivatives: Any
    kernel: Any

    def factors(self, x, y, order):
        """The derivatives up to this order."""
        return list(islice(self.derivatives(x, y), order))

    def has_kernel(self, x):
        """Whether its chain rule at x is a kernel."""
        return self.kernel is not None and kernels.serve(x)


def can_be_activated(source):
    """Whether ``source``, a JetTensor, has one of the two forms that :func:`activated` takes."""
    return (
        source.order == 2
        and source.ndim == 2
        and is_plain_eager()
        and (source.layer is not None or _has_form(source))
    )


def is_without_kernel(source):
    """Whether ``source`` has channels x_i of every point and no x_ij: a form that kernels lack."""
    return source.layer is None and source.stack is None and source.channels.shape[1] != 1


def _has_form(source):
    return (
        isinstance(source.value, torch.Tensor)
        and (source.stack is not None or len(source.channels) == source.d)
        and source.dtype.is_floating_point
    )


def activated(source, affine_map, activation):
    """The stack (1 + d + d(d+1)/2, B, h) of f(W u + b), from u = ``source``."""
    return ActivatedLayer.apply(
        *stack_and_rows(source), affine_map.weight, affine_map.bias, activation, source.d
    )


def stack_and_rows(source):
    """The stack of a JetTensor and None, or its value (1, B, h) and the rows (d, h)."""
    if source.stack is not None:
        return source.stack, None
    if source.channels.shape[1] == 1:
        return source.value[None], source.channels[:, 0]
    return torch.cat([source.value[None], source.channels]), None


class ActivatedLayer(Function):
    """(stack, rows or None, W, b or None, f, d) -> stack; beside rows stands the value alone."""

    @staticmethod
    def forward(ctx, stack, rows, weight, bias, activation, d):
        ctx.activation, ctx.d = activation, d
        x = times(stack, weight)
        x_rows = None if rows is None else rows @ weight.mT
        out = _by_kernel("forward", activation, x, x_rows, bias, d)
        if out is not None:
            ctx.save_for_backward(stack, rows, weight, bias, x, x_rows)
            return out
        if bias is not None:
            x[0] += bias
        y = activation.function(x[0])
        factors = activation.factors(x[0], y, 3 if any(ctx.needs_input_grad) else 2)
        ctx.save_for_backward(stack, rows, weight, bias, x, x_rows, *factors)
        out = y.new_empty((1 + d + count(d, 2), *y.shape))
        out[0] = y
        compose_into(out[1:], x[1:] if rows is None else x_rows[:, None], *factors[:2], d)
        return out

    @staticmethod
    def backward(ctx, gradient):
        stack, rows, weight, bias, x, x_rows, *factors = ctx.saved_tensors
        inputs = stack, rows, weight, bias
        if torch.is_grad_enabled():  # to be differentiated once more
            return *_differentiable(ctx, inputs, gradient), None, None
        to_x = None
        if not factors:
            arguments = x, x_rows, bias, gradient.contiguous(), ctx.d
            to_x = _by_kernel("adjoint", ctx.activation, *arguments)
        if to_x is None:
            factors = factors or _factors(ctx.activation, x[0], bias)
            to_x = _adjoint(x[1:] if rows is None else x_rows[:, None], factors, gradient, ctx.d)
        return *pulled_back(ctx.needs_input_grad, inputs, to_x), None, None


def times(stack, weight):
    """W u for every channel u of a stack (C, B, n), in one product."""
    return (stack.reshape(-1, stack.shape[-1]) @ weight.mT).unflatten(0, stack.shape[:2])


def _by_kernel(name, activation, x, *arguments):
    """The chain rule or its adjoint, by name, or None where no kernel serves."""
    x_rows, d = arguments[0], arguments[-1]
    if not activation.has_kernel(x) or (x_rows is None and len(x) == 1 + d):
        return None
    label = f"{activation.kernel} ({name}) at d = {d}"
    return kernels.attempt(label, _launched, name, x, *arguments, activation.kernel)


def _launched(name, *arguments):
    from curvcore.kernels import chain_rule  # Triton, where there is any

    return getattr(chain_rule, name)(*arguments)


def _factors(activation, x, bias):
    """The first three derivatives of f at x + b."""
    value = x if bias is None else x + bias
    return activation.factors(value, activation.function(value), 3)


def _adjoint(channels, factors, gradient, d):
    """x̄ (1 + d + d(d+1)/2, B, h); without x̄_ij where x_ij vanish."""
    f1, f2, f3 = factors
    first, second = channels[:d], channels[d:]
    of_first, of_second = gradient[1 : d + 1], gradient[d + 1 :]
    to_x = gradient.new_empty((1 + d + len(second), *gradient.shape[1:]))
    s = slopes(of_second, first, out=to_x[1 : d + 1])
    torch.mul(gradient[0], f1, out=to_x[0])
    to_x[0].addcmul_(f2, contracted(gradient[1:], channels))
    to_x[0].addcmul_(f3, contracted(s, first), value=0.5)
    s.mul_(f2).addcmul_(of_first, f1)
    if len(second):
        torch.mul(of_second, f1, out=to_x[d + 1 :])
    return to_x


def pulled_back(needed, inputs, to_x):
    """Gradients of stack, rows, W and b from that of x."""
    stack, rows, weight, bias = inputs
    of_stack, of_rows = to_x, None
    if rows is not None:
        of_stack, of_rows = to_x[:1], to_x[1:].sum(1)
    flat = of_stack.reshape(-1, of_stack.shape[-1])
    to_stack = to_rows = to_weight = to_bias = None
    if needed[0]:
        to_stack = (flat @ weight).unflatten(0, of_stack.shape[:2])
    if rows is not None and needed[1]:
        to_rows = of_rows @ weight
    if needed[2]:
        to_weight = flat.mT @ stack.reshape(-1, stack.shape[-1])
        if rows is not None:
            to_weight = torch.addmm(to_weight, of_rows.mT, rows)
    if bias is not None and needed[3]:
        to_bias = of_stack[0].sum(0)
    return to_stack, to_rows, to_weight, to_bias


def as_own(tensors):
    """Views of tensors: gradients in one of them do not count how it depends on another.

    A stack may depend on the weight itself, by directions or by a layer that comes twice.
    """
    return [None if t is None else t.view_as(t) for t in tensors]


def _differentiable(ctx, inputs, gradient):
    """The same gradients, by torch's own from the plain form."""
    inputs = as_own(inputs)
    stack, rows, weight, bias = inputs
    d, activation = ctx.d, ctx.activation
    x = times(stack, weight)
    channels = x[1:] if rows is None else (rows @ weight.mT)[:, None]
    value = x[0] if bias is None else x[0] + bias
    y = activation.function(value)
    levels = compose_levels(activation.factors(value, y, 2), split_levels(channels, d), 2)
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed]
    composed = torch.cat([y[None], *levels])
    found = iter(torch.autograd.grad(composed, wanted, gradient, create_graph=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[:4]]
