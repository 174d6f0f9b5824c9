"""Immersions into R^D with a metric G(x) of its own: g_ij = G(Ψ_i, Ψ_j).

Covariant derivatives of Ψ_j, in a frame of R^D that is orthonormal for G, are vectors that the
formulas of a Euclidean R^D take as they are. Only the Gauss equation has a term more, which is of
the same form.

==================  ================================================================  ============
code                mathematics                                                       index order
==================  ================================================================  ============
``value`` ...       G_ab(Ψ(z)), ∂_k of it, ∂_k∂_l; or G_aa alone                      [a, b, k, l]
``slopes``          K_a,ij = ∂_aG(Ψ_i, Ψ_j), Ψ_i held constant                        [a, p]
``connection``      Γ_a,ij = ½ ((∂_iG Ψ_j)_a + (∂_jG Ψ_i)_a − K_a,ij)                 [a, p]
``covariant``       X_i = LᵀΨ_i,  X_ij = LᵀΨ_ij + N_ij,  N = L⁻¹Γ,  G = LLᵀ           [a, p]
``bending``         V_jk,il = ½ (Q_jk,il + Q_il,jk) + ⟨N_jk, N_il⟩                    [p, q]
                    Q_jk,il = ∂_j∂_k(G∘Ψ)(Ψ_i, Ψ_l) − ⟨K_il, Ψ_jk⟩
==================  ================================================================  ============

p, q are pairs (:mod:`curvcore.packing`). R^G(Ψ_i, Ψ_j, Ψ_k, Ψ_l) = V_jk,il − V_jl,ik, in any
coordinates, so that R_ijkl = (S − V)_ik,jl − (S − V)_il,jk with S_ij,kl = ⟨II_ij, II_kl⟩.
Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Thm 8.5 and eq. (7.16).
"""

from dataclasses import dataclass
from typing import Any

import torch

from curvcore import metrics
from curvcore.arithmetic import cholesky, einsum, solve_lower, sqrt
from curvcore.caching import cached_quantity
from curvcore.jets import Derivatives, Jet, all_finite
from curvcore.packing import pack


@dataclass(eq=False)
class AmbientField:
    """G along an immersion, and its derivatives in z, as far as they are held.

    Attributes:
        levels: G(Ψ(z)) (..., D, D) or its diagonal (..., D); then with the axes of derivatives.
        is_diagonal: which of both.
    """

    levels: tuple[Any, ...]
    is_diagonal: bool

    def product(self, order, u, v, indices):
        """∂^order G(u, v): ``indices`` "k,i,j->ijk" are those of derivatives, u, v, and result."""
        of_field, of_u, of_v = indices.split("->")[0].split(",")
        rows, column = ("a", "a") if self.is_diagonal else ("ab", "b")
        terms = f"...{rows}{of_field},...a{of_u},...{column}{of_v}"
        return einsum(f"{terms}->...{indices.split('->')[1]}", self.levels[order], u, v)

    def map(self, function):
        """The field whose levels are ``function`` of these."""
        return AmbientField(tuple(map(function, self.levels)), self.is_diagonal)

    def applied(self, vector):
        """G v of vectors (..., D)."""
        value = self.levels[0]
        return value * vector if self.is_diagonal else (value @ vector[..., None])[..., 0]

    def lowered(self, vectors):
        """(∂_kG v_j)_a of vectors (..., D, d): (..., D, d, d), index order a, k, j."""
        equation = "...ak,...aj->...akj" if self.is_diagonal else "...abk,...bj->...akj"
        return einsum(equation, self.levels[1], vectors)

    @property
    def device_type(self):
        """``"cpu"``, ``"cuda"``, ..."""
        value = self.levels[0]
        return value.device.type if isinstance(value, torch.Tensor) else "cpu"

    @cached_quantity
    def _frame(self):
        """√G, of a diagonal, or L with G = LLᵀ."""
        value = self.levels[0]
        return sqrt(value) if self.is_diagonal else cholesky(value)

    def components(self, vectors):
        """LᵀV of vectors (..., D, P)."""
        if self.is_diagonal:
            return self._frame[..., None] * vectors
        return self._frame.mT @ vectors

    def components_of_covectors(self, covectors):
        """L⁻¹ω of covectors (..., D, P)."""
        if self.is_diagonal:
            return covectors / self._frame[..., None]
        return solve_lower(self._frame, covectors)


class AmbientJet(Jet):
    """The jet of an immersion into R^D with a metric; inner products are that metric's.

    Args:
        arrays: value, first, ... derivatives of Ψ.
        field: AmbientField, of the same order, or of two.
        slopes: K, packed (..., D, d(d+1)/2), from order two on.
    """

    def __init__(self, arrays, field, slopes=None):
        super().__init__(*arrays)
        self.field, self.slopes = field, slopes

    @property
    def is_curved(self):
        """It is."""
        return True

    @classmethod
    def joined(cls, jets):
        """The jet at the points of all ``jets``, after one another."""
        arrays = map(torch.cat, zip(*(jet.arrays() for jet in jets), strict=True))
        levels = map(torch.cat, zip(*(jet.field.levels for jet in jets), strict=True))
        field = AmbientField(tuple(levels), jets[0].field.is_diagonal)
        slopes = None if jets[0].slopes is None else torch.cat([jet.slopes for jet in jets])
        return cls([*arrays], field, slopes)

    def is_finite(self):
        """At which points all that is held is finite: (B,)."""
        slopes = [] if self.slopes is None else [self.slopes]
        return all_finite([*self.arrays(), *self.field.levels, *slopes])

    def derivatives(self):
        """X_i and X_ij, packed."""
        first = self.field.components(self.jacobian)
        if self.order == 1:
            return Derivatives(first)
        return Derivatives(first, self.field.components(self._second) + self._connection)

    def bending(self):
        """V_pq (..., P, P)."""
        first, bent = self.jacobian, self._connection
        curved = pack(self.field.product(2, first, first, "jk,i,l->iljk"), 2)
        curved = pack(einsum("...ilp->...pil", curved), 2)
        curved = curved - einsum("...ap,...aq->...pq", self._second, self.slopes)
        curved = curved + einsum("...pq->...qp", curved)
        return curved / 2 + einsum("...ap,...aq->...pq", bent, bent)

    def metric_derivative(self):
        """∂_k g_ij, index order i, j, k."""
        first = self.jacobian
        products = self.field.product(0, first, self.hessian, ",k,ij->kij")
        return metrics.metric_derivative(products) + self.field.product(
            1, first, first, "k,i,j->ijk"
        )

    def metric_second_derivative(self):
        """∂_k∂_l g_ij, index order i, j, k, l."""
        field, first, second = self.field, self.jacobian, self.hessian
        products = metrics.metric_second_derivative(
            field.product(0, second, second, ",ij,kl->ijkl"),
            field.product(0, first, self.third, ",l,ijk->lijk"),
        )
        mixed = field.product(1, first, second, "k,i,jl->ijkl")
        mixed = mixed + einsum("...ijkl->...jikl", mixed)
        mixed = mixed + einsum("...ijkl->...ijlk", mixed)
        return products + mixed + field.product(2, first, first, "kl,i,j->ijkl")

    @cached_quantity
    def _second(self):
        return pack(self.hessian, 2)

    @cached_quantity
    def _connection(self):
        """N, packed."""
        lowered = self.field.lowered(self.jacobian)
        lowered = pack(lowered + einsum("...akj->...ajk", lowered), 2)
        return self.field.components_of_covectors((lowered - self.slopes) / 2)
