"""Watch a decoder's operations: swap those whose nested derivatives are wrong in torch, refuse
those that have no derivative at a point.

Each swap below replaces a function by the same function written from primitives, because in torch
2.13 its nested forward mode is wrong (silently: layer_norm, instance_norm, det, slogdet, logdet,
solve, cholesky_inverse) or missing (silu, mish, logit without grad mode, glu, cdist, fused
attention), or a backward pass over it is NaN or fails (eigh; sinc, prod and cumprod at zero;
matrix_norm). ``verification`` shows each fault of forward mode live, against finite differences.
"""

import math

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode, resolve_name

from curvcore.errors import RowsNotIndependentError


class PrimitiveOperations(TorchFunctionMode):
    """Within this context torch functions are safe to differentiate repeatedly.

    Attributes:
        operation: name of the torch function called last.
    """

    def __init__(self):
        super().__init__()
        self.operation = "its first operation"

    def __enter__(self):
        self._attention = sdpa_kernel(SDPBackend.MATH)
        self._attention.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._attention.__exit__(*exception)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = resolve_name(function)
        if name and not name.endswith("__get__"):
            self.operation = name
        if function in _ROW_MIXING:
            _ROW_MIXING[function](*args, **kwargs)
        if function not in PRIMITIVES:
            return function(*args, **kwargs)
        for first in ("input", "A"):
            if first in kwargs:
                args = (kwargs.pop(first), *args)
        return PRIMITIVES[function](*args, **kwargs)


# --- the same functions, from primitives ------------------------------------------------------


def standardise(x, dims, eps):
    """(x − mean)/√(var + eps) over ``dims``, with the biased variance."""
    centred = x - x.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    if tuple(x.shape[-len(normalized_shape) :]) != tuple(normalized_shape):
        raise RuntimeError(f"layer_norm of {tuple(x.shape)} over {tuple(normalized_shape)}")
    normalised = standardise(x, tuple(range(-len(normalized_shape), 0)), eps)
    normalised = normalised if weight is None else normalised * weight
    return normalised if bias is None else normalised + bias


def _instance_norm(
    x,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    if not use_input_stats:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return affine_by_channel(standardise(x, tuple(range(2, x.ndim)), eps), weight, bias)


def affine_by_channel(x, weight, bias):
    """weight · x + bias with one weight and bias for each index of axis 1, where given."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _silu(x, inplace=False):
    return x * torch.sigmoid(x)  # forward mode knows no in-place; a decoder uses what is returned


def _mish(x, inplace=False):
    return x * torch.tanh(F.softplus(x))


def _celu(x, alpha=1.0, inplace=False):
    # torch rounds alpha to float32 in its derivatives.
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp_max(x, 0) / alpha))


def _glu(x, dim=-1):
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _logit(x, eps=None):
    x = x if eps is None else torch.clamp_max(torch.clamp_min(x, eps), 1 - eps)
    return torch.log(x) - torch.log1p(-x)


def _slogdet(matrix):
    permutation, _, upper = torch.linalg.lu(matrix)
    diagonal = torch.diagonal(upper, dim1=-2, dim2=-1)
    sign = torch.linalg.slogdet(permutation.detach()).sign * diagonal.sgn().prod(-1)
    return torch.return_types.linalg_slogdet((sign, diagonal.abs().log().sum(-1)))


def _det(matrix):
    permutation, _, upper = torch.linalg.lu(matrix)
    sign = torch.linalg.slogdet(permutation.detach()).sign
    return sign * torch.diagonal(upper, dim1=-2, dim2=-1).prod(-1)


def _logdet(matrix):
    sign, logarithm = _slogdet(matrix)
    if matrix.is_complex():
        return logarithm + sign.log()
    return torch.where(sign < 0, torch.nan, logarithm)


def _solve(matrix, B, *, left=True):
    inverse = torch.linalg.inv(matrix)
    if B.ndim == 1 or B.shape == matrix.shape[:-1]:
        return (inverse @ B[..., None])[..., 0]
    return inverse @ B if left else B @ inverse


def _cholesky_inverse(factor, upper=False):
    factor = factor.triu() if upper else factor.tril()
    return torch.linalg.inv(factor.mH @ factor if upper else factor @ factor.mH)


def _eigh(A, UPLO="L"):
    """Eigenvalues and vectors, from steps of Ogita and Aishima's refinement.

    Each squares the error, so that three, begun at the constant result of torch, have the
    derivatives up to order seven; torch's own are NaN in reverse mode over nested forward mode.
    Where eigenvalues are equal, but for rounding, there are none: NaN.
    """
    triangle = A.tril(-1) if UPLO.upper() == "L" else A.triu(1)
    A = triangle + triangle.mH + torch.diag_embed(_real_diagonal(A))
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    values, vectors = torch.linalg.eigh(A.detach())
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


def _sinc(x):
    # torch's derivatives at 0 are NaN in reverse mode; near it the quotient loses digits.
    angle = math.pi * x
    near = angle.abs() < 1
    square = torch.where(near, angle, 0).square()
    series = sum((-1) ** k / math.factorial(2 * k + 1) * square**k for k in range(1, 11)) + 1
    far = torch.where(near, 1, angle)
    return torch.where(near, series, far.sin() / far)


def _has_factors(x, dim):
    """Whether there is something to multiply, and to differentiate; torch widens integers."""
    return x.ndim > 0 and x.shape[dim] > 0 and (x.is_floating_point() or x.is_complex())


def _prod(x, dim=None, keepdim=False, *, dtype=None):
    # By halves; torch divides by the entries, which may be zero.
    x = x if dtype is None else x.to(dtype)
    x, dim = (x.flatten(), 0) if dim is None else (x, dim)
    if not _has_factors(x, dim):
        return torch.prod(x, dim, keepdim)
    while (size := x.shape[dim]) > 1:
        pairs = x.narrow(dim, 0, size // 2) * x.narrow(dim, size // 2, size // 2)
        x = torch.cat([pairs, x.narrow(dim, size - size % 2, size % 2)], dim)
    return x if keepdim else x.squeeze(dim)


def _cumprod(x, dim, *, dtype=None):
    x = x if dtype is None else x.to(dtype)
    if not _has_factors(x, dim):
        return torch.cumprod(x, dim)
    products = list(x.unbind(dim))
    for n in range(1, len(products)):
        products[n] = products[n - 1] * products[n]
    return torch.stack(products, dim)


def _matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    if ord != "fro":
        return torch.linalg.matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    return _vector_norm(A, 2, dim, keepdim, dtype=dtype)


def _vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    x = x if dtype is None else x.to(dtype)
    dim = tuple(range(x.ndim)) if dim is None else dim
    if ord in (2, "fro", None):
        squares = x.real.square() + x.imag.square() if x.is_complex() else x.square()
        return squares.sum(dim, keepdim=keepdim).sqrt()
    if ord in (0, math.inf, -math.inf):
        return torch.linalg.vector_norm(x, ord, dim, keepdim)
    return x.abs().pow(ord).sum(dim, keepdim=keepdim).pow(1 / ord)


def _linalg_norm(x, ord=None, dim=None, keepdim=False, *, dtype=None):
    matrix = (dim is None and x.ndim == 2) or (isinstance(dim, (tuple, list)) and len(dim) == 2)
    if ord is not None and ord != "fro" and matrix:
        return torch.linalg.norm(x, ord, dim, keepdim, dtype=dtype)
    return _vector_norm(x, ord, dim, keepdim, dtype=dtype)


def _norm(x, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    if isinstance(p, str) and p != "fro":
        return torch.linalg.norm(x, p, dim, keepdim, dtype=dtype)
    return _vector_norm(x, p, dim, keepdim, dtype=dtype)


def _std(x, *args, **options):
    return torch.var(x, *args, **options).sqrt()


def _std_mean(x, *args, **options):
    variance, mean = torch.var_mean(x, *args, **options)
    return variance.sqrt(), mean


def _normalize(x, p=2.0, dim=1, eps=1e-12, out=None):
    return x / _vector_norm(x, p, dim, keepdim=True).clamp_min(eps)


def _cosine_similarity(x, y, dim=1, eps=1e-8):
    lengths = [_vector_norm(v, 2, dim).clamp_min(eps) for v in (x, y)]
    return (x * y).sum(dim) / (lengths[0] * lengths[1])


def _pairwise_distance(x, y, p=2.0, eps=1e-6, keepdim=False):
    return _vector_norm(x - y + eps, p, -1, keepdim)


def _cdist(x, y, p=2.0, compute_mode=None):
    return _vector_norm(x[..., :, None, :] - y[..., None, :, :], p, -1)


PRIMITIVES = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.silu: _silu,
    F.mish: _mish,
    F.glu: _glu,
    F.celu: _celu,
    torch.celu: _celu,
    torch.logit: _logit,
    torch.Tensor.logit: _logit,
    torch.special.logit: _logit,
    torch.det: _det,
    torch.linalg.det: _det,
    torch.Tensor.det: _det,
    torch.slogdet: _slogdet,
    torch.linalg.slogdet: _slogdet,
    torch.Tensor.slogdet: _slogdet,
    torch.logdet: _logdet,
    torch.Tensor.logdet: _logdet,
    torch.linalg.solve: _solve,
    torch.cholesky_inverse: _cholesky_inverse,
    torch.Tensor.cholesky_inverse: _cholesky_inverse,
    torch.linalg.eigh: _eigh,
    torch.linalg.eigvalsh: _eigvalsh,
    torch.linalg.matrix_norm: _matrix_norm,
    torch.sinc: _sinc,
    torch.Tensor.sinc: _sinc,
    torch.special.sinc: _sinc,
    torch.prod: _prod,
    torch.Tensor.prod: _prod,
    torch.cumprod: _cumprod,
    torch.Tensor.cumprod: _cumprod,
    torch.cdist: _cdist,
    torch.norm: _norm,
    torch.Tensor.norm: _norm,
    torch.linalg.norm: _linalg_norm,
    torch.linalg.vector_norm: _vector_norm,
    torch.std: _std,
    torch.Tensor.std: _std,
    torch.std_mean: _std_mean,
    F.normalize: _normalize,
    F.cosine_similarity: _cosine_similarity,
    torch.cosine_similarity: _cosine_similarity,
    F.pairwise_distance: _pairwise_distance,
    torch.pairwise_distance: _pairwise_distance,
}


# --- functions of the batch, not of a point ---------------------------------------------------


def call_plainly(decoder, z):
    """decoder(z), on copies of a module's buffers, which it may write to in train mode."""
    # Without gradient torch takes a short way through transformers, good to 1e-4 on CUDA, and one
    # operation, in which :mod:`curvcore.providers.switches` could not see the activation.
    short = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        if not isinstance(decoder, torch.nn.Module) or isinstance(decoder, torch.jit.ScriptModule):
            return decoder(z)
        buffers = {name: buffer.clone() for name, buffer in decoder.named_buffers()}
        return torch.func.functional_call(decoder, buffers, (z,))
    finally:
        torch.backends.mha.set_fastpath_enabled(short)


def refuse_batch_norm(x, mean, var, weight=None, bias=None, training=False, *rest, **options):
    """Raise if batch_norm is called with the statistics of the batch."""
    if training:
        raise RowsNotIndependentError(
            "The decoder's batch_norm uses the statistics of the batch, so a row's output depends "
            "on the other rows and has no curvature of its own. Call decoder.eval(), with "
            "track_running_stats=True, or use LayerNorm or GroupNorm."
        )


def refuse_dropout(x, p=0.5, training=True, inplace=False):
    """Raise if dropout is active."""
    if training and p > 0:
        raise RowsNotIndependentError(
            f"The decoder applies dropout with p = {p}: its output is random. "
            "Call decoder.eval() before asking for curvature."
        )


_ROW_MIXING = {F.batch_norm: refuse_batch_norm} | dict.fromkeys(
    (
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.alpha_dropout,
        F.feature_alpha_dropout,
    ),
    refuse_dropout,
)
