"""Rules for complex numbers, by their real and imaginary parts.

Functions that are analytic have the rules of real ones, and Fourier transforms are linear.
"""

import torch

from curvcore.errors import MissingRuleError
from curvcore.providers import primitives
from curvcore.providers.fused.elementwise import real_abs
from curvcore.providers.fused.registry import composite, named


@composite(torch.complex)
def _complex(real, imag):
    return real + 1j * imag


composite(torch.polar)(primitives.PRIMITIVES[torch.polar])


@composite(*named("abs", "absolute", "__abs__"))
def _abs(x):
    if not x.is_complex():
        return real_abs(x)
    return torch.sqrt(torch.square(torch.real(x)) + torch.square(torch.imag(x)))


@composite(*named("angle"))
def _angle(x):
    if not x.is_complex():
        raise MissingRuleError(
            "derivatives='fused' has no rule for angle of real numbers: it is 0 or π. Take it of "
            "complex ones, or write torch.atan2."
        )
    return torch.atan2(torch.imag(x), torch.real(x))
