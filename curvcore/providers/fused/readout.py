"""The Gram short cut: curvature behind a last linear layer, without its D outputs.

For Ψ = W φ + b every inner product of derivatives is ⟨Wx, Wy⟩ = xᵀ(WᵀW)y. With W = Q Lᵀ, QᵀQ = I,
x ↦ Lᵀx is an isometric substitute for W with h outputs instead of D: metric, Christoffel symbols,
Riemann and R are the same, at a cost per point that does not depend on D.

L is the Cholesky factor of WᵀW in float64, or for W in float64 the R of its QR decomposition. What
comes of y = Lᵀx is the same for every rotation of y, so that the gradient of W is that of y turned
into R^D: with ȳ the gradient of y, W̄ = Q Σ ȳ xᵀ.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd import Function

from curvcore.errors import UnsupportedOperationError

_SKETCHED = 16  # rows: by Johnson and Lindenstrauss lengths err by 1/√32
# A kernel or two of a GPU cost less than a factorisation, which takes as long as so many products.
_FACTORISATION = {"cuda": 5 * 10**9}


@dataclass(frozen=True)
class AffineMap:
    """x ↦ W x + b on the last axis, W (D, h)."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    @property
    def output_dimension(self):
        """D."""
        return self.weight.shape[0]

    def snapshot(self):
        """The same map, whatever becomes of the parameters; gradients reach them."""
        if torch.compiler.is_compiling():
            return self  # a graph reads its parameters in one go
        return AffineMap(self.weight.clone(), None if self.bias is None else self.bias.clone())

    def of_value(self, value):
        """W x + b."""
        return F.linear(value, self.weight, self.bias)

    def of_channels(self, channels):
        """W x: derivatives do not see the offset."""
        return F.linear(channels, self.weight)

    def pays(self, rows):
        """Whether factorising W and ``rows`` products with L cost less than those with W.

        In multiplications; those of WᵀW and of its factorisation are in float64 and count twice.
        """
        outputs, inputs = self.weight.shape
        short = 2 * outputs * inputs**2 + 2 * inputs**3 + rows * inputs**2
        short += _FACTORISATION.get(self.weight.device.type, 0)
        return short < rows * inputs * outputs

    def sketch(self):
        """A matrix (k, h) with |M x| near |W x|, to a third or so: random sums of rows of W."""
        outputs = len(self.weight)
        if outputs <= 2 * _SKETCHED:
            return self.weight
        signs = 2 * np.random.default_rng(0).integers(0, 2, (_SKETCHED, outputs)) - 1
        return torch.from_numpy(signs / _SKETCHED**0.5).to(self.weight) @ self.weight

    def isometric_matrix(self):
        """A matrix (N, h) whose columns have the inner products of those of W.

        Lᵀ where there are more outputs than inputs and no gradient is asked for.
        """
        outputs, inputs = self.weight.shape
        if outputs <= inputs or (self.weight.requires_grad and torch.is_grad_enabled()):
            return self.weight
        return factorised(self.weight, False)[0].mT

    def isometric_image(self, channels, first=0):
        """Lᵀx in the place of W x, for x from ``first`` on of channels (K, B, h).

        The gradient is that of W x.
        """
        return _IsometricImage.apply(channels, self.weight, first)


class _IsometricImage(Function):
    @staticmethod
    def forward(ctx, channels, weight, first):
        factor, isometry = factorised(weight, ctx.needs_input_grad[1])
        ctx.save_for_backward(channels, weight, factor, isometry)
        ctx.first = first
        return channels[first:] @ factor

    @staticmethod
    def backward(ctx, gradient):
        channels, weight, factor, isometry = ctx.saved_tensors
        if (
            torch.is_grad_enabled() and not torch.compiler.is_compiling()
        ):  # to be differentiated once more
            factor, isometry = factorised(weight, True)
            _check_independent(factor)
        to_channels = to_weight = None
        rows = gradient.flatten(0, -2)
        if ctx.needs_input_grad[0]:
            before = torch.zeros_like(channels[: ctx.first]).flatten(0, -2)
            to_channels = torch.cat([before, rows @ factor.mT]).view(channels.shape)
        if ctx.needs_input_grad[1]:
            to_weight = isometry @ (rows.mT @ channels[ctx.first :].flatten(0, -2))
        return to_channels, to_weight, None


def factorised(weight, with_isometry):
    """L (h, h) and, if asked for, Q (D, h) with W = Q Lᵀ.

    WᵀW is factorised in float64, with the columns of W scaled to length one, and 4 h eps of float64
    added to its diagonal, so that columns that depend on each other are no exception. That adds
    4 h eps |x|² to |Wx|², in directions of its own: nothing beside what W x in float32 loses.
    """
    if weight.dtype == torch.float64:
        isometry, factor = torch.linalg.qr(weight)
        return factor.mT, isometry
    weight, dtype = weight.double(), weight.dtype
    lengths = weight.detach().norm(dim=0)
    scaled = weight / torch.where(lengths > 0, lengths, 1)
    gram = scaled.mT @ scaled
    shift = 4 * len(gram) * torch.finfo(gram.dtype).eps
    factor = torch.linalg.cholesky_ex(gram + torch.full_like(lengths, shift).diag()).L
    isometry = None
    if with_isometry:
        isometry = torch.linalg.solve_triangular(factor, scaled.mT, upper=False).mT.to(dtype)
    return (lengths[:, None] * factor).to(dtype), isometry


def _check_independent(factor):
    """Raise where the derivative of Q and L in W has no digits: this reads the device."""
    pivots = factor.detach().diagonal().abs() / factor.detach().norm(dim=1)
    if not (pivots > 0.01).all():
        raise UnsupportedOperationError(
            "Second derivatives of curvature in the weights of a last layer whose columns nearly "
            "depend on each other have no digits. Write derivatives='autodiff', or do not "
            "differentiate in these weights."
        )
