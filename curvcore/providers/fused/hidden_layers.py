"""Hidden layers that follow each other, as one operation on 2-jets.

Where kernels serve, a linear layer and its activation are only noted: what they lead to is computed
when it is looked at, and then in one go with the layers before it that nobody looked at, by
:mod:`curvcore.kernels.hidden_stack`. Nothing but the layers' inputs is kept for the gradient.

Whatever makes layers different from each other, or lets anyone see what is between them, ends a run
of layers: another activation, a sum, a hook, gradients switched off. Then, and where the kernel
does not pay, they go one by one (:mod:`curvcore.providers.fused.layers`), which is also how the
gradient is differentiated once more.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd import Function

from curvcore import kernels
from curvcore.errors import UnsupportedOperationError
from curvcore.modes import is_plain_eager
from curvcore.providers.fused.layers import (
    ActivatedLayer,
    Activation,
    activated,
    as_own,
    is_without_kernel,
    pulled_back,
    stack_and_rows,
    times,
)
from curvcore.providers.fused.readout import AffineMap


def pays(width):
    """Whether a layer of h = ``width`` units is faster in one kernel with its neighbours.

    By arithmetic, not by measurement, for an entry of a layer's stack in ps, on a GPU of 3.3 TB/s,
    a cache of 5.5 TB/s, and 51 TFLOP/s in products of float32, where Triton's reach half of that
    and with TF32×3 half of a third of the tensor cores' 495: one by one, layers take
    max(2h/51, 2.4) for the product and 2.4 for the chain rule, 8 bytes each, or 2.4 for either
    where products are of TF32. The kernel takes the more of 2.9, for 16 bytes of the cache, and
    2h/25, or 2h/80 with TF32×3.

    ====  ===========  =======  =================  ==================
    h     one by one   kernel   one by one, TF32   kernel, TF32×3
    ====  ===========  =======  =================  ==================
    32    4.8          2.9      4.8                2.9
    64    4.9          5.1      4.8                2.9
    128   7.4          10       4.8                3.2
    256   12.4         20       4.8                6.4
    ====  ===========  =======  =================  ==================

    Backward, which computes the layers anew, is even at h = 32 (8.5 and 8.9), and nothing was kept.
    """
    return width <= (32 if _precision() == "ieee" else 128)


def _precision():
    """Of the kernel's products: TF32×3 for those who let torch's products use TF32.

    Its error, by an emulation of tensor cores that round towards zero, is 0.6 to 1.3 times that of
    float32 for 16 to 256 terms.
    """
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):  # from torch 2.9 on
        return "tf32x3" if matmul.fp32_precision == "tf32" else "ieee"
    return "tf32x3" if matmul.allow_tf32 else "ieee"


@dataclass(frozen=True)
class HiddenLayer:
    """f(W u + b) for u = ``source``, a JetTensor, not computed yet."""

    source: Any
    affine_map: AffineMap
    activation: Activation
    with_gradient: bool
    versions: tuple

    @classmethod
    def of(cls, source, affine_map, activation):
        """The layer as it is now; what does not go with it is computed before."""
        versions = _versions(affine_map)
        layer = cls(source, affine_map, activation, torch.is_grad_enabled(), versions)
        if source.layer is not None and not layer._goes_with(source.layer):
            source.settle()
        return layer

    def stack(self):
        """Its stack (1 + d + d(d+1)/2, B, h), and with it those of what it waits for.

        Raises:
            UnsupportedOperationError: weights were changed after the layer had been applied.
        """
        layers = self._run()
        for layer in layers:
            if layer.versions != _versions(layer.affine_map):
                raise UnsupportedOperationError(
                    "The decoder's forward changes weights in place after it has applied them. "
                    "Let it compute new ones: weight = factor * weight, not weight.mul_(factor)."
                )
        source, maps = layers[0].source, [layer.affine_map for layer in layers]
        with torch.set_grad_enabled(self.with_gradient):
            if len(layers) == 1:
                return activated(source, *maps, self.activation)
            weights, biases = zip(*((m.weight, m.bias) for m in maps), strict=True)
            arguments = *stack_and_rows(source), self.activation, source.d, *weights, *biases
            name = f"hidden layers of {self.activation.kernel} at d = {source.d}"
            out = kernels.attempt(name, _HiddenStack.apply, *arguments)
            return _one_by_one(*arguments) if out is None else out

    def _run(self):
        """This layer and those before it that nobody looked at, the first one first."""
        layers = [self]
        while (before := layers[-1].source.layer) is not None:
            layers.append(before)
        return layers[::-1]

    def _goes_with(self, other):
        same_function = self.activation.kernel == other.activation.kernel
        return same_function and self.with_gradient == other.with_gradient


def can_be_gathered(source, affine_map, activation):
    """Whether f(W u + b), u = ``source``, is a layer for the kernel; ``activated`` can take it."""
    weight, bias = affine_map.weight, affine_map.bias
    return (
        activation.kernel is not None
        and all(_is_plain(parameter) for parameter in (weight, bias) if parameter is not None)
        and (source.layer is not None or kernels.serve(source.value))
        and not is_without_kernel(source)
        and pays(len(weight))
        and is_plain_eager()
        and not torch.is_autocast_enabled(weight.device.type)
    )


def _is_plain(parameter):
    """Whether this is a tensor that kernels read, and whose changes are counted."""
    return (
        type(parameter) in (torch.Tensor, nn.Parameter)
        and kernels.serve(parameter)
        and not parameter.is_inference()
    )


def _versions(affine_map):
    """How often weight and bias have been changed in place."""
    return tuple(t._version for t in (affine_map.weight, affine_map.bias) if t is not None)


class _HiddenStack(Function):
    """(stack, rows or None, f, d, W_1, …, W_L, b_1, …, b_L) -> stack; b_l may be None."""

    @staticmethod
    def forward(ctx, stack, rows, activation, d, *parameters):
        ctx.activation, ctx.d, ctx.precision = activation, d, _precision()
        ctx.save_for_backward(stack, rows, *parameters)
        return _kernel(ctx, "forward")(*_operands(stack, rows, parameters))

    @staticmethod
    def backward(ctx, gradient):
        stack, rows, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more
            return _differentiable(ctx, gradient)
        needed = (*ctx.needs_input_grad[:2], *ctx.needs_input_grad[4:])
        layers = len(parameters) // 2
        operands = *_operands(stack, rows, parameters), gradient, any(needed[2:])
        name = f"the gradient of hidden layers of {ctx.activation.kernel} at d = {ctx.d}"
        found = kernels.attempt(name, _kernel(ctx, "adjoint"), *operands)
        if found is None:
            with torch.enable_grad():
                found = _differentiable(ctx, gradient)
            return tuple(None if t is None else t.detach() for t in found)
        to_x, to_weights, to_biases = found
        first = (*needed[:2], needed[2], needed[2 + layers])
        inputs = stack, rows, parameters[0], parameters[layers]
        to_stack, to_rows, to_weight, to_bias = pulled_back(first, inputs, to_x)
        found = to_stack, to_rows, to_weight, *to_weights, to_bias, *to_biases
        found = [t if wanted else None for t, wanted in zip(found, needed, strict=True)]
        return *found[:2], None, None, *found[2:]


def _kernel(ctx, name):
    from curvcore.kernels import hidden_stack  # Triton, where there is any

    constants = {"d": ctx.d, "kind": ctx.activation.kernel, "precision": ctx.precision}
    return partial(getattr(hidden_stack, name), **constants)


def _operands(stack, rows, parameters):
    """x = W_1 u, its rows, the other matrices, all biases."""
    layers = len(parameters) // 2
    first, weights = parameters[0], parameters[1:layers]
    x_rows = None if rows is None else rows @ first.mT
    return times(stack, first), x_rows, weights, parameters[layers:]


def _differentiable(ctx, gradient):
    """The same gradients, layer by layer."""
    stack, rows, *parameters = as_own(ctx.saved_tensors)
    out = _one_by_one(stack, rows, ctx.activation, ctx.d, *parameters)
    inputs = stack, rows, None, None, *parameters
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=True) if needed]
    found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)


def _one_by_one(stack, rows, activation, d, *parameters):
    """The same stack, layer by layer."""
    layers = len(parameters) // 2
    for weight, bias in zip(parameters[:layers], parameters[layers:], strict=True):
        stack, rows = ActivatedLayer.apply(stack, rows, weight, bias, activation, d), None
    return stack
