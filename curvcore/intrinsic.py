"""Curvature by the Christoffel route: from g, ∂g and ∂²g, so from ∇Ψ, ∇²Ψ and ∇³Ψ.

==========================  =====================================================  ==============
code                        mathematics                                            index order
==========================  =====================================================  ==============
``christoffel_derivative``  ∂_l Γ^k_ij = g^{km} (∂_l Γ_m,ij − ∂_l g_mn Γ^n_ij)     [k, i, j, l]
``riemann_mixed``           R^k_jil = ∂_i Γ^k_lj − ∂_l Γ^k_ij                      [k, j, i, l]
                            + Γ^k_im Γ^m_lj − Γ^k_lm Γ^m_ij
``riemann``                 R_kjil = g_km R^m_jil                                  [k, j, i, l]
==========================  =====================================================  ==============

The signs are those of :mod:`curvcore.riemann`, whose referee this is: the two share no formula for
R_ijkl. Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Prop. 7.4 (with lowered
index moved to the front). Batch axes come first.
"""

from curvcore.arithmetic import einsum
from curvcore.metrics import christoffel_first_kind


def christoffel_derivative(inverse_metric, metric_derivative, metric_second, christoffel):
    """∂_l Γ^k_ij = g^{km} (∂_l Γ_m,ij − ∂_l g_mn Γ^n_ij), since ∂g⁻¹ = −g⁻¹ ∂g g⁻¹."""
    # Γ_m,ij is linear in ∂g: its derivative is the same formula, with l as one more batch axis.
    first_kind = christoffel_first_kind(einsum("...ijkl->...lijk", metric_second))
    first_kind = einsum("...lmij->...mijl", first_kind)
    correction = einsum("...mnl,...nij->...mijl", metric_derivative, christoffel)
    return einsum("...km,...mijl->...kijl", inverse_metric, first_kind - correction)


def riemann_mixed(christoffel, christoffel_derivative):
    """R^k_jil = ∂_i Γ^k_lj − ∂_l Γ^k_ij + Γ^k_im Γ^m_lj − Γ^k_lm Γ^m_ij, index order k, j, i, l."""
    derivative = einsum("...klji->...kjil", christoffel_derivative)
    product = einsum("...kim,...mlj->...kjil", christoffel, christoffel)
    half = derivative + product
    return half - einsum("...kjli->...kjil", half)


def riemann(metric, mixed):
    """R_kjil = g_km R^m_jil: (..., d, d, d, d)."""
    return einsum("...km,...mjil->...kjil", metric, mixed)
