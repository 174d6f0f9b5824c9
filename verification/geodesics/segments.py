"""The flow of geodesics over all segments: ends, and how these depend on the starts."""

from dataclasses import dataclass

import numpy as np
import torch

from verification.geodesics.equations import Along, identity_like
from verification.geodesics.flow import at, enclosed, integral, polynomial, total
from verification.regions.models import TaylorModels


@dataclass(frozen=True, eq=False)
class Flow:
    """Curves over K segments, from the starts given, and their Jacobi fields.

    Attributes:
        z, v: the curves and their velocities, models (K, d).
        ends: z and v at the ends of the segments, constants (K, 2d).
        fundamental, fundamental_ends: of (J, W) from the identity, along the segments and at their
            ends: models and constants (K, 2d, 2d).
        along: what holds along them.
        proved: where these hold all curves and fields: (K,).
    """

    z: TaylorModels
    v: TaylorModels
    ends: TaylorModels
    fundamental: TaylorModels
    fundamental_ends: TaylorModels
    along: Along
    proved: torch.Tensor

    def derivative(self):
        """∂(z, v at the end)/∂(z, v at the start): constants (K, 2d, 2d)."""
        turning = self.along.transport()
        into, out_of = _shear(at(turning, -1.0)), _shear(-at(turning, 1.0))
        return np.einsum("nij,njk,nkl->nil", out_of, self.fundamental_ends, into)


def flow(decoder, basis, halves, near, starts):
    """The Flow from starts z, v, constants (K, d).

    Args:
        basis: the Monomials in τ.
        halves: h/2 of the segments, (K,).
        near: :class:`verification.geodesics.collocation.Segments` close to it.
    """
    d = starts[0].shape[1]
    curve = [polynomial(basis, c) for c in near.curve.split(d, 2)]
    (z, v), of_curve = enclosed(_geodesic_operator(decoder, starts, halves), curve)
    along = Along(decoder, z, v)
    ends = [x + total(f, halves) for x, f in zip(starts, (v, along.acceleration()), strict=True)]
    matrix = along.jacobi_matrix()
    one = np.broadcast_to(identity_like(matrix), matrix.shape)

    def fields(state):
        return [one + integral(matrix.contracted("nij,njk->nik", state[0]), halves)]

    (fundamental,), of_fields = enclosed(fields, [polynomial(basis, near.fundamental)])
    over = total(matrix.contracted("nij,njk->nik", fundamental), halves)
    ends = np.concatenate(ends, axis=1)
    return Flow(z, v, ends, fundamental, one + over, along, of_curve & of_fields)


def _geodesic_operator(decoder, starts, halves):
    """Picard's, of (z, v)."""

    def operator(state):
        slopes = state[1], Along(decoder, *state).acceleration()
        return [x + integral(f, halves) for x, f in zip(starts, slopes, strict=True)]

    return operator


def _shear(turning):
    """(δz, δv) -> (J, W) = (δz, δv + Γ(v) δz): constants (K, 2d, 2d)."""
    one = np.broadcast_to(identity_like(turning), turning.shape)
    zero = one * 0
    above = np.concatenate([one, zero], axis=2)
    return np.concatenate([above, np.concatenate([turning, one], axis=2)], axis=1)
