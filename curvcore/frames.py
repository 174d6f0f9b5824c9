"""A change of basis, at each point, that makes the metric nearly the identity.

Formulas for curvature lose about κ² eps where g has condition number κ: they subtract what g⁻¹
was multiplied with. In an almost orthonormal basis E of the tangent space, g̃ = EᵀgE ≈ I, they lose
next to nothing beyond what rounding of the jet itself costs, κ eps. Any invertible E gives the same
tensors, so E may be inexact, and is held constant when one differentiates.

=================  ====================================  =============
code               mathematics                           index order
=================  ====================================  =============
``basis``          E, g = FᵀF up to rounding             [i, a]
``dual_basis``     F = E⁻¹                               [a, i]
=================  ====================================  =============

Indices a, b, c belong to the frame, i, j, k to latent coordinates.
"""

from dataclasses import dataclass

import torch

from curvcore.arithmetic import almost_orthonormal
from curvcore.jets import Derivatives
from curvcore.packing import pack, symmetric_square


@dataclass(frozen=True)
class Frame:
    """Bases E of the tangent spaces at B points, and their inverses F: (B, d, d)."""

    basis: torch.Tensor
    dual_basis: torch.Tensor

    @property
    def volume_density(self):
        """√det g = det F, up to rounding; F is triangular."""
        return torch.diagonal(self.dual_basis, dim1=-2, dim2=-1).prod(-1)

    @property
    def log_volume_density(self):
        """log √det g, in range where √det g is not."""
        return torch.diagonal(self.dual_basis, dim1=-2, dim2=-1).log().sum(-1)

    @classmethod
    def of(cls, metric):
        """The frame in which ``metric`` (B, d, d) is the identity up to rounding."""
        return cls(*almost_orthonormal(metric.detach()))

    def derivatives(self, derivatives):
        """Those in frame coordinates z = E y: ∂_aΨ = E^i_a ∂_iΨ, ∂_a∂_bΨ = E^i_a E^j_b ∂_i∂_jΨ."""
        bases = [self.basis]
        if derivatives.order > 1:
            bases.append(symmetric_square(self.basis))
        levels = map(_lowered, derivatives.levels(), bases)
        if derivatives.order < 3:
            return Derivatives(*levels)
        return Derivatives(*levels, self._third(derivatives.full(3)))

    def _third(self, third):
        """∂_a∂_b∂_cΨ, packed, from ∂_i∂_j∂_kΨ (B, N, d, d, d)."""
        for axis in (2, 3, 4):
            moved = third.movedim(axis, -1)
            third = (
                _lowered(moved.flatten(1, -2), self.basis).reshape(moved.shape).movedim(-1, axis)
            )
        return pack(third, 3)

    def vector(self, vector):
        """Frame components of a tangent vector: v^a = F^a_i v^i, (B, d) or (d,) -> (B, d)."""
        return torch.einsum("...ai,...i->...a", self.dual_basis, vector)

    def covariant(self, tensor, rank):
        """Coordinate components of covariant frame components: T_ij.. = F^a_i F^b_j .. T_ab.."""
        return _contract(tensor, self.dual_basis, rank)

    def lowered(self, tensor, rank):
        """Frame components of a covariant tensor: T_ab.. = E^i_a E^j_b .. T_ij.."""
        return _contract(tensor, self.basis, rank)

    def of_pairs(self, form):
        """Those of a quadratic form of packed pairs (B, P, P)."""
        square = symmetric_square(self.basis)
        return square.mT @ form @ square

    def contravariant(self, tensor, rank):
        """Coordinate components of contravariant frame components: T^ij = E^i_a E^j_b T^ab."""
        return _contract(tensor, self.basis.mT, rank)

    def christoffel(self, christoffel):
        """Γ^k_ij = E^k_c F^a_i F^b_j Γ^c_ab; E is constant, so no derivative of it appears."""
        return torch.einsum("bkc,bcij->bkij", self.basis, self.covariant(christoffel, 2))


class CoordinateFrame:
    """The coordinate basis itself, E = I, for exact numbers, which need no better one."""

    volume_density = 1
    log_volume_density = 0

    def derivatives(self, derivatives):
        """``derivatives`` themselves."""
        return derivatives

    def vector(self, vector):
        """``vector`` itself."""
        return vector

    def covariant(self, tensor, rank):
        """``tensor`` itself."""
        return tensor

    contravariant = lowered = covariant

    def of_pairs(self, form):
        """``form`` itself."""
        return form

    def christoffel(self, christoffel):
        """``christoffel`` itself."""
        return christoffel


def _lowered(level, basis):
    """T^A_a = E^p_a T^A_p for T (B, N, K) and E (B, K, K), with A last in memory as in jets."""
    return (basis.mT @ level.mT).mT


def _contract(tensor, matrix, rank):
    """T_..ij M^i_a M^j_b, over the last ``rank`` axes of T (B, ..., d, ..., d)."""
    for _ in range(rank):
        contracted = tensor.flatten(1, -2) @ matrix
        tensor = contracted.reshape(tensor.shape).movedim(-1, -rank)
    return tensor
