"""Slow and obvious: finite differences, and curvature as the textbooks compute it.

Nothing here is imported from curvcore.
"""

from itertools import product

import torch
from torch.func import jacfwd

RADIUS = 4  # nine points along every axis


# Central differences on nine points: value, and first to third derivative at distances 0, 1, ..., 4
# (Fornberg, Math. Comp. 51, 1988, table 1).
_EVEN_OR_ODD = (
    ((1, 0, 0, 0, 0), 1),
    ((0, 4 / 5, -1 / 5, 4 / 105, -1 / 280), -1),
    ((-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560), 1),
    ((0, -61 / 30, 169 / 120, -3 / 10, 7 / 240), -1),
)
_STENCILS = torch.tensor(
    [[parity * w for w in half[:0:-1]] + list(half) for half, parity in _EVEN_OR_ODD],
    dtype=torch.float64,
)


def finite_differences(decoder, z, order, step):
    """∇^order Ψ at points z (B, d), float64, from Ψ on the grid z + step · {−4..4}^d."""
    batch, d = z.shape
    offsets = torch.tensor(list(product(range(-RADIUS, RADIUS + 1), repeat=d)), dtype=z.dtype)
    with torch.no_grad():
        grid = decoder((z[:, None] + step * offsets).reshape(-1, d))
    grid = grid.reshape(batch, *(2 * RADIUS + 1,) * d, -1)
    result = z.new_empty(batch, grid.shape[-1], *(d,) * order)
    for axes in product(range(d), repeat=order):
        result[(slice(None), slice(None), *axes)] = _contract(grid, axes, d) / step**order
    return result


def _contract(grid, axes, d):
    for axis in range(d):  # the first grid axis is used up in turn
        grid = torch.tensordot(_STENCILS[axes.count(axis)], grid, dims=([0], [1]))
    return grid


def finite_differences_with_error(decoder, z, order):
    """Estimate of ∇^order Ψ, and its own error: what halving the step changes, plus rounding."""
    step = 0.04
    coarse, fine = (finite_differences(decoder, z, order, h) for h in (step, step / 2))
    with torch.no_grad():
        rounding = torch.finfo(z.dtype).eps * decoder(z).abs().max() / (step / 2) ** order
    return fine, (coarse - fine).abs().max() + 100 * rounding


# --- curvature by the textbook --------------------------------------------------------------------


def textbook_metric(point_map, z):
    """g = JᵀJ at one point."""
    jacobian = jacfwd(point_map)(z)
    return jacobian.T @ jacobian


def textbook_christoffel(point_map, z):
    """Γ^k_ij = ½ g^{km} (∂_i g_mj + ∂_j g_mi − ∂_m g_ij) by differentiating g(z)."""
    g = textbook_metric(point_map, z)
    dg = jacfwd(lambda point: textbook_metric(point_map, point))(z)  # [i, j, k] = ∂_k g_ij
    bracket = dg.permute(0, 2, 1) + dg - dg.permute(2, 0, 1)
    return torch.einsum("km,mij->kij", torch.linalg.inv(g), bracket) / 2


def textbook_riemann(point_map, z):
    """R_ijkl = ⟨R(e_i, e_j) e_l, e_k⟩ from Γ(z) and its derivative; positive on spheres.

    R(e_i, e_j) e_l = (∂_i Γ^m_jl − ∂_j Γ^m_il + Γ^m_ip Γ^p_jl − Γ^m_jp Γ^p_il) e_m
    (do Carmo with the sign of Lee, Prop. 7.4).
    """
    gamma = textbook_christoffel(point_map, z)
    dgamma = jacfwd(lambda point: textbook_christoffel(point_map, point))(z)  # [m, j, l, i]
    half = torch.einsum("mjli->mijl", dgamma) + torch.einsum("mip,pjl->mijl", gamma, gamma)
    mixed = half - half.transpose(1, 2)
    return torch.einsum("km,mijl->ijkl", textbook_metric(point_map, z), mixed)


def per_point(function, decoder, z):
    """Apply one of the above at every point, in a plain loop."""

    def point_map(point):
        return decoder(point[None])[0].reshape(-1)

    return torch.stack([function(point_map, point) for point in z])
