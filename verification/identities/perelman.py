"""Perelman's functionals, on curvcore's public quantities alone; ``training`` has its own.

==================  =================================================  ========
code                mathematics                                        shape
==================  =================================================  ========
``Potential``       f, ∂_i f, ∂_i∂_j f                                 (B, ...)
``f_integrand``     R + |∇f|², so that F = ∫ … dm                      (B,)
``w_integrand``     τ(R + |∇f|²) + f − n, so that W = ∫ … dm           (B,)
``soliton_tensor``  S = Ric + ∇²f, or S − g/2τ                         (B, d, d)
``pairing``         ⟨S, T⟩ = g^{ik} g^{jl} S_ij T_kl                   (B,)
==================  =================================================  ========

dm = e^{−f} dμ for F and (4πτ)^{−n/2} e^{−f} dμ for W, of mass one. Held fixed under a variation δg,

    δF = −∫ ⟨δg, Ric + ∇²f⟩ dm,   δW = −τ ∫ ⟨δg, Ric + ∇²f − g/2τ⟩ dm;

and along Ricci flow ∂_t g = −2 Ric with ∂_t f = −Δf + |∇f|² − R (+ n/2τ, τ' = −1),

    dF/dt = 2 ∫ |Ric + ∇²f|² dm,   dW/dt = 2τ ∫ |Ric + ∇²f − g/2τ|² dm.

References: Perelman, arXiv:math/0211159, (1.1)–(1.4), (3.1)–(3.4); Chow et al., *The Ricci Flow:
Techniques and Applications* I, chs. 5–6.
"""

import math
from dataclasses import dataclass

import torch

import curvcore


@dataclass(frozen=True)
class Potential:
    """f (B,), ∂f (B, d) and, where it is needed, ∂²f (B, d, d)."""

    value: torch.Tensor
    gradient: torch.Tensor
    hessian: torch.Tensor | None = None


def potential(function, z):
    """The Potential of a function (B, d) -> (B,), from the jet of its graph z ↦ (z, f(z)).

    The graph, since :func:`curvcore.jet` takes immersions only.
    """
    jet = curvcore.jet(lambda z: torch.cat([z, function(z)[:, None]], 1), z, order=2)
    return Potential(jet.value[:, -1], jet.jacobian[:, -1], jet.hessian[:, -1])


def fixed_measure(geometry, log_density, tau=None):
    """The Potential with e^{−f} dμ, or (4πτ)^{−d/2} e^{−f} dμ, equal to the measure dm = ρ dz.

    f = ½ log det g − log ρ (− d/2 log 4πτ), with ``log_density`` the Potential of log ρ, and

        ∂_k ½ log det g    = ½ g^{ij} ∂_k g_ij,
        ∂_k∂_l ½ log det g = ½ g^{ij} ∂_k∂_l g_ij − ½ g^{im} ∂_k g_mn g^{nj} ∂_l g_ij,

    ∂∂f only where the jet has third derivatives.
    """
    jet, inverse, d = geometry.jet, geometry.inverse_metric, geometry.metric.shape[-1]
    half = torch.einsum("bai,bajk->bijk", jet.jacobian, jet.hessian)
    dg = half + half.transpose(1, 2)
    value = torch.log(geometry.volume_density) - log_density.value
    if tau is not None:
        value = value - d / 2 * math.log(4 * math.pi * tau)
    gradient = torch.einsum("bij,bijk->bk", inverse, dg) / 2 - log_density.gradient
    if jet.order < 3:
        return Potential(value, gradient)
    # g^{ij} ∂_k∂_l g_ij: Ψ_ikl · Ψ_j and Ψ_ik · Ψ_jl, each twice.
    second = 2 * torch.einsum("bij,baj,baikl->bkl", inverse, jet.jacobian, jet.third)
    second = second + 2 * torch.einsum("bij,baik,bajl->bkl", inverse, jet.hessian, jet.hessian)
    square = torch.einsum("bim,bmnk,bnj,bijl->bkl", inverse, dg, inverse, dg)
    return Potential(value, gradient, (second - square) / 2 - log_density.hessian)


def f_integrand(geometry, f):
    """R + |∇f|²: (B,)."""
    return geometry.scalar + geometry.gradient_norm_squared(f.gradient)


def w_integrand(geometry, f, tau):
    """τ(R + |∇f|²) + f − n: (B,)."""
    return tau * f_integrand(geometry, f) + f.value - geometry.metric.shape[-1]


def integrand(geometry, f, tau=None):
    """That of F, or of W if τ is given."""
    return f_integrand(geometry, f) if tau is None else w_integrand(geometry, f, tau)


def soliton_tensor(geometry, f, tau=None):
    """Ric + ∇²f, or Ric + ∇²f − g/2τ: (B, d, d). Zero on steady, on shrinking solitons."""
    tensor = geometry.ricci + geometry.covariant_hessian(f.gradient, f.hessian)
    return tensor if tau is None else tensor - geometry.metric / (2 * tau)


def pairing(geometry, left, right):
    """⟨S, T⟩ = g^{ik} g^{jl} S_ij T_kl: (B,)."""
    inverse = geometry.inverse_metric
    return torch.einsum("bik,bjl,bij,bkl->b", inverse, inverse, left, right)


def length(geometry, tensor, rank):
    """|T|_g, (B,), of T (B, ..., d, …, d) whose last ``rank`` axes are latent, lower indices."""
    raised = tensor
    for axis in range(tensor.ndim - rank, tensor.ndim):
        raised = torch.einsum("b...i,bij->b...j", raised.movedim(axis, -1), geometry.inverse_metric)
        raised = raised.movedim(-1, axis)
    return (raised * tensor).flatten(1).sum(1).clamp_min(0).sqrt()


def size(geometry, f=None):
    """The size of the terms that cancel in the integrands, (B,): what rounding is amplified by.

    κ (|∇²Ψ| + |∂f|)², and κ (|∇³Ψ| + |∂²f|) more where second derivatives of f enter; lengths in g,
    κ the condition number of g. That covers the law κ (1 + |∇²Ψ|/|II|) max(|R|, |II|²) of
    :mod:`verification.agreement`, since |II| ≤ |∇²Ψ|, and products of Γ with ∂f.
    """
    first = length(geometry, geometry.hessian, 2)
    if f is None:
        return geometry.condition_number * first.square()
    second = (first + length(geometry, f.gradient, 1)).square()
    if f.hessian is not None:
        second = second + length(geometry, f.hessian, 2)
    if geometry.jet.order == 3:
        second = second + length(geometry, geometry.jet.third, 3)
    return geometry.condition_number * second
