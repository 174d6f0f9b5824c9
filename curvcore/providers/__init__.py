"""Jet providers: how the derivatives of a decoder come to be."""

from curvcore.providers.autodiff import autodiff_jet
from curvcore.providers.fused import fused_jet

PROVIDERS = {"fused": fused_jet, "autodiff": autodiff_jet}
