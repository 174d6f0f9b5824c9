"""The number seam: the few operations that tensor formulas need, for every kind of number.

The same formula source runs on torch tensors and on numpy object arrays whose entries are sympy
expressions, elements of a rational function field, ``fractions.Fraction`` or ``flint.arb`` balls.
There is no geometry in here.

Rules for formulas written on top of it: divide by 2 rather than multiply by 0.5 (exact numbers
stay exact), always write the ``->`` of an einsum, no in-place updates. A full contraction of an
object array is a bare number.
"""

import sys

import numpy as np
import torch

from curvcore.constants import identity

# Above about 128, torch 2.13 factorises batches of matrices wrongly on CPUs, or not at all, once
# torch.set_num_threads has been called; Cholesky's factorisation is right.
_LARGEST_LU = 64

# Closed forms beat batched LAPACK up to this size, and differentiate safely to any order.
_LARGEST_CLOSED_FORM = 2
HALF_PRECISION = (torch.float16, torch.bfloat16)


def einsum(equation, *operands):
    """Contract ``operands``: torch tensors, or numpy object arrays of exact numbers."""
    if isinstance(operands[0], torch.Tensor):
        return torch.einsum(equation, *operands)
    return np.einsum(equation, *operands)


def sqrt(number):
    """Square root, entry by entry."""
    return _elementary("sqrt", number)


def log(number):
    """Natural logarithm, entry by entry."""
    return _elementary("log", number)


def cholesky(matrix):
    """L with LLᵀ = A, symmetric (..., D, D); of torch tensors nothing certain where A > 0 fails."""
    if isinstance(matrix, torch.Tensor):
        return torch.linalg.cholesky_ex(matrix).L
    factor = np.zeros_like(matrix)
    for j in range(matrix.shape[-1]):
        before = factor[..., j, :j]
        column = matrix[..., j:, j] - einsum("...ik,...k->...i", factor[..., j:, :j], before)
        factor[..., j:, j] = column / sqrt(column[..., :1])
    return factor


def solve_lower(factor, columns):
    """L⁻¹B of L, lower triangular (..., D, D), and B (..., D, P)."""
    if isinstance(factor, torch.Tensor):
        return torch.linalg.solve_triangular(factor, columns, upper=False)
    solution = np.zeros_like(columns)
    for i in range(factor.shape[-1]):
        known = einsum("...k,...kp->...p", factor[..., i, :i], solution[..., :i, :])
        solution[..., i, :] = (columns[..., i, :] - known) / factor[..., i, i, None]
    return solution


def inverse(matrix):
    """Inverse of symmetric positive definite matrices (..., d, d).

    Torch tensors are equilibrated first, A = S C S with S = diag(A)^{1/2}, so that rescaling a
    coordinate, however much, costs no accuracy (van der Sluis, Numer. Math. 14, 1969).
    """
    if not isinstance(matrix, torch.Tensor):
        adjugate, determinant_ = _adjugate_and_determinant(matrix)
        return adjugate / _as_array(determinant_)[..., None, None]
    scale, correlation = _equilibrate(matrix)
    return _inverse_of_correlation(correlation) / (scale[..., :, None] * scale[..., None, :])


def determinant(matrix):
    """Determinant of symmetric positive definite matrices (..., d, d), equilibrated likewise."""
    if not isinstance(matrix, torch.Tensor):
        return _adjugate_and_determinant(matrix)[1]
    scale, correlation = _equilibrate(matrix)
    return scale.prod(-1).square() * _determinant_of_correlation(correlation)


def condition_number(matrix):
    """Spectral condition number of equilibrated torch matrices (..., d, d) -> (...).

    1 for a diagonal matrix; infinite where ``matrix`` is singular, indefinite or not finite, or so
    small that it has lost digits, or its inverse leaves the range of the dtype.
    """
    matrix = matrix.detach()
    _, correlation = _equilibrate(matrix)
    smallest, largest = _extreme_eigenvalues(correlation)
    condition = largest / smallest
    regular = smallest > 0
    if matrix.dtype not in HALF_PRECISION:
        lengths = torch.diagonal(matrix, dim1=-2, dim2=-1).amin(-1)
        regular = regular & (lengths > 4 * torch.finfo(matrix.dtype).tiny * condition)
    return torch.where(regular, condition, torch.inf)


def _extreme_eigenvalues(correlation):
    """The least and the greatest eigenvalue of symmetric matrices with unit diagonal, or NaN."""
    d = correlation.shape[-1]
    if d <= 2:
        one = correlation[..., 0, 0] * correlation[..., -1, -1]  # or NaN
        offset = correlation[..., 0, -1].abs() * (d - 1)
        return one - offset, one + offset
    if correlation.dtype in HALF_PRECISION:
        correlation = correlation.float()
    finite = torch.isfinite(correlation).flatten(-2).all(-1)
    regular = identity(d, correlation.dtype, correlation.device)
    eigenvalues = torch.linalg.eigvalsh(torch.where(finite[..., None, None], correlation, regular))
    return torch.where(finite, eigenvalues[..., 0], torch.nan), eigenvalues[..., -1]


def of_order_one(vectors):
    """Vectors (..., d) divided by their greatest entry: of planes they span the same ones."""
    if not isinstance(vectors, torch.Tensor):
        return vectors  # exact numbers have no range to leave
    greatest = vectors.detach().abs().amax(-1, keepdim=True)
    return vectors / torch.where(greatest > 0, greatest, 1)


def almost_orthonormal(matrix):
    """E and E⁻¹ with EᵀAE ≈ I for positive definite torch matrices A (..., d, d).

    By Cholesky factorisation of the equilibrated matrix; not finite where that fails.
    """
    if matrix.dtype in HALF_PRECISION:
        return tuple(factor.to(matrix.dtype) for factor in almost_orthonormal(matrix.float()))
    scale, correlation = _equilibrate(matrix)
    factor, inverted = _triangular_factor_and_inverse(correlation)
    return inverted.mT / scale[..., :, None], factor.mT * scale[..., None, :]


def _triangular_factor_and_inverse(correlation):
    """L and L⁻¹ with LLᵀ = C, where C has a diagonal of ones."""
    if correlation.shape[-1] <= _LARGEST_CLOSED_FORM:
        return _closed_triangular_factor_and_inverse(correlation)
    factor = torch.linalg.cholesky_ex(correlation).L
    one = identity(factor.shape[-1], factor.dtype, factor.device).expand_as(factor)
    return factor, torch.linalg.solve_triangular(factor, one, upper=False)


def _closed_triangular_factor_and_inverse(correlation):
    if correlation.shape[-1] == 1:
        return correlation, 1 / correlation
    cosine = correlation[..., 1, 0]
    sine = ((1 - cosine) * (1 + cosine)).sqrt()
    one, zero = torch.ones_like(cosine), torch.zeros_like(cosine)
    factor = torch.stack([one, zero, cosine, sine], -1)
    inverted = torch.stack([one, zero, -cosine / sine, 1 / sine], -1)
    return factor.unflatten(-1, (2, 2)), inverted.unflatten(-1, (2, 2))


def _equilibrate(matrix):
    # A strided square root is several times slower than the copy.
    scale = torch.diagonal(matrix, dim1=-2, dim2=-1).contiguous().sqrt()
    return scale, matrix / (scale[..., :, None] * scale[..., None, :])


def _inverse_of_correlation(matrix):
    if matrix.shape[-1] == 2:
        first, offset, last = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 1]
        adjugate = torch.stack([last, -offset, -offset, first], -1).unflatten(-1, (2, 2))
        return adjugate / (first * last - offset * offset)[..., None, None]
    if matrix.shape[-1] <= _LARGEST_CLOSED_FORM:
        adjugate, determinant_ = _adjugate_and_determinant(matrix)
        return adjugate / determinant_[..., None, None]
    if matrix.dtype in HALF_PRECISION:
        return _inverse_of_correlation(matrix.float()).to(matrix.dtype)
    if matrix.shape[-1] > _LARGEST_LU:
        factor, info = torch.linalg.cholesky_ex(matrix)
        factor = torch.where((info > 0)[..., None, None], torch.nan, factor)
        one = identity(factor.shape[-1], factor.dtype, factor.device).expand_as(factor)
        inverted = torch.linalg.solve_triangular(factor, one, upper=False)
        return inverted.mT @ inverted
    # inv_ex rather than inv: a singular matrix must give non-finite numbers here, not an error,
    # and solve, det and cholesky_inverse have faulty higher derivatives in torch 2.13.
    return torch.linalg.inv_ex(matrix).inverse


def _determinant_of_correlation(matrix):
    if matrix.shape[-1] <= _LARGEST_CLOSED_FORM:
        return _adjugate_and_determinant(matrix)[1]
    if matrix.dtype in HALF_PRECISION:
        return _determinant_of_correlation(matrix.float()).to(matrix.dtype)
    factor = torch.linalg.cholesky_ex(matrix).L
    return torch.diagonal(factor, dim1=-2, dim2=-1).prod(-1).square()


def _adjugate_and_determinant(matrix):
    """Faddeev–LeVerrier: M_1 = I, M_{k+1} = A M_k − (tr A M_k / k) I, for every kind of number.

    adj A = (−1)^{d−1} M_d and det A = (−1)^{d−1} tr(A M_d)/d. No division but by integers.
    """
    d = matrix.shape[-1]
    one = _identity_like(matrix)
    term, product = one, matrix
    for k in range(1, d):
        term = product - _times_identity(einsum("...ii->...", product) / k, one)
        product = einsum("...ij,...jk->...ik", matrix, term)
    sign = (-1) ** (d - 1)
    return sign * term, sign * einsum("...ii->...", product) / d


def _identity_like(matrix):
    d = matrix.shape[-1]
    if isinstance(matrix, torch.Tensor):
        return identity(d, matrix.dtype, matrix.device).expand_as(matrix)
    return np.array([[int(i == j) for j in range(d)] for i in range(d)], dtype=object)


def _times_identity(number, one):
    if isinstance(number, torch.Tensor):
        return number[..., None, None] * one
    return one * _as_array(number)[..., None, None]


def _as_array(number):
    """A bare exact number as an array of it."""
    return number if hasattr(number, "shape") else np.asarray(number, dtype=object)


def _elementary(name, number):
    if isinstance(number, torch.Tensor):
        return getattr(torch, name)(number)
    if isinstance(number, np.ndarray):
        return np.frompyfunc(lambda entry: _elementary(name, entry), 1, 1)(number)
    sympy = sys.modules.get("sympy")  # a sympy number exists only where sympy is imported already
    if sympy is not None and isinstance(number, sympy.Basic):
        return getattr(sympy, name)(number)
    return getattr(number, name)()
