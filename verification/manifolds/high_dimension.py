"""Manifolds of any dimension n whose curvature is known in closed form, cheap up to n = 128.

========================  =======================================  ===========================
decoder                   Ψ: R^n → R^N                             in terms of
========================  =======================================  ===========================
``ProductOfSpheres``      S^p(r) × S^q(s) × …, stereographically   the factors, which add up
``Paraboloid``            z ↦ (z, ½ Σ_i a_i z_i²)                  power sums Σ_i a_i^k z_i²
``QuadraticGraph``        z ↦ (z, ½ zᵀA^1 z, …, ½ zᵀA^m z)         traces of n × n matrices
========================  =======================================  ===========================

Each is followed by a fixed random isometry x ↦ Qx, QᵀQ = I, of R^N into R^D, which changes no
curvature. The points and the closed forms are functions of their parameters that run on numpy
object arrays of exact numbers too: ``verification.proofs`` proves them at n = 2, 3, 4, and no step
of them depends on n. Norms are full contractions, |Ric|² = Ric_ij Ric^ij, |Riem|² = R_ijkl R^ijkl,
|II|² = ⟨II_ij, II^ij⟩, and R = |H|² − |II|².

References: Lee, *Introduction to Riemannian Manifolds* (2nd ed.), ch. 8 (the Gauss equation), and
ch. 3 (the round metric in stereographic coordinates); do Carmo, *Riemannian Geometry*, ch. 6.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
import torch
import torch.nn.functional as F
from torch import nn

from curvcore.arithmetic import determinant, einsum, inverse
from verification.manifolds.lambdified import gaussian_matrix, orthonormal_columns

# How far out points are sampled, in every factor: condition numbers of g stay below 10.
REACH = 0.9


@dataclass(frozen=True, kw_only=True)
class ClosedForms:
    """What is known at B points of a manifold of dimension n; torch tensors or object arrays.

    metric, ricci: g_ij and Ric_ij, (B, n, n).
    scalar: R, (B,), as is all that follows.
    ricci_squared, riemann_squared: |Ric|² and |Riem|².
    mean_curvature_squared, second_fundamental_form_squared: |H|² and |II|².
    log_volume_density: log √det g.
    """

    metric: Any
    ricci: Any
    scalar: Any
    ricci_squared: Any
    riemann_squared: Any
    mean_curvature_squared: Any
    second_fundamental_form_squared: Any
    log_volume_density: Any


# --- spheres ------------------------------------------------------------------------------------


def stereographic_point(z):
    """The unit vector (2z, |z|² − 1)/(1 + |z|²): (B, p) -> (B, p + 1)."""
    square = z.square().sum(-1, keepdim=True)
    return torch.cat([2 * z, square - 1], -1) / (1 + square)


def spheres_point(z, dimensions, radii):
    """(r_1 s(z_1), r_2 s(z_2), …) with s = ``stereographic_point``: (B, n) -> (B, N)."""
    factors = torch.split(z, list(dimensions), dim=-1)
    spheres = zip(radii, factors, strict=True)
    return torch.cat([stereographic_point(factor) * radius for radius, factor in spheres], -1)


def spheres_closed_forms(z, dimensions, radii):
    """Of S^p(r) alone, with the conformal factor λ = 2/(1 + |z|²),

        g = r²λ² δ,  Ric = (p−1) λ² δ,  R = p(p−1)/r²,  |Ric|² = p(p−1)²/r⁴,
        |Riem|² = 2p(p−1)/r⁴,  |H|² = p²/r²,  |II|² = p/r²,  √det g = (rλ)^p.

    In a product g and Ric are block diagonal, scalars add up, and volumes multiply.
    """
    metric, ricci, logarithm, start = [], [], 0, 0
    for p, radius in zip(dimensions, radii, strict=True):
        factor = z[..., start : start + p]
        conformal = 2 / (1 + (factor * factor).sum(-1))
        metric += [radius**2 * conformal**2] * p
        ricci += [(p - 1) * conformal**2] * p
        logarithm = logarithm + p * _logarithm(radius * conformal)
        start += p

    def total(of_factor):
        constant = sum(of_factor(p, r) for p, r in zip(dimensions, radii, strict=True))
        return constant + 0 * z[..., 0]

    return ClosedForms(
        metric=_diagonal(metric),
        ricci=_diagonal(ricci),
        scalar=total(lambda p, r: p * (p - 1) / r**2),
        ricci_squared=total(lambda p, r: p * (p - 1) ** 2 / r**4),
        riemann_squared=total(lambda p, r: 2 * p * (p - 1) / r**4),
        mean_curvature_squared=total(lambda p, r: p**2 / r**2),
        second_fundamental_form_squared=total(lambda p, r: p / r**2),
        log_volume_density=logarithm,
    )


# --- paraboloids --------------------------------------------------------------------------------


def paraboloid_point(z, coefficients):
    """(z, ½ Σ_i a_i z_i²): (B, n) -> (B, n + 1)."""
    return torch.cat([z, (coefficients * z.square()).sum(-1, keepdim=True) / 2], -1)


def paraboloid_closed_forms(z, coefficients):
    """With A = diag(a), p = Az, w = 1/(1 + |p|²), G = g⁻¹ = I − w ppᵀ and τ_k = tr (GA)^k,

        g = I + ppᵀ,  Ric = w (τ_1 A − AGA),  R = w (τ_1² − τ_2),  |H|² = w τ_1²,  |II|² = w τ_2,
        |Ric|² = w² (τ_1² τ_2 − 2 τ_1 τ_3 + τ_4),  |Riem|² = 2w² (τ_2² − τ_4),  √det g = w^{−1/2}.

    They are those of a hypersurface with the shape operator N = √w GA, Ric = tr(N) N − N². With
    c_k = w Σ_i a_i^{k+3} z_i², as GA = A − w p(Ap)ᵀ is diagonal plus a matrix of rank one,

        τ_1 = Σa − c_0,  τ_2 = Σa² − 2c_1 + c_0²,  τ_3 = Σa³ − 3c_2 + 3c_1c_0 − c_0³,
        τ_4 = Σa⁴ − 4c_3 + 4c_2c_0 + 2c_1² − 4c_1c_0² + c_0⁴.
    """
    a = coefficients
    slope = a * z
    square = 1 + (slope * slope).sum(-1)
    w = 1 / square
    c0, c1, c2, c3 = (w * (a**k * z * z).sum(-1) for k in (3, 4, 5, 6))
    s1, s2, s3, s4 = ((a**k).sum() for k in (1, 2, 3, 4))
    t1, t2 = s1 - c0, s2 - 2 * c1 + c0**2
    t3 = s3 - 3 * c2 + 3 * c1 * c0 - c0**3
    t4 = s4 - 4 * c3 + 4 * c2 * c0 + 2 * c1**2 - 4 * c1 * c0**2 + c0**4
    bent = _diagonal([t1 * coefficient - coefficient**2 for coefficient in a])
    bent = bent + w[..., None, None] * _dyad(a * slope)
    return ClosedForms(
        metric=_identity_like(_dyad(slope)) + _dyad(slope),
        ricci=w[..., None, None] * bent,
        scalar=w * (t1**2 - t2),
        ricci_squared=w**2 * (t1**2 * t2 - 2 * t1 * t3 + t4),
        riemann_squared=2 * w**2 * (t2**2 - t4),
        mean_curvature_squared=w * t1**2,
        second_fundamental_form_squared=w * t2,
        log_volume_density=_logarithm(square) / 2,
    )


# --- graphs of several quadratic forms ----------------------------------------------------------


def quadratic_graph_point(z, forms):
    """(z, ½ zᵀA^1 z, …, ½ zᵀA^m z), A symmetric (m, n, n): (B, n) -> (B, n + m)."""
    m, n, _ = forms.shape
    slopes = F.linear(z, forms.reshape(m * n, n)).reshape(-1, m, n)
    return torch.cat([z, (slopes * z.unsqueeze(-2)).sum(-1) / 2], -1)


def quadratic_graph_closed_forms(z, forms):
    """With P = (A^1 z, …, A^m z), W = (I + PᵀP)⁻¹, N_α = g⁻¹A^α and N^α = W^{αβ} N_β,

    g = I + PPᵀ,  g⁻¹ = I − P W Pᵀ,  ⟨II_ij, II_kl⟩ = W^{αβ} A^α_ij A^β_kl,
    Ric = W^{αβ} (tr(N_α) A^β − A^α g⁻¹ A^β),  |Ric|² = tr (g⁻¹Ric)²,  R = |H|² − |II|²,
    |H|² = tr N_α tr N^α,  |II|² = tr N_α N^α,  √det g = √det(I + PᵀP),
    |Riem|² = 2 (tr(N_α N_β) tr(N^α N^β) − tr(N_α N_β N^α N^β)).
    """
    slopes = einsum("mij,...j->...im", forms, z)
    normals = einsum("...im,...il->...ml", slopes, slopes)
    normals = _identity_like(normals) + normals
    weights = inverse(normals)
    metric = einsum("...im,...jm->...ij", slopes, slopes)
    one = _identity_like(metric)
    inverse_metric = one - einsum("...im,...ml,...jl->...ij", slopes, weights, slopes)
    lower = einsum("...ik,mkj->...mij", inverse_metric, forms)
    upper = einsum("...ml,...lij->...mij", weights, lower)
    raised = einsum("...ml,lij->...mij", weights, forms)
    traces, raised_traces = (einsum("...mii->...m", N) for N in (lower, upper))
    ricci = einsum("...m,mij->...ij", raised_traces, forms)
    ricci = ricci - einsum("...mik,...mkj->...ij", raised, lower)
    mixed = einsum("...ik,...kj->...ij", inverse_metric, ricci)
    pairs, raised_pairs = (einsum("...mik,...lkj->...mlij", N, N) for N in (lower, upper))
    squares, raised_squares = (einsum("...mlii->...ml", N) for N in (pairs, raised_pairs))
    mean_squared = einsum("...m,...m->...", traces, raised_traces)
    form_squared = einsum("...mij,...mji->...", lower, upper)
    riemann_squared = einsum("...ml,...ml->...", squares, raised_squares)
    riemann_squared = riemann_squared - einsum("...mlij,...mlji->...", pairs, raised_pairs)
    return ClosedForms(
        metric=one + metric,
        ricci=ricci,
        scalar=mean_squared - form_squared,
        ricci_squared=einsum("...ij,...ji->...", mixed, mixed),
        riemann_squared=2 * riemann_squared,
        mean_curvature_squared=mean_squared,
        second_fundamental_form_squared=form_squared,
        log_volume_density=_logarithm(determinant(normals)) / 2,
    )


# --- decoders -----------------------------------------------------------------------------------


class Isometry(nn.Module):
    """x ↦ Qx from R^source to R^ambient, QᵀQ = I, random but fixed by ``seed``.

    Raises ValueError where ``ambient`` is less than ``source``; None stands for ``source``.
    """

    def __init__(self, source, ambient, seed):
        super().__init__()
        ambient = source if ambient is None else ambient
        columns = orthonormal_columns(gaussian_matrix(ambient, source, seed))
        self.register_buffer("columns", columns)

    def forward(self, x):
        """Qx: (B, source) -> (B, ambient)."""
        return F.linear(x, self.columns.to(x))


class ProductOfSpheres(nn.Module):
    """S^p(r) × S^q(s) × … in stereographic coordinates, isometrically in R^ambient.

    Args:
        dimensions: p, q, …; a single one for a round sphere.
        radii: as many.
        ambient: D; by default the n + 1 per factor that are needed.
        seed: of the isometry.
    """

    def __init__(self, dimensions, radii, ambient=None, seed=0):
        super().__init__()
        self.dimensions, self.radii = tuple(dimensions), tuple(radii)
        self.dimension = sum(self.dimensions)
        self.isometry = Isometry(self.dimension + len(self.dimensions), ambient, seed)

    def forward(self, z):
        """Ψ: (B, n) -> (B, D)."""
        return self.isometry(spheres_point(z, self.dimensions, self.radii))

    def closed_forms(self, z):
        """The ClosedForms at the points z (B, n), in float64."""
        return spheres_closed_forms(z.double(), self.dimensions, self.radii)

    def sample(self, count, generator=None):
        """Points (count, n), float64, in every factor's ball."""
        return torch.cat([in_ball(count, p, generator) for p in self.dimensions], -1)


class Paraboloid(nn.Module):
    """The graph of ½ Σ_i a_i z_i², isometrically in R^ambient.

    Args:
        coefficients: a (n,).
        ambient: D; by default n + 1.
        seed: of the isometry.
    """

    def __init__(self, coefficients, ambient=None, seed=0):
        super().__init__()
        self.register_buffer("coefficients", torch.as_tensor(coefficients, dtype=torch.float64))
        self.dimension = len(coefficients)
        self.isometry = Isometry(self.dimension + 1, ambient, seed)

    def forward(self, z):
        """Ψ: (B, n) -> (B, D)."""
        return self.isometry(paraboloid_point(z, self.coefficients.to(z)))

    def closed_forms(self, z):
        """The ClosedForms at the points z (B, n), in float64, of coefficients rounded as z is."""
        return paraboloid_closed_forms(z.double(), self.coefficients.to(z).double())

    def sample(self, count, generator=None):
        """Points (count, n), float64, in a ball."""
        return in_ball(count, self.dimension, generator)


class QuadraticGraph(nn.Module):
    """The graph of m quadratic forms ½ zᵀA^α z over R^n, isometrically in R^ambient.

    Args:
        forms: A, symmetric (m, n, n).
        ambient: D; by default n + m.
        seed: of the isometry.

    Raises:
        ValueError: a form is not symmetric.
    """

    def __init__(self, forms, ambient=None, seed=0):
        super().__init__()
        self.register_buffer("forms", torch.as_tensor(forms, dtype=torch.float64))
        if not torch.equal(self.forms, self.forms.mT):
            raise ValueError(
                "the matrices of quadratic forms must be symmetric: write (A + A.mT) / 2"
            )
        normals, self.dimension, _ = self.forms.shape
        self.isometry = Isometry(self.dimension + normals, ambient, seed)

    def forward(self, z):
        """Ψ: (B, n) -> (B, D)."""
        return self.isometry(quadratic_graph_point(z, self.forms.to(z)))

    def closed_forms(self, z):
        """The ClosedForms at the points z (B, n), in float64, of forms rounded as z is."""
        return quadratic_graph_closed_forms(z.double(), self.forms.to(z).double())

    def sample(self, count, generator=None):
        """Points (count, n), float64, in a ball."""
        return in_ball(count, self.dimension, generator)


def decoders(n, ambient=None, seed=0):
    """One decoder of each kind on R^n, n ≥ 2, by name; their metrics are well-conditioned.

    |A| ≤ 1.2 and |z| ≤ 0.9 bound the condition number of I + PPᵀ by 1 + 1.2² · 0.9² m.
    """
    generator = torch.Generator().manual_seed(seed)
    uniform = 2 * torch.rand(n, dtype=torch.float64, generator=generator) - 1
    gaussian = torch.randn(2, n, n, dtype=torch.float64, generator=generator)
    symmetric = gaussian + gaussian.mT
    length = torch.linalg.matrix_norm(symmetric, 2)[:, None, None]
    half = n // 2
    return {
        "sphere": ProductOfSpheres([n], [1.3], ambient, seed),
        "product-of-spheres": ProductOfSpheres([half, n - half], [1.3, 0.8], ambient, seed),
        "paraboloid": Paraboloid(1.2 * uniform, ambient, seed),
        "quadratic-graph": QuadraticGraph(1.2 * symmetric / length, ambient, seed),
    }


def in_ball(count, n, generator=None):
    """Points (count, n), float64: uniform directions at uniform distances up to REACH."""
    direction = torch.randn(count, n, dtype=torch.float64, generator=generator)
    distance = torch.rand(count, 1, dtype=torch.float64, generator=generator)
    return REACH * distance * direction / direction.norm(dim=-1, keepdim=True)


# --- torch tensors and object arrays alike ------------------------------------------------------


def _logarithm(numbers):
    if isinstance(numbers, torch.Tensor):
        return numbers.log()
    return np.frompyfunc(sp.log, 1, 1)(numbers)


def _dyad(vectors):
    return vectors[..., :, None] * vectors[..., None, :]


def _diagonal(entries):
    """diag(entries): n of shape (B,) -> (B, n, n)."""
    stack = torch.stack if isinstance(entries[0], torch.Tensor) else np.stack
    row = stack(entries, -1)[..., None, :]
    return row * _identity_like(row)


def _identity_like(matrices):
    n = matrices.shape[-1]
    if isinstance(matrices, torch.Tensor):
        return torch.eye(n, dtype=matrices.dtype, device=matrices.device)
    return np.array([[int(i == j) for j in range(n)] for i in range(n)], dtype=object)
