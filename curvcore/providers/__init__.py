"""Jet providers: how the derivatives of a decoder come to be."""

from curvcore.providers.autodiff import autodiff_jet, autodiff_restriction
from curvcore.providers.fused import fused_jet, fused_restriction

# (decoder, z, order) -> Jet of Ψ at z
PROVIDERS = {"fused": fused_jet, "autodiff": autodiff_jet}
# (decoder, z (B, d), V (B, d, k), order) -> Jet of y ↦ Ψ(z + V y) at y = 0
RESTRICTIONS = {"fused": fused_restriction, "autodiff": autodiff_restriction}
# What ``derivatives=`` may be.
DERIVATIVES = ("auto", *PROVIDERS)
