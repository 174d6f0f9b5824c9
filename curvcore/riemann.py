"""Curvature by the Gauss equation: from ∇Ψ and ∇²Ψ alone.

===============================  ===============================================  ==============
code                             mathematics                                      index order
===============================  ===============================================  ==============
``second_fundamental_form``      II_ij = Ψ_ij − Γ^k_ij Ψ_k                        [a, i, j]
``mean_curvature``               H = g^{ij} II_ij (not divided by d)              [a]
``normal_products``              S_ij,kl = ⟨II_ij, II_kl⟩                         [i, j, k, l]
``riemann``                      R_ijkl = S_ik,jl − S_il,jk                       [i, j, k, l]
``ricci``                        Ric_jl = g^{ik} R_ijkl                           [j, l]
``scalar``                       R = g^{jl} Ric_jl                                []
``scalar_of_pairs``              R = g^{ij} g^{kl} (S_ij,kl − S_ik,jl)            []
===============================  ===============================================  ==============

Signs: the round sphere of radius r has R = d(d−1)/r² > 0. Because II is Ψ_ij less its tangential
part, S_ij,kl = C_ij,kl − B_m,ij g^{mn} B_n,kl: R depends on D only through inner products. It is
formed from the vectors II, since the difference of inner products loses twice the digits.
Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Thm 8.5 (the Gauss equation);
do Carmo, *Riemannian Geometry*, ch. 6, Thm 2.5. Batch axes come first.
"""

from curvcore.arithmetic import einsum
from curvcore.packing import multiplicities, pack, symmetric_square


def second_fundamental_form(jacobian, hessian, christoffel):
    """II_ij = Ψ_ij − Γ^k_ij Ψ_k, the normal part of ∂_i∂_jΨ: (..., D, d, d)."""
    return hessian - einsum("...kij,...ak->...aij", christoffel, jacobian)


def mean_curvature(inverse_metric, second_fundamental_form):
    """H = g^{ij} II_ij: (..., D)."""
    return einsum("...ij,...aij->...a", inverse_metric, second_fundamental_form)


def normal_products(second_fundamental_form):
    """S_ij,kl = ⟨II_ij, II_kl⟩: (..., d, d, d, d)."""
    return einsum("...aij,...akl->...ijkl", second_fundamental_form, second_fundamental_form)


def riemann(normal_products):
    """R_ijkl = S_ik,jl − S_il,jk, the Gauss equation: (..., d, d, d, d)."""
    return einsum("...ikjl->...ijkl", normal_products) - einsum("...iljk->...ijkl", normal_products)


def ricci(inverse_metric, riemann):
    """Ric_jl = g^{ik} R_ijkl: (..., d, d)."""
    return einsum("...ik,...ijkl->...jl", inverse_metric, riemann)


def scalar(inverse_metric, ricci):
    """R = g^{jl} Ric_jl: (...)."""
    return einsum("...jl,...jl->...", inverse_metric, ricci)


def scalar_of_pairs(inverse_metric, normal_products):
    """R = g^{ij} g^{kl} (S_ij,kl − S_ik,jl), the same in fewer steps; S over packed pairs.

    Sums over all indices become sums over pairs i ≤ j, k ≤ l (:mod:`curvcore.packing`), and one
    term is left of a surface: R = 2 det g⁻¹ (S_11,22 − S_12,12).
    """
    if inverse_metric.shape[-1] == 2:
        return (
            2
            * _determinant_of_two(inverse_metric)
            * (normal_products[..., 0, 2] - normal_products[..., 1, 1])
        )
    twice = multiplicities(inverse_metric)
    trace = pack(inverse_metric, 2) * twice
    weights = einsum("...p,...q->...pq", trace, trace) - symmetric_square(inverse_metric) * twice
    return einsum("...pq,...pq->...", weights, normal_products)


def _determinant_of_two(matrix):
    return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]


def bivector(u, v):
    """(u ∧ v)^ij = u^i v^j − u^j v^i: (..., d), (..., d) -> (..., d, d)."""
    return einsum("...i,...j->...ij", u, v) - einsum("...j,...i->...ij", u, v)


def area_squared(metric, bivector):
    """|u ∧ v|² = |u|²|v|² − ⟨u, v⟩² = ½ g_ik g_jl ω^ij ω^kl, without cancellation: (...)."""
    lowered = einsum("...ik,...kl,...jl->...ij", metric, bivector, metric)
    return einsum("...ij,...ij->...", lowered, bivector) / 2


def sectional_numerator(riemann, bivector):
    """R(u, v, u, v) = ¼ R_ijkl ω^ij ω^kl, of which K is the quotient by |u ∧ v|²: (...)."""
    return einsum("...ijkl,...ij,...kl->...", riemann, bivector, bivector) / 4
