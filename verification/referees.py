"""Slow, obvious computations of R that share nothing with the code they referee.

``plain_scalar_curvature`` uses no formula of curvcore: g, Γ and R are differentiated as functions
of z, as one would write it down from a textbook. ``difference_jet`` uses no automatic
differentiation at all.
"""

import torch
from torch.func import jacfwd, vmap

import curvcore

# Central differences of sixth order: f'(0) ≈ Σ_s c_s (f(sh) − f(−sh)) / h.
STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))


def plain_scalar_curvature(decoder, z):
    """R (B,) by nested ``jacfwd`` through g(z), Γ(z) and ∂Γ(z), point by point.

    Γ^k_ij = ½ g^{km} (∂_i g_jm + ∂_j g_im − ∂_m g_ij) and
    R = g^{jl} (∂_i Γ^i_lj − ∂_l Γ^i_ij + Γ^i_im Γ^m_lj − Γ^i_lm Γ^m_ij). Right where nested forward
    mode is right; not on LayerNorm, for one, in torch 2.13.
    """

    def metric(point):
        jacobian = jacfwd(lambda p: decoder(p[None])[0].reshape(-1))(point)
        return jacobian.T @ jacobian

    def christoffel(point):
        dg = jacfwd(metric)(point)
        first_kind = (
            torch.einsum("jmi->mij", dg)
            + torch.einsum("imj->mij", dg)
            - torch.einsum("ijm->mij", dg)
        ) / 2
        return torch.einsum("km,mij->kij", torch.linalg.inv(metric(point)), first_kind)

    def scalar(point):
        gamma, dgamma = christoffel(point), jacfwd(christoffel)(point)
        ricci = (
            torch.einsum("ilji->jl", dgamma)
            - torch.einsum("iijl->jl", dgamma)
            + torch.einsum("iim,mlj->jl", gamma, gamma)
            - torch.einsum("ilm,mij->jl", gamma, gamma)
        )
        return torch.einsum("jl,jl->", torch.linalg.inv(metric(point)), ricci)

    return vmap(scalar)(z)


def difference_jet(decoder, z, step):
    """The 2-jet by central differences of sixth order with the given step, in float64.

    Truncation costs O(step⁶), rounding eps/step².
    """
    z = z.double()

    def flat(points):
        with torch.no_grad():
            return decoder(points).reshape(len(points), -1)

    first = [_difference(flat, z, i, step) for i in range(z.shape[1])]
    hessian = torch.stack(
        [
            torch.stack([_difference(f, z, j, step)(z) for f in first], -1)
            for j in range(z.shape[1])
        ],
        -1,
    )
    jacobian = torch.stack([f(z) for f in first], -1)
    return curvcore.Jet(flat(z), jacobian, hessian)


def _difference(function, z, axis, step):
    """z -> ∂_axis of ``function`` by central differences."""
    unit = torch.zeros_like(z[:1])
    unit[0, axis] = step

    def derivative(points):
        return (
            sum(c * (function(points + s * unit) - function(points - s * unit)) for s, c in STENCIL)
            / step
        )

    return derivative
