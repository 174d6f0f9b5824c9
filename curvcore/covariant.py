"""Tangent spaces and covariant second derivatives along directions, in whatever metric R^D has."""

from curvcore.constants import identity
from curvcore.large_dimension import Along
from curvcore.packing import pack_of_directions
from curvcore.providers.ambient import ambient_jet, shape_of
from curvcore.providers.automatic import automatic_jet, automatic_restriction
from curvcore.providers.bound import AmbientDecoder
from curvcore.tangent import TangentSpaces


class _AlongInAmbientSpace:
    """What Along is for an AmbientDecoder, by all ∂_i∂_jΨ; vectors have G's inner products.

    Where G is not positive they are NaN.
    """

    def __init__(self, decoder):
        self._decoder, self._shape = decoder, None

    def tangent_spaces(self, z, compare=True):
        """TangentSpaces at z (B, d)."""
        return TangentSpaces(self._derivatives(z, 1, compare).jacobian.mT)

    def second(self, z, directions, compare=True):
        """∇_aΨ_b (B, k(k+1)/2, D) along directions (B, d, k)."""
        return _along(self._derivatives(z, 2, compare), directions)

    def tangential(self, z, directions):
        """g^{ij} ⟨Ψ_j, ∇_aΨ_b⟩ (B, k(k+1)/2, d); compared with nothing."""
        derivatives = self._derivatives(z, 2, compare=False)
        return TangentSpaces(derivatives.jacobian.mT).tangential(_along(derivatives, directions))

    def _derivatives(self, z, order, compare):
        provider = automatic_jet if compare else _jet_that_is_known
        self._shape = self._shape or shape_of(self._decoder, z)
        options = {"lenient": True, "shape": self._shape}
        return ambient_jet(provider, self._decoder, z, order, **options).derivatives()


def _along(derivatives, directions):
    return pack_of_directions(directions) @ derivatives.second.mT


def _jet_that_is_known(decoder, z, order):
    every = identity(z.shape[1], z.dtype, z.device).expand(len(z), -1, -1)
    return automatic_restriction(decoder, z, every, order, compare=False)


def along(decoder, rows):
    """An Along of ``decoder``, or what is that in an ambient metric; ``rows`` as there."""
    if isinstance(decoder, AmbientDecoder):
        return _AlongInAmbientSpace(decoder)
    return Along(decoder, "auto", rows)
