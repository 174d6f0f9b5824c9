"""The provider behind ``derivatives="auto"``."""

import warnings

from curvcore.errors import FallbackWarning, MissingRuleError, frames_inside_curvcore
from curvcore.providers.autodiff import autodiff_jet
from curvcore.providers.fused import fused_jet


def automatic_jet(decoder, z, order):
    """``fused_jet``, or ``autodiff_jet`` with a warning where an operation has no rule."""
    try:
        return fused_jet(decoder, z, order)
    except MissingRuleError as error:
        warnings.warn(
            f"{error} Now derivatives='autodiff' is used, which is slower.",
            FallbackWarning,
            stacklevel=frames_inside_curvcore() + 1,
        )
        return autodiff_jet(decoder, z, order)
