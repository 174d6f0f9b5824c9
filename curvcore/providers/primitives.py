"""Watch a decoder's operations: swap those whose nested derivatives are wrong in torch, refuse
those that have no derivative at a point, remember those that have kinks.

Each swap below replaces a function by the same function written from primitives, because nested
forward mode is wrong (silently: layer_norm, instance_norm, det, slogdet, logdet, solve,
cholesky_inverse) or missing (silu, mish, logit without grad mode, glu, cdist, fused attention) in
torch 2.13. ``verification`` shows each fault live, against finite differences.
"""

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode, resolve_name

from curvcore.errors import RowsNotIndependentError


class PrimitiveOperations(TorchFunctionMode):
    """Within this context torch functions are safe to differentiate repeatedly.

    Attributes:
        operation: name of the torch function called last.
        kinks: names of the piecewise functions met.
    """

    def __init__(self):
        super().__init__()
        self.operation = None
        self.kinks = set()

    def __enter__(self):
        self._attention = sdpa_kernel(SDPBackend.MATH)
        self._attention.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._attention.__exit__(*exception)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = resolve_name(function)
        if name and not name.endswith("__get__"):
            self.operation = name
        if function in _ROW_MIXING:
            _ROW_MIXING[function](*args, **kwargs)
        if function in _KINKED:
            self.kinks.add(function.__name__.strip("_"))
        return _PRIMITIVES.get(function, function)(*args, **kwargs)


# --- the same functions, from primitives ------------------------------------------------------


def _standardise(x, dims, eps):
    centred = x - x.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    normalised = _standardise(x, tuple(range(-len(normalized_shape), 0)), eps)
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
    normalised = _standardise(x, tuple(range(2, x.ndim)), eps)
    channels = (-1,) + (1,) * (x.ndim - 2)
    normalised = normalised if weight is None else normalised * weight.reshape(channels)
    return normalised if bias is None else normalised + bias.reshape(channels)


def _silu(x, inplace=False):
    return x * torch.sigmoid(x)


def _mish(x, inplace=False):
    return x * torch.tanh(F.softplus(x))


def _glu(x, dim=-1):
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _logit(x, eps=None):
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return torch.log(x) - torch.log1p(-x)


def _slogdet(matrix):
    permutation, _, upper = torch.linalg.lu(matrix)
    diagonal = torch.diagonal(upper, dim1=-2, dim2=-1)
    sign = torch.linalg.slogdet(permutation.detach()).sign * diagonal.sign().prod(-1)
    return torch.return_types.linalg_slogdet((sign, diagonal.abs().log().sum(-1)))


def _det(matrix):
    permutation, _, upper = torch.linalg.lu(matrix)
    sign = torch.linalg.slogdet(permutation.detach()).sign
    return sign * torch.diagonal(upper, dim1=-2, dim2=-1).prod(-1)


def _logdet(matrix):
    sign, logarithm = _slogdet(matrix)
    return torch.where(sign > 0, logarithm, torch.nan)


def _solve(matrix, right, *, left=True):
    inverse = torch.linalg.inv(matrix)
    if right.ndim == 1 or right.shape == matrix.shape[:-1]:
        return (inverse @ right[..., None])[..., 0]
    return inverse @ right if left else right @ inverse


def _cholesky_inverse(factor, upper=False):
    gram = factor.mT @ factor if upper else factor @ factor.mT
    return torch.linalg.inv(gram)


def _cdist(x, y, p=2.0, compute_mode=None):
    return torch.linalg.vector_norm(x[..., :, None, :] - y[..., None, :, :], p, dim=-1)


_PRIMITIVES = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.silu: _silu,
    F.mish: _mish,
    F.glu: _glu,
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
    torch.cdist: _cdist,
}


# --- functions of the batch, not of a point ---------------------------------------------------


def _refuse_batch_norm(x, mean, var, weight=None, bias=None, training=False, *rest, **options):
    if training:
        raise RowsNotIndependentError(
            "The decoder's batch_norm uses the statistics of the batch, so a row's output depends "
            "on the other rows and has no curvature of its own. Call decoder.eval(), with "
            "track_running_stats=True, or use LayerNorm or GroupNorm."
        )


def _refuse_dropout(x, p=0.5, training=True, inplace=False):
    if training and p > 0:
        raise RowsNotIndependentError(
            f"The decoder applies dropout with p = {p}: its output is random. "
            "Call decoder.eval() before asking for curvature."
        )


_ROW_MIXING = {F.batch_norm: _refuse_batch_norm} | dict.fromkeys(
    (
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.alpha_dropout,
        F.feature_alpha_dropout,
    ),
    _refuse_dropout,
)

_KINKED = {
    F.relu,
    torch.relu,
    torch.relu_,
    torch.Tensor.relu,
    torch.Tensor.relu_,
    F.leaky_relu,
    F.relu6,
    F.hardtanh,
    F.hardsigmoid,
    F.hardswish,
    F.hardshrink,
    F.softshrink,
    F.prelu,
    torch.prelu,
    F.rrelu,
    F.threshold,
    F.max_pool1d,
    F.max_pool2d,
    F.max_pool3d,
    torch.abs,
    torch.Tensor.abs,
    torch.clamp,
    torch.Tensor.clamp,
    torch.maximum,
    torch.minimum,
}
