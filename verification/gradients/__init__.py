"""Gradients: what curvcore's quantities pass back to z and to the decoder's parameters θ.

A ``detach`` or a wrong adjoint leaves every value right and the gradients wrong.

=================  ==============================================================================
module             compares ∂Q/∂z and ∂Q/∂θ of every route with
=================  ==============================================================================
``closed_forms``   the catalogue's closed forms, differentiated by sympy
``decoders``       g, Γ, R, ... by the book, in reverse mode; and central differences of Q
=================  ==============================================================================
"""

import itertools

from curvcore.providers import PROVIDERS
from verification.gradients import closed_forms
from verification.gradients.decoders import of_decoder, wide_decoder
from verification.manifolds import catalogue

__all__ = ["of_catalogue", "of_decoder", "subjects"]

FEW = ("ellipsoid", "paraboloid-3")
SOME = (*FEW, "complex-parabola", "cone-3", "hyperbolic-paraboloid", "sphere-1-x-sphere-2")


def of_catalogue(settings):
    """Yield the Results of two manifolds in a quick check, of a few, or of all in a full one."""
    names = FEW if settings.quick else catalogue() if settings.full else SOME
    for name, derivatives, dtype in itertools.product(names, PROVIDERS, settings.dtypes):
        yield from closed_forms.of_manifold(
            catalogue()[name],
            derivatives=derivatives,
            dtype=dtype,
            device=settings.device,
            points=settings.points,
            seed=settings.seed,
        )


def subjects(subject, settings):
    """The decoders to look at: ``subject``, and beside curvcore's own one of many outputs."""
    return [subject] if subject.is_users else [subject, wide_decoder(settings.seed)]
