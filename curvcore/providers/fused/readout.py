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

    def versions(self):
        """Numbers that change when the parameters are changed in place."""
        if torch.compiler.is_compiling():
            return ()  # a graph reads its parameters in one go
        parameters = (self.weight,) if self.bias is None else (self.weight, self.bias)
        return tuple(parameter._version for parameter in parameters)

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
        """L (h, h) with LLᵀ = WᵀW.

        In float64, so that nothing of float32 is lost by squaring W. The diagonal is raised by
        rounding errors' size, h eps tr(WᵀW), lest a W of lower rank breaks the factorisation; NaN,
        hence degenerate points, where it breaks all the same (a W that is not finite).
        """
        weight = self.weight.double()
        gram = weight.mT @ weight
        inputs = gram.shape[0]
        rounding = inputs * torch.finfo(gram.dtype).eps * gram.detach().diagonal().mean()
        identity = torch.eye(inputs, dtype=gram.dtype, device=gram.device)
        factor, failed = torch.linalg.cholesky_ex(gram + rounding * identity)
        return torch.where(failed == 0, factor, torch.nan).to(self.weight.dtype)
