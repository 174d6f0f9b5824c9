"""Jet providers: how the derivatives of a decoder come to be."""

from curvcore.providers.autodiff import autodiff_jet

PROVIDERS = {"autodiff": autodiff_jet}
