"""Products, norms and deviations from primitives, for :mod:`curvcore.providers.primitives`."""

import math

import torch
import torch.nn.functional as F
from torch.overrides import resolve_name

from curvcore.errors import MissingRuleError

# --- products: torch divides by the entries, which may be zero ----------------------------------


def product(x, dim=None, keepdim=False, *, dtype=None):
    """∏ x over an axis, or all of x, in order: what does not overflow in torch does not here."""
    x = x if dtype is None else x.to(dtype)
    x, dim = (x.flatten(), 0) if dim is None else (x, dim)
    if not _is_differentiable(x):
        return torch.prod(x, dim, keepdim)
    if x.ndim == 0:
        return x.clone()
    if x.shape[dim] == 0:
        return x.sum(dim, keepdim=keepdim) + 1
    total, *factors = x.unbind(dim)
    for factor in factors:
        total = total * factor
    return total.unsqueeze(dim) if keepdim else total


def _cumprod(x, dim, *, dtype=None):
    x = x if dtype is None else x.to(dtype)
    if not _is_differentiable(x):
        return torch.cumprod(x, dim)
    if x.ndim == 0 or x.shape[dim] == 0:
        return x.clone()
    products = list(x.unbind(dim))
    for n in range(1, len(products)):
        products[n] = products[n - 1] * products[n]
    return torch.stack(products, dim)


def _is_differentiable(x):
    """Whether there are derivatives; torch widens integers."""
    return x.is_floating_point() or x.is_complex()


# --- norms, and what is measured by them --------------------------------------------------------


def _of_torch(function, x, ord, dim, keepdim, dtype):
    """A norm of an order of which torch's own derivatives are right."""
    if not isinstance(x, torch.Tensor):
        raise MissingRuleError(
            f"derivatives='fused' has no rule for {resolve_name(function)} of order {ord!r}. "
            "Write derivatives='autodiff', or register a rule: see curvcore.rules."
        )
    return function(x, ord, dim, keepdim, dtype=dtype)


def _matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    if ord != "fro":
        return _of_torch(torch.linalg.matrix_norm, A, ord, dim, keepdim, dtype)
    return _vector_norm(A, 2, dim, keepdim, dtype=dtype)


def _vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    if ord in (0, math.inf, -math.inf):
        return _of_torch(torch.linalg.vector_norm, x, ord, dim, keepdim, dtype)
    x = x if dtype is None else x.to(dtype)
    dim = tuple(range(x.ndim)) if dim is None else dim
    if ord in (2, "fro", None):
        squares = x.real.square() + x.imag.square() if x.is_complex() else x.square()
        return squares.sum(dim, keepdim=keepdim).sqrt()
    return x.abs().pow(ord).sum(dim, keepdim=keepdim).pow(1 / ord)


def _linalg_norm(x, ord=None, dim=None, keepdim=False, *, dtype=None):
    matrix = (dim is None and x.ndim == 2) or (isinstance(dim, (tuple, list)) and len(dim) == 2)
    if ord is not None and ord != "fro" and matrix:
        return _of_torch(torch.linalg.norm, x, ord, dim, keepdim, dtype)
    return _vector_norm(x, ord, dim, keepdim, dtype=dtype)


def _norm(x, p="fro", dim=None, keepdim=False, dtype=None, out=None):
    if isinstance(p, str) and p != "fro":
        return _of_torch(torch.linalg.norm, x, p, dim, keepdim, dtype)
    return _vector_norm(x, p, dim, keepdim, dtype=dtype)


def _std(x, *args, **options):
    return torch.var(x, *args, **options).sqrt()


def _std_mean(x, *args, **options):
    variance, mean = torch.var_mean(x, *args, **options)
    return variance.sqrt(), mean


def _normalize(x, p=2.0, dim=1, eps=1e-12, out=None):
    return x / _vector_norm(x, p, dim, keepdim=True).clamp_min(eps)


def _renorm(x, p, dim, maxnorm):
    others = [axis for axis in range(x.ndim) if axis != dim % x.ndim]
    long = _vector_norm(x, p, others, keepdim=True) > maxnorm
    lengths = _vector_norm(torch.where(long, x, 1), p, others, keepdim=True)
    return torch.where(long, x * (maxnorm / (lengths + 1e-7)), x)


def _cosine_similarity(x1, x2, dim=1, eps=1e-8):
    shape = torch.broadcast_shapes(x1.shape, x2.shape)
    vectors = [x.broadcast_to(shape) for x in (x1, x2)]
    # Lengths first, as torch does: products of long vectors overflow.
    one, other = [x / _vector_norm(x, 2, dim, keepdim=True).clamp_min(eps) for x in vectors]
    return (one * other).sum(dim)


def _pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    return _vector_norm(x1 - x2 + eps, p, -1, keepdim)


def _cdist(x1, x2, p=2.0, compute_mode=None):
    return _vector_norm(x1[..., :, None, :] - x2[..., None, :, :], p, -1)


REDUCTIONS = {
    torch.prod: product,
    torch.Tensor.prod: product,
    torch.cumprod: _cumprod,
    torch.Tensor.cumprod: _cumprod,
    torch.linalg.matrix_norm: _matrix_norm,
    torch.cdist: _cdist,
    torch.norm: _norm,
    torch.Tensor.norm: _norm,
    torch.linalg.norm: _linalg_norm,
    torch.linalg.vector_norm: _vector_norm,
    torch.std: _std,
    torch.Tensor.std: _std,
    torch.std_mean: _std_mean,
    torch.renorm: _renorm,
    torch.Tensor.renorm: _renorm,
    F.normalize: _normalize,
    F.cosine_similarity: _cosine_similarity,
    torch.cosine_similarity: _cosine_similarity,
    F.pairwise_distance: _pairwise_distance,
    torch.pairwise_distance: _pairwise_distance,
}
