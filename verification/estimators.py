"""Estimators of R from random probes, and their variances in closed form.

In a g-orthonormal frame let u, v be independent, with independent components of mean 0 and
variance 1, and h(u, v) = ⟨II(u, u), II(v, v)⟩ − |II(u, v)|² = R(u, v, u, v). Then E h = R and
E[h | u] = Ric(u, u). From k probes, the mean of h(u_i, u_j) over all pairs i ≠ j has the variance
of a U-statistic (Hoeffding, Ann. Math. Stat. 19, 1948),

    2 (2(k−2) ζ_1 + ζ_2) / (k(k−1)),   ζ_1 = Var E[h | u],  ζ_2 = Var h.

Gaussian probes:    ζ_1 = 2|Ric|²,               ζ_2 = 4|Ric|² + 3|Riem|².
Rademacher probes:  ζ_1 = 2 Σ_{a≠b} Ric_ab²,     ζ_2 = 2ζ_1 + Q,

    Q = Σ_{a≠c, b≠d} (R_abcd + R_adcb)² = 3|Riem|² − 8 Σ_abc R_abac² + 4 Σ_ab R_abab².

The last depend on the frame, and are never above those of Gaussian probes. Index order and signs
are those of ``curvcore.riemann``; the functions take torch tensors and object arrays, and
``verification.proofs`` proves them.
"""

import numpy as np
import torch

from curvcore.arithmetic import einsum


def pair(products, u, v):
    """h(u, v) = (S_ij,kl − S_ik,jl) u^i u^j v^k v^l, with S_ij,kl = ⟨II_ij, II_kl⟩."""
    operator = einsum("ijkl,i,j->kl", products, u, u) - einsum("ikjl,i,j->kl", products, u, u)
    return einsum("kl,k,l->", operator, v, v)


def matrix_free(products, inverse_metric, u, v):
    """⟨II(u, w), II(v, x)⟩ − ⟨II(u, v), II(w, x)⟩ with w = g⁻¹u, x = g⁻¹v.

    Its mean is R for independent u, v whose components in coordinates, not in a frame, are
    independent of mean 0 and variance 1: no square root of g is needed.
    """
    w, x = (einsum("ij,j->i", inverse_metric, probe) for probe in (u, v))
    traces = einsum("ijkl,i,j,k,l->", products, u, w, v, x)
    return traces - einsum("ijkl,i,j,k,l->", products, u, v, w, x)


def gaussian_terms(ricci_squared, riemann_squared):
    """ζ_1 = 2|Ric|² and ζ_2 = 4|Ric|² + 3|Riem|², whatever the orthonormal frame."""
    return 2 * ricci_squared, 4 * ricci_squared + 3 * riemann_squared


def rademacher_terms(riemann):
    """ζ_1 = 2 Σ_{a≠b} Ric_ab² and ζ_2 = 2ζ_1 + Σ_{a≠c, b≠d} (R_abcd + R_adcb)².

    Args:
        riemann: R_abcd in the orthonormal frame of the probes (..., d, d, d, d).
    """
    ricci, apart = einsum("...abad->...bd", riemann), _off_diagonal(riemann)
    twice = riemann + einsum("...adcb->...abcd", riemann)
    first = 2 * einsum("...ab,...ab,ab->...", ricci, ricci, apart)
    return first, 2 * first + einsum("...abcd,...abcd,ac,bd->...", twice, twice, apart, apart)


def variance(first, second, probes):
    """2 (2(k−2) ζ_1 + ζ_2)/(k(k−1)), from ζ_1, ζ_2 and the number k ≥ 2 of probes.

    Of Gaussian probes it is 8|Ric|²/k + 6|Riem|²/(k(k−1)).
    """
    return 2 * (2 * (probes - 2) * first + second) / (probes * (probes - 1))


def _off_diagonal(like):
    d = like.shape[-1]
    if isinstance(like, torch.Tensor):
        return 1 - torch.eye(d, dtype=like.dtype, device=like.device)
    return np.array([[int(i != j) for j in range(d)] for i in range(d)], dtype=object)
