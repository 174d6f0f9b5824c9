"""The pullback metric, its derivatives, and its Levi-Civita connection.

========================  ==================================================  =================
code                      mathematics                                         index order
========================  ==================================================  =================
``metric``                g_ij = ⟨Ψ_i, Ψ_j⟩                                   [i, j]
``first_products``        B_k,ij = ⟨Ψ_k, Ψ_ij⟩                                [k, i, j]
``second_products``       C_ij,kl = ⟨Ψ_ij, Ψ_kl⟩                              [i, j, k, l]
``third_products``        T_l,ijk = ⟨Ψ_l, Ψ_ijk⟩                              [l, i, j, k]
``metric_derivative``     ∂_k g_ij                                            [i, j, k]
``metric_second_deriv.``  ∂_k ∂_l g_ij                                        [i, j, k, l]
``christoffel``           Γ^k_ij = ½ g^{km} (∂_i g_jm + ∂_j g_im − ∂_m g_ij)  [k, i, j]
========================  ==================================================  =================

Subscripts of Ψ are partial derivatives. All functions take any batch axes before the tensor's own
and run on every kind of number of :mod:`curvcore.arithmetic`. Reference: do Carmo, *Riemannian
Geometry*, ch. 1–2; Lee, *Introduction to Riemannian Manifolds*, 2nd ed., ch. 5.
"""

from curvcore.arithmetic import determinant, einsum, sqrt


def metric(jacobian):
    """g_ij = ⟨Ψ_i, Ψ_j⟩: (..., D, d) -> (..., d, d)."""
    return einsum("...ai,...aj->...ij", jacobian, jacobian)


def first_products(jacobian, hessian):
    """B_k,ij = ⟨Ψ_k, Ψ_ij⟩, the Christoffel symbols of the first kind of a pullback metric."""
    return einsum("...ak,...aij->...kij", jacobian, hessian)


def second_products(hessian):
    """C_ij,kl = ⟨Ψ_ij, Ψ_kl⟩: (..., D, d, d) -> (..., d, d, d, d)."""
    return einsum("...aij,...akl->...ijkl", hessian, hessian)


def third_products(jacobian, third):
    """T_l,ijk = ⟨Ψ_l, Ψ_ijk⟩: (..., D, d), (..., D, d, d, d) -> (..., d, d, d, d)."""
    return einsum("...al,...aijk->...lijk", jacobian, third)


def metric_derivative(first):
    """∂_k g_ij = B_i,jk + B_j,ik from ``first`` = B."""
    return first + einsum("...jik->...ijk", first)


def metric_second_derivative(second, third):
    """∂_k∂_l g_ij = T_i,jkl + T_j,ikl + C_ik,jl + C_il,jk from ``second`` = C, ``third`` = T."""
    return (
        third
        + einsum("...jikl->...ijkl", third)
        + einsum("...ikjl->...ijkl", second)
        + einsum("...iljk->...ijkl", second)
    )


def volume_density(metric):
    """√det g, the density of the Riemannian volume dμ = √det g dz: (..., d, d) -> (...)."""
    return sqrt(determinant(metric))


def christoffel_first_kind(metric_derivative):
    """Γ_m,ij = ½ (∂_i g_jm + ∂_j g_im − ∂_m g_ij), index order m, i, j."""
    return (
        einsum("...jmi->...mij", metric_derivative)
        + einsum("...imj->...mij", metric_derivative)
        - einsum("...ijm->...mij", metric_derivative)
    ) / 2


def christoffel(inverse_metric, first_kind):
    """Γ^k_ij = g^{km} Γ_m,ij, index order k, i, j (do Carmo, ch. 2, eq. 10)."""
    return einsum("...km,...mij->...kij", inverse_metric, first_kind)
