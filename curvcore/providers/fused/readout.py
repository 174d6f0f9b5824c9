"""The Gram short cut: curvature behind a last linear layer, without its D outputs.

For Ψ = W φ + b every inner product of derivatives is ⟨Wx, Wy⟩ = xᵀ(WᵀW)y. With the Cholesky factor
WᵀW = LLᵀ, x ↦ Lᵀx is an isometric substitute for W with h outputs instead of D: metric, Christoffel
symbols, Riemann and R are the same, at a cost per point that does not depend on D.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


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
        """Whether factorising WᵀW and ``rows`` products with it cost less than those with W.

        In multiplications; those of WᵀW and of its factorisation are in float64 and count twice.
        """
        outputs, inputs = self.weight.shape
        short = 2 * outputs * inputs**2 + 2 * inputs**3 + rows * inputs**2
        return short < rows * inputs * outputs

    def isometric_factor(self):
        """L (h, h) with LLᵀ = WᵀW; None where it would cost digits, for W that is nearly singular.

        By Cholesky factorisation in float64, with the columns of W scaled to length one. Its
        pivots δ show how nearly they depend on each other: the relative error of ⟨Wx, Wy⟩ is about
        h eps/δ², eps that of float64, which must not be seen in W's own dtype.
        """
        weight = self.weight.double()
        lengths = weight.detach().norm(dim=0)
        scaled = weight / lengths
        factor, failed = torch.linalg.cholesky_ex(scaled.mT @ scaled)
        least = 0.1 if self.weight.dtype == torch.float64 else 0.01
        sound = (failed == 0) & (factor.detach().diagonal() > least).all()
        factor = (lengths[:, None] * factor).to(self.weight.dtype)
        if torch.compiler.is_compiling():
            return torch.where(sound, factor, torch.nan)
        return factor if sound else None
