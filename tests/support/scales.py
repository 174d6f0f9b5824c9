"""Conditioning: how large the terms are that a curvature is the difference of.

With e_a a g-orthonormal frame, H = ∇²Ψ(e_a, e_b) and T = ∇³Ψ(e_a, e_b, e_c), both formulas for R
add up terms of size |H|² and, by the Christoffel route, ⟨Ψ_a, T⟩ ≤ |T|. The inverse metric costs
its condition number κ. The scale of R is therefore κ(|H|² + |T|), and that of a tensor with lower
indices that times the lengths √g_ii. All of it invariant when a latent coordinate is rescaled.
"""

import torch


def curvature_scale(jet):
    """κ(|H|² + |T|), the size of the terms in R at each point: (B,)."""
    arrays = [array.detach().double() for array in jet.arrays()[1:]]
    jacobian, hessian, *third = arrays
    metric = jacobian.mT @ jacobian
    frame = torch.linalg.inv(torch.linalg.cholesky(metric)).mT
    size = torch.einsum("naij,nip,njq->napq", hessian, frame, frame).square().flatten(1).sum(1)
    if third:
        in_frame = torch.einsum("naijk,nip,njq,nkr->napqr", *third, frame, frame, frame)
        size = size + in_frame.flatten(1).norm(dim=1)
    return condition(metric) * size


def condition(metric):
    """Spectral condition number of the metric with every coordinate scaled to unit length."""
    scale = lengths(metric)
    return torch.linalg.cond(metric.detach().double() / (scale[..., :, None] * scale[..., None, :]))


def lengths(metric):
    """√g_ii: (B, d)."""
    return torch.diagonal(metric.detach().double(), dim1=-2, dim2=-1).sqrt()


def lowered(scale, metric, rank):
    """The scale (B,) of a scalar, for each component of a tensor with ``rank`` lower indices."""
    length = lengths(metric)
    result = scale
    for _ in range(rank):
        result = result[..., None] * length.reshape(
            len(length), *(1,) * (result.ndim - 1), length.shape[-1]
        )
    return result
