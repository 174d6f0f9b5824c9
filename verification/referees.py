"""Slow, obvious computations of R that share nothing with the code they referee.

``Textbook`` uses no formula of curvcore: g, Γ and R are differentiated as functions of z, as one
would write it down from a textbook. ``difference_jet`` uses no automatic differentiation at all.
"""

import torch
from torch.func import jacfwd, vmap

import curvcore

# Central differences of sixth order: f'(0) ≈ Σ_s c_s (f(sh) − f(−sh)) / h.
STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))


class Textbook:
    """The geometry of a decoder as functions of one latent point (d,), as a textbook writes it.

    Each is differentiated by ``jacfwd`` where it contains a derivative, and can be differentiated
    further, in reverse mode, in the point and in the decoder's parameters. Right where nested
    forward mode is right; not on LayerNorm, for one, in torch 2.13, but for
    ``PrimitiveOperations``.
    """

    def __init__(self, decoder):
        self._decoder = decoder

    def value(self, point):
        """Ψ, flattened."""
        return self._decoder(point[None])[0].reshape(-1)

    def metric(self, point):
        """g_ij = ∂_iΨ · ∂_jΨ."""
        jacobian = jacfwd(self.value)(point)
        return jacobian.T @ jacobian

    def inverse_metric(self, point):
        """g^{ij}."""
        return torch.linalg.inv(self.metric(point))

    def volume_density(self, point):
        """√det g = det L with g = LLᵀ."""
        return torch.linalg.cholesky(self.metric(point)).diagonal().prod()

    def christoffel(self, point):
        """Γ^k_ij = ½ g^{km} (∂_i g_jm + ∂_j g_im − ∂_m g_ij)."""
        dg = jacfwd(self.metric)(point)
        first_kind = (
            torch.einsum("jmi->mij", dg)
            + torch.einsum("imj->mij", dg)
            - torch.einsum("ijm->mij", dg)
        ) / 2
        return torch.einsum("km,mij->kij", self.inverse_metric(point), first_kind)

    def curvature(self, point):
        """R^k_jil = ∂_i Γ^k_lj − ∂_l Γ^k_ij + Γ^k_im Γ^m_lj − Γ^k_lm Γ^m_ij."""
        gamma, dgamma = self.christoffel(point), jacfwd(self.christoffel)(point)
        return (
            torch.einsum("klji->kjil", dgamma)
            - torch.einsum("kijl->kjil", dgamma)
            + torch.einsum("kim,mlj->kjil", gamma, gamma)
            - torch.einsum("klm,mij->kjil", gamma, gamma)
        )

    def ricci(self, point):
        """Ric_jl = R^i_jil."""
        return torch.einsum("ijil->jl", self.curvature(point))

    def scalar(self, point):
        """R = g^{jl} Ric_jl."""
        return torch.einsum("jl,jl->", self.inverse_metric(point), self.ricci(point))

    def sectional(self, point, u, v):
        """K = ⟨R(u, v)v, u⟩ / (|u|²|v|² − ⟨u, v⟩²)."""
        g = self.metric(point)
        numerator = torch.einsum("kjil,mk,m,j,i,l->", self.curvature(point), g, u, v, u, v)
        return numerator / ((u @ g @ u) * (v @ g @ v) - (u @ g @ v) ** 2)

    def laplacian(self, function, point):
        """Δf = ∂_i(√g g^{ij} ∂_j f)/√g of a function of the point, entry by entry."""

        def flux(p):
            slope = jacfwd(function)(p)
            return self.volume_density(p) * slope @ self.inverse_metric(p)

        divergence = torch.einsum("...ii->...", jacfwd(flux)(point))
        return divergence / self.volume_density(point)

    def mean_curvature(self, point):
        """H = ΔΨ (Beltrami's formula)."""
        return self.laplacian(self.value, point)


def plain_scalar_curvature(decoder, z):
    """R (B,) by nested ``jacfwd`` through g(z), Γ(z) and ∂Γ(z), point by point."""
    return vmap(Textbook(decoder).scalar)(z)


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
