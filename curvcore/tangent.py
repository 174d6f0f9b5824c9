"""The tangent spaces of an immersion at B points, in any dimension.

With the columns of ∇Ψ as vectors X_i, s_i = |X_i| and C_ij = ⟨X_i, X_j⟩/(s_i s_j) = L Lᵀ::

    u = S⁻¹ L⁻ᵀ ξ                     latent vector with components ξ in an orthonormal frame
    x − X_i g^{ij} ⟨X_j, x⟩           the normal part of x
    log √det g = Σ log s_i L_ii

All of it is differentiable, as often as one likes; s is held constant, which no result depends on.
Vectors stand in rows: (B, how many, N).
"""

import torch

from curvcore.arithmetic import of_order_one
from curvcore.caching import cached_quantity
from curvcore.constants import identity
from curvcore.degenerate import filled, smallest_reciprocal_condition

_PROBES, _ITERATIONS = 4, 4
# Projected once, vectors x keep some 5 √κ eps |x| of their tangential parts, as measured, and twice
# none. √κ eps |x| is what rounding of X itself makes of them, so that twice is for vectors alone of
# which as little is normal; sums of d of them may add up.
_HARDLY_NORMAL = 1000


class TangentSpaces:
    """Tangent spaces spanned by X (B, d, N), of which all are computed in one dtype.

    Where the metric is degenerate to working precision, or X not finite, they are replaced by
    coordinate planes; ``is_degenerate`` tells where.
    """

    def __init__(self, first):
        self.dimension, self.device_type = first.shape[1], first.device.type
        self._own, self._own_factor = first, _factor(first)

    @property
    def metric(self):
        """g_ij (B, d, d), degenerate or not."""
        return self._own @ self._own.mT

    @cached_quantity
    def condition_number(self):
        """κ of C (B,), by power iteration, up to three times too small; not differentiable."""
        lengths, factor, failed = (x.detach() for x in self._own_factor)
        condition = _condition(factor)
        # So small that products of X have lost digits.
        small = lengths.amin(-1).square() <= 4 * torch.finfo(lengths.dtype).tiny * condition
        return torch.where(failed | small, torch.inf, condition)

    @cached_quantity
    def is_degenerate(self):
        """Where κ leaves no digits of curvature, or X is not finite: (B,)."""
        smallest = smallest_reciprocal_condition(self._own.dtype, self._own.shape[-1])
        return ~(self.condition_number < 1 / smallest)

    @property
    def _is_known_regular(self):
        """Whether no point is degenerate; unknown on a GPU, which is not waited for."""
        return self.device_type == "cpu" and not self.is_degenerate.any()

    @cached_quantity
    def vectors(self):
        """X (B, d, N), and coordinate planes where they are degenerate."""
        if self._is_known_regular:
            return self._own
        plane = self._own.new_zeros(self._own.shape[1:])
        plane.diagonal().fill_(1)
        return filled(self.is_degenerate, self._own, plane)

    @cached_quantity
    def _lengths_and_factor(self):
        lengths, factor, _ = self._own_factor
        if self._is_known_regular:
            return lengths, factor
        if factor.requires_grad:  # which failed factorisations make NaN
            return _factor(self.vectors)[:2]
        one = identity(self.dimension, factor.dtype, factor.device)
        return filled(self.is_degenerate, lengths, 1), filled(self.is_degenerate, factor, one)

    @cached_quantity
    def log_volume(self):
        """log √det g (B,)."""
        lengths, factor = self._lengths_and_factor
        return (factor.diagonal(dim1=-2, dim2=-1).log() + lengths.log()).sum(-1)

    def directions(self, components):
        """Latent vectors (B, d, P) with components ξ (B, P, d) in an orthonormal frame."""
        lengths, factor = self._lengths_and_factor
        solved = torch.linalg.solve_triangular(factor.mT, components.mT, upper=True)
        return solved / lengths[..., None]

    def components(self, vectors):
        """Components in the frame, (B, d), of latent vectors (B, d): what ``directions`` undoes."""
        lengths, factor = self._lengths_and_factor
        return (factor.mT @ (lengths * vectors)[..., None])[..., 0]

    def plane(self, u, v):
        """An orthonormal basis of the plane of latent vectors u, v (B, d), as components (B, 2, d).

        And where u, v are parallel to working precision, (B,).
        """
        first, other = (_unit(self.components(of_order_one(vector))) for vector in (u, v))
        for _ in range(2):  # once leaves eps/sin of the first
            other = other - (first * other).sum(-1, keepdim=True) * first
        sine = torch.linalg.vector_norm(other, dim=-1)
        parallel = ~(sine > 10 * torch.finfo(sine.dtype).eps)
        return torch.stack([first, other / torch.where(parallel, 1, sine)[:, None]], 1), parallel

    def covariant(self, tensor):
        """T_ij in latent coordinates from T_ab in the frame: (B, d, d)."""
        lengths, factor = self._lengths_and_factor
        return lengths[..., None] * (factor @ tensor @ factor.mT) * lengths[:, None]

    def frame(self):
        """Latent vectors (B, d, d) that are an orthonormal frame."""
        one = identity(self.dimension, self._own.dtype, self._own.device)
        return self.directions(one.expand(len(self._own), -1, -1))

    def normal(self, x):
        """The normal parts of vectors x (B, P, N), projected twice where once may not do."""
        once = self._less_tangential(x)
        if self.device_type != "cpu":  # not waited for
            return self._less_tangential(once)
        again = self._is_hardly_normal(x.detach(), once.detach()).nonzero()[:, 0]
        if not len(again):
            return once
        return once.index_copy(0, again, self._less_tangential(once[again], again))

    def _is_hardly_normal(self, x, normal):
        lost = torch.finfo(x.dtype).eps * self.condition_number.sqrt() * _HARDLY_NORMAL
        before, after = (torch.linalg.vector_norm(y, dim=(1, 2)) for y in (x, normal))
        return after < lost * before

    def _less_tangential(self, x, points=slice(None)):
        return torch.baddbmm(x, self.tangential(x, points), self.vectors[points], alpha=-1)

    def tangential(self, x, points=slice(None)):
        """The latent vectors g^{ij} ⟨X_j, x⟩ of the tangential parts of x (B, P, N): (B, P, d)."""
        vectors, lengths, factor = (y[points] for y in (self.vectors, *self._lengths_and_factor))
        products = vectors @ x.mT / lengths[..., None]
        solved = torch.linalg.solve_triangular(factor, products, upper=False)
        solved = torch.linalg.solve_triangular(factor.mT, solved, upper=True) / lengths[..., None]
        return solved.mT


def _unit(vectors):
    """Vectors (B, d) of length one, whatever their unit; zero stays zero."""
    vectors = of_order_one(vectors)
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(lengths > 0, lengths, 1)


def _factor(vectors):
    """s (B, d), L (B, d, d), and where the factorisation failed (B,).

    By Cholesky factorisation of C, and again of what that makes of X, which is orthonormal to κ eps
    (Fukaya et al., CholeskyQR2, 2014). The first, like s, is a scale held constant.
    """
    with torch.no_grad():
        gram = vectors @ vectors.mT
        lengths = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        lengths = torch.where(lengths > 0, lengths, 1)
        scale, failed = _cholesky(gram / (lengths[..., None] * lengths[:, None]))
    almost = torch.linalg.solve_triangular(scale, vectors / lengths[..., None], upper=False)
    correction, failed_again = _cholesky(almost @ almost.mT)
    return lengths, scale @ correction, failed | failed_again


def _cholesky(matrix):
    factor, info = torch.linalg.cholesky_ex(matrix)
    return factor, (info > 0) | ~factor.isfinite().flatten(1).all(1)


def _condition(factor):
    """λ_max/λ_min of L Lᵀ, (B,), by power iteration with the matrix and with its inverse."""
    d = factor.shape[-1]
    start = torch.linspace(1, d * _PROBES, d * _PROBES, dtype=torch.float64, device=factor.device)
    start = (start**2).cos().to(factor.dtype).reshape(d, _PROBES).expand(len(factor), -1, -1)

    def largest(matrix_times):
        x, growth = start, None
        for _ in range(_ITERATIONS):
            x = x / x.norm(dim=1, keepdim=True)
            x = matrix_times(x)
            growth = x.norm(dim=1).amax(-1)
        return growth

    def inverse_times(x):
        x = torch.linalg.solve_triangular(factor, x, upper=False)
        return torch.linalg.solve_triangular(factor.mT, x, upper=True)

    return largest(lambda x: factor @ (factor.mT @ x)) * largest(inverse_times)
