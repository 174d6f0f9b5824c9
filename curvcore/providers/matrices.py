"""Functions of square matrices from primitives, for :mod:`curvcore.providers.primitives`.

A matrix without inverse has one that is not finite, where torch ends the whole batch.
"""

import torch

from curvcore.providers.reductions import product


def _slogdet(matrix):
    permutation, _, upper = torch.linalg.lu(matrix)
    diagonal = torch.diagonal(upper, dim1=-2, dim2=-1)
    sign = torch.linalg.slogdet(permutation.detach()).sign * product(_direction(diagonal), -1)
    return torch.return_types.linalg_slogdet((sign, diagonal.abs().log().sum(-1)))


def _direction(x):
    """x/|x|, or 0; complex ones have no gradient of nested derivatives in torch."""
    if not x.is_complex():
        return x.sgn()
    length = x.abs()
    return x / torch.where(length > 0, length, 1)


def _det(matrix):
    """By elimination with complete pivoting, and three dimensions at the end in full.

    So det is differentiated at singular matrices, three times at those of any rank: a pivot is zero
    only where all that is left is.
    """
    rest, factors = matrix, []
    while rest.shape[-1] > 3:
        rest, sign = _pivoted(rest)
        pivot = rest[..., :1, :1]
        factors += [sign, pivot[..., 0, 0]]
        row = rest[..., :1, 1:] / torch.where(pivot == 0, 1, pivot)
        rest = rest[..., 1:, 1:] - rest[..., 1:, :1] * row
    return product(torch.stack([*factors, _small_det(rest)], -1), -1)


def _pivoted(matrix):
    """The rows and columns with the largest entry first, and the sign of their permutation."""
    n = matrix.shape[-1]
    largest = matrix.detach().abs().flatten(-2).argmax(-1, keepdim=True)
    places, sign = torch.arange(n, device=matrix.device), 1
    for dim, place in ((-2, largest // n), (-1, largest % n)):
        order = torch.where(places == place, 0, torch.where(places == 0, place, places))
        matrix = torch.take_along_dim(matrix, order.unsqueeze(-3 - dim), dim)
        sign = sign * torch.where(place[..., 0] == 0, 1, -1)
    return matrix, sign


def _small_det(matrix):
    """det by its definition, up to three dimensions."""
    if matrix.shape[-1] < 2:
        return matrix.sum((-2, -1)) if matrix.shape[-1] else matrix.sum((-2, -1)) + 1
    if matrix.shape[-1] == 2:
        (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
        return a * d - b * c
    first, *others = matrix.unbind(-2)
    return (first * torch.linalg.cross(*others)).sum(-1)


def _logdet(matrix):
    sign, logarithm = _slogdet(matrix)
    return logarithm + sign.log()


def inverse_or_nan(matrix):
    """A⁻¹, NaN where there is none."""
    inverse, singular = torch.linalg.inv_ex(matrix)
    return torch.where(singular[..., None, None] > 0, torch.nan, inverse)


def cholesky_or_nan(matrix):
    """L with A = L Lᴴ, NaN where there is none."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where(failed[..., None, None] > 0, torch.nan, factor)


def symmetric_of(A, upper=False):
    """The Hermitian matrix of which A has the lower triangle, or the upper one."""
    if upper:
        return A.triu() + A.triu(1).mH
    return A.tril() + A.tril(-1).mH


def _cholesky(A, *, upper=False):
    factor = cholesky_or_nan(symmetric_of(A, upper))
    return factor.mH if upper else factor


def _solve(matrix, B, *, left=True):
    inverse = inverse_or_nan(matrix)
    if B.ndim == 1 or B.shape == matrix.shape[:-1]:
        return (inverse @ B[..., None])[..., 0]
    return inverse @ B if left else B @ inverse


def _cholesky_inverse(factor, upper=False):
    # The inverse of F Fᴴ has the condition number of F squared.
    factor = factor.triu() if upper else factor.tril()
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    inverse = torch.linalg.solve_triangular(factor, eye, upper=upper)
    return inverse @ inverse.mH if upper else inverse.mH @ inverse


def _eigh(A, UPLO="L"):
    """Eigenvalues and vectors, from steps of Ogita and Aishima's refinement.

    Each squares the error, so that three, begun at the constant result of torch, have the
    derivatives up to order seven; torch's own are NaN in reverse mode over nested forward mode.
    Where eigenvalues are equal, but for rounding, there are none: NaN.
    """
    triangle = A.tril(-1) if UPLO.upper() == "L" else A.triu(1)
    A = triangle + triangle.mH + torch.diag_embed(_real_diagonal(A))
    if A.numel() == 0:
        return torch.linalg.eigh(A)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    values, vectors = torch.linalg.eigh(A.detach(), UPLO)  # the signs of torch
    least = 8 * len(eye) * torch.finfo(values.dtype).eps * values.abs().amax(-1)[..., None, None]
    equal = ((values[..., None, :] - values[..., :, None]).abs() <= least) & (eye == 0)
    for _ in range(3):
        rest = eye - vectors.mH @ vectors
        rotated = vectors.mH @ A @ vectors
        values = _real_diagonal(rotated) / (1 - _real_diagonal(rest))
        gaps = values[..., None, :] - values[..., :, None]
        mixed = _quotient(rotated + values[..., None, :] * rest, gaps + eye, equal)
        vectors = vectors + vectors @ torch.where(eye == 1, rest / 2, mixed)
    return torch.return_types.linalg_eigh((values, vectors))


def _quotient(numerator, denominator, singular):
    """The quotient; 0 with derivatives NaN where ``singular``."""
    zero = torch.where(singular, 0 * numerator, 1).sqrt()
    return torch.where(singular, zero, numerator / torch.where(singular, 1, denominator))


def _real_diagonal(A):
    diagonal = torch.diagonal(A, dim1=-2, dim2=-1)
    return diagonal.real if A.is_complex() else diagonal


def _eigvalsh(A, UPLO="L"):
    return _eigh(A, UPLO).eigenvalues


MATRIX_FUNCTIONS = {
    torch.det: _det,
    torch.linalg.det: _det,
    torch.Tensor.det: _det,
    torch.slogdet: _slogdet,
    torch.linalg.slogdet: _slogdet,
    torch.Tensor.slogdet: _slogdet,
    torch.logdet: _logdet,
    torch.Tensor.logdet: _logdet,
    torch.linalg.solve: _solve,
    torch.linalg.inv: inverse_or_nan,
    torch.inverse: inverse_or_nan,
    torch.Tensor.inverse: inverse_or_nan,
    torch.linalg.cholesky: _cholesky,
    torch.cholesky_inverse: _cholesky_inverse,
    torch.Tensor.cholesky_inverse: _cholesky_inverse,
    torch.linalg.eigh: _eigh,
    torch.linalg.eigvalsh: _eigvalsh,
}
