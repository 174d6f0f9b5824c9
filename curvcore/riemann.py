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
===============================  ===============================================  ==============

Signs: the round sphere of radius r has R = d(d−1)/r² > 0. Because II is Ψ_ij less its tangential
part, S_ij,kl = C_ij,kl − B_m,ij g^{mn} B_n,kl: R depends on D only through inner products. It is
formed from the vectors II, since the difference of inner products loses twice the digits.
Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Thm 8.5 (the Gauss equation);
do Carmo, *Riemannian Geometry*, ch. 6, Thm 2.5. Batch axes come first.
"""

from curvcore.arithmetic import einsum


def second_fundamental_form(jacobian, hessian, christoffel):
    """II_ij = Ψ_ij − Γ^k_ij Ψ_k, the normal part of ∂_i∂_jΨ: (..., D, d, d)."""
    return hessian - einsum("...ak,...kij->...aij", jacobian, christoffel)


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


def sectional(riemann, metric, u, v):
    """K(u, v) = R_ijkl u^i v^j u^k v^l / (|u|²|v|² − ⟨u, v⟩²): (...)."""
    numerator = einsum("...ijkl,...i,...j,...k,...l->...", riemann, u, v, u, v)
    return numerator / (_inner(metric, u, u) * _inner(metric, v, v) - _inner(metric, u, v) ** 2)


def sine_squared(metric, u, v):
    """sin² of the angle between tangent vectors, 1 − ⟨u, v⟩²/(|u|²|v|²): (...)."""
    lengths = _inner(metric, u, u) * _inner(metric, v, v)
    return 1 - _inner(metric, u, v) ** 2 / lengths


def _inner(metric, u, v):
    return einsum("...ij,...i,...j->...", metric, u, v)
