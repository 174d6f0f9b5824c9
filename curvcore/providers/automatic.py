"""The provider behind ``derivatives="auto"``."""

import warnings

from curvcore.errors import FallbackWarning, MissingRuleError, frames_inside_curvcore
from curvcore.providers.autodiff import autodiff_jet, autodiff_restriction
from curvcore.providers.fused import fused_jet, fused_restriction
from curvcore.providers.outputs import check_runs


def automatic_jet(decoder, z, order):
    """``fused_jet``, or ``autodiff_jet`` with a warning where an operation has no rule."""
    return _first_of(fused_jet, autodiff_jet, decoder, z, order)


def automatic_restriction(decoder, z, directions, order=2, compare=True):
    """``fused_restriction``, or ``autodiff_restriction`` likewise."""
    arguments = decoder, z, directions, order, compare
    return _first_of(fused_restriction, autodiff_restriction, *arguments)


def _first_of(fused, autodiff, decoder, *arguments):
    try:
        return fused(decoder, *arguments)
    except MissingRuleError as error:
        check_runs(decoder, arguments[0])
        warnings.warn(
            f"{error} Now derivatives='autodiff' is used, which is slower.",
            FallbackWarning,
            stacklevel=frames_inside_curvcore() + 1,
        )
        return autodiff(decoder, *arguments)
