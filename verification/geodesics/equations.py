"""The equations of geodesics and Jacobi fields, on Taylor models in the time of each segment.

    z' = v,  v' = −Γ(v, v);      J' = W − Γ(v)J,  W' = −S J − Γ(v)W,

with Γ(v)^k_j = Γ^k_ij v^i, W the covariant derivative of J, and S^m_k = g^{mi} R_ijkl v^j v^l the
tidal operator: D²J/dt² + R(J, γ')γ' = 0. No third derivative of Ψ is needed. References: do
Carmo, *Riemannian Geometry*, ch. 5; Lee, *Introduction to Riemannian Manifolds*, ch. 10.
"""

from functools import cached_property

import numpy as np
import torch

from curvcore.formulas import Formulas
from curvcore.jets import Derivatives
from verification.exact.balls_of_decoders import propagated
from verification.exact.tensors import ExactTensor
from verification.regions.geometry import isometric_levels, values_behind
from verification.regions.models import TaylorModels, norm, up
from verification.regions.monomials import monomials
from verification.regions.numbers import Models

_WITH_XI = 3  # the highest power of τ beside ξ


class SmoothModels(Models):
    """Taylor models of functions that are smooth: what depends on an undecided case is unknown."""

    def undecided(self, decided):
        """Infinite, so that nothing that is made of them is finite either."""
        return torch.where(decided, 0.0, torch.inf).double()

    def where(self, condition, a, b):
        """a or b; not finite where it is not certain which."""
        chosen = super().where(condition, a, b)
        known = np.broadcast_to(condition, chosen.shape).radius.isfinite()
        radius = torch.where(known, chosen.radius, torch.inf)
        return TaylorModels(self.basis, chosen.coefficients, radius)

    def largest(self, array, axis, keepdims):
        """A constant near the largest, by which softmax and the like may be shifted.

        The largest of what depends on z itself is refused by the rules of derivatives.
        """
        found = super().largest(array, axis, keepdims)
        bound = array.bounds()[1].amax(axis, keepdim=keepdims)
        known, length = found.radius.isfinite(), len(found.coefficients)
        shift = TaylorModels.constant(self.basis, bound).padded(length)
        return TaylorModels(
            self.basis,
            torch.where(known, found.coefficients, shift),
            torch.where(known, found.radius, 0),
        )


class Along:
    """The equations along tubes z, v, models (K, d) of polynomials in τ.

    What depends on z is computed with variables ξ in [−1, 1]^d more, z = z̄ + r ξ, to first order:
    through a network, intervals would grow by far more than z moves Ψ.
    """

    def __init__(self, decoder, z, v):
        self._basis, (_, d) = z.basis, z.shape
        more = monomials(1 + d, z.basis.degree, (1,) + (z.basis.degree - _WITH_XI,) * d)
        self._is_plain = (more.exponents[:, 1:] == 0).all(1)
        coefficients = z.radius.new_zeros(len(more), *z.shape)
        coefficients[self._is_plain] = z.padded(len(z.basis))
        for i in range(d):
            (place,) = (
                (more.exponents == torch.eye(1 + d, dtype=torch.long)[1 + i]).all(1).nonzero()
            )
            coefficients[place, :, i] = z.radius[:, i]
        points = TaylorModels(more, coefficients, torch.zeros_like(z.radius))
        jet = propagated(decoder, ExactTensor(points, SmoothModels(more)), 2)
        # A jump shows in Ψ alone.
        self._is_known = values_behind(jet).is_finite().flatten(1).all(1)
        self._formulas = Formulas(Derivatives(*isometric_levels(jet)), "gauss")
        lifted = v.radius.new_zeros(len(more), *v.shape)
        lifted[self._is_plain] = v.padded(len(v.basis))
        self._v = TaylorModels(more, lifted, v.radius)

    def _without_xi(self, models):
        """In τ alone."""
        coefficients = models.padded(len(models.basis))
        rest = norm(coefficients[~self._is_plain])
        radius = up(models.radius + rest, len(coefficients))
        known = self._is_known.view(-1, *(1,) * (models.ndim - 1))
        radius = torch.where(known, radius, torch.inf)
        return TaylorModels(self._basis, coefficients[self._is_plain], radius)

    @cached_property
    def _transport(self):
        return np.einsum("nkij,ni->nkj", self._formulas.christoffel, self._v)

    def transport(self):
        """Γ(v)^k_j: models (K, d, d)."""
        return self._without_xi(self._transport)

    def metric(self):
        """g: models (K, d, d)."""
        return self._without_xi(self._formulas.metric)

    def acceleration(self):
        """−Γ(v, v): models (K, d)."""
        return self._without_xi(-np.einsum("nkj,nj->nk", self._transport, self._v))

    def jacobi_matrix(self):
        """A with (J, W)' = A (J, W): models (K, 2d, 2d)."""
        turning, v = -self._transport, self._v
        bent = np.einsum("nijkl,nj,nl->nik", self._formulas.riemann, v, v)
        tidal = -np.einsum("nmi,nik->nmk", self._formulas.inverse_metric, bent)
        one = np.broadcast_to(identity_like(turning), turning.shape)
        above = np.concatenate([turning, one], axis=2)
        below = np.concatenate([tidal, turning], axis=2)
        return self._without_xi(np.concatenate([above, below], axis=1))


def identity_like(matrices):
    """I of their size, constants."""
    one = torch.eye(matrices.shape[-1], dtype=torch.float64)
    return TaylorModels.constant(matrices.basis, one)
