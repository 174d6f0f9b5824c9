"""Watch a decoder's operations: swap those whose nested derivatives are wrong in torch, refuse
those that have no derivative at a point.

Each swap here, in :mod:`curvcore.providers.reductions`, :mod:`curvcore.providers.matrices`,
:mod:`curvcore.providers.recurrent` and :mod:`curvcore.providers.sampling` replaces a function by
the same function written from primitives, because in torch 2.13 its nested forward mode is wrong
(silently: layer_norm, instance_norm, det, slogdet, logdet, solve, cholesky_inverse) or missing
(silu, mish, logit without grad mode, glu, cdist, fused attention, recurrent layers, grid_sample),
or a backward pass over it is wrong (select_scatter; polar of negative lengths), NaN or fails (eigh;
sinc, prod and cumprod at zero; matrix_norm, renorm), or it ends the batch where it is undefined at
one point (inv, cholesky).
``verification`` shows each fault of forward mode live, against finite differences.
"""

import math
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode, resolve_name

from curvcore.errors import RowsNotIndependentError
from curvcore.providers.arguments import by_position
from curvcore.providers.checkpoints import PlainCheckpoints
from curvcore.providers.matrices import MATRIX_FUNCTIONS
from curvcore.providers.recurrent import RECURRENT
from curvcore.providers.reductions import REDUCTIONS
from curvcore.providers.sampling import SAMPLING


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
        self._checkpoints = PlainCheckpoints()
        self._checkpoints.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._checkpoints.__exit__(*exception)
        self._attention.__exit__(*exception)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = resolve_name(function)
        if name and not name.endswith("__get__") and not _is_of_transforms(sys._getframe(1)):
            self.operation = name
        if function in _ROW_MIXING:
            _ROW_MIXING[function](*args, **kwargs)
        if function in PRIMITIVES:
            args, kwargs = by_position(function, args, kwargs)
            return PRIMITIVES[function](*args, **kwargs)
        if function in IN_PLACE:
            (x, *args), kwargs = by_position(function, args, kwargs)
            return x.copy_(IN_PLACE[function](x.clone(), *args, **kwargs))  # derivatives need x
        return function(*args, **kwargs)


def _is_of_transforms(frame):
    """Whether torch.func calls a function there, and not the decoder."""
    while frame.f_globals.get("__name__") in ("torch.overrides", "torch._tensor"):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").startswith("torch._functorch")


# --- the same functions, from primitives ------------------------------------------------------


def _standardise(x, dims, eps):
    """(x − mean)/√(var + eps) over ``dims``, with the biased variance."""
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + eps).sqrt()


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    if tuple(x.shape[-len(normalized_shape) :]) != tuple(normalized_shape):
        raise RuntimeError(f"layer_norm of {tuple(x.shape)} over {tuple(normalized_shape)}")
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
    return _affine_by_channel(_standardise(x, tuple(range(2, x.ndim)), eps), weight, bias)


def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    grouped = x.reshape(x.shape[0], num_groups, -1)
    return _affine_by_channel(_standardise(grouped, (-1,), eps).reshape(x.shape), weight, bias)


def _rms_norm(x, normalized_shape, weight=None, eps=None):
    if eps is None:  # float32's in half precision too
        eps = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps
    dims = tuple(range(-len(normalized_shape), 0))
    normalised = x / (x.square().mean(dims, keepdim=True) + eps).sqrt()
    return normalised if weight is None else normalised * weight


def _affine_by_channel(x, weight, bias):
    """weight · x + bias with one weight and bias for each index of axis 1, where given."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _silu(x, inplace=False):
    if inplace:
        return x.copy_(_silu(x.clone()))  # derivatives need x
    return x * torch.sigmoid(x)


def _mish(x, inplace=False):
    if inplace:
        return x.copy_(_mish(x.clone()))
    return x * torch.tanh(F.softplus(x))


def _celu(x, alpha=1.0, inplace=False):
    if inplace:
        return x.copy_(_celu(x.clone(), alpha))
    # torch rounds alpha to float32 in its derivatives.
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp_max(x, 0) / alpha))


def _glu(x, dim=-1):
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


def _logit(x, eps=None):
    x = x if eps is None else torch.clamp_max(torch.clamp_min(x, eps), 1 - eps)
    return torch.log(x) - torch.log1p(-x)


def _sinc(x):
    # torch's derivatives at 0 are NaN in reverse mode; near it the quotient loses digits.
    angle = math.pi * x
    near = angle.abs() < 1
    square = torch.where(near, angle, 0).square()
    series = sum((-1) ** k / math.factorial(2 * k + 1) * square**k for k in range(1, 11)) + 1
    far = torch.where(near, 1, angle)
    return torch.where(near, series, far.sin() / far)


def _polar(abs, angle):
    # torch's derivative takes abs for positive.
    return torch.complex(abs * torch.cos(angle), abs * torch.sin(angle))


def _select_scatter(x, src, dim, index):
    # A backward pass over torch's forward mode gives x the gradient of what was replaced.
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    is_chosen = torch.arange(x.shape[dim], device=x.device) == index % x.shape[dim]
    return torch.where(is_chosen.reshape(shape), src.unsqueeze(dim), x)


def _nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    # torch's derivatives at what is not finite are NaN, not 0.
    return torch.where(x.isfinite(), x, torch.nan_to_num(x.detach(), nan, posinf, neginf))


# --- of these ``vmap`` has no rule --------------------------------------------------------------


def _one_hot(tensor, num_classes=-1):
    if num_classes < 1:
        return F.one_hot(tensor, num_classes)
    return (tensor[..., None] == torch.arange(num_classes, device=tensor.device)).long()


def _equal(input, other):
    try:
        return torch.equal(input, other)
    except RuntimeError:  # the same at some points, perhaps, and not at others
        return input is other


# --- of torch's derivatives of these, factors leave the range of numbers ----------------------


def _rsqrt(x):
    return x.sqrt().reciprocal()  # not by the cube of the result


def _pow(x, exponent):
    """x^p, at x/|x| and |x|, which is held constant."""
    whole = isinstance(exponent, int) and exponent >= 0
    number = isinstance(x, torch.Tensor) and not isinstance(exponent, torch.Tensor)
    if whole or not number or not (x.is_floating_point() or x.is_complex()):
        return torch.pow(x, exponent)
    size = magnitude(x)
    return torch.pow(x / size, exponent) * torch.pow(size, exponent)


def magnitude(x):
    """|x| > 0, without gradient; 1 where that is no number to divide by."""
    size = x.detach().abs()
    return torch.where((size > 0) & (size < torch.inf), size, 1)


PRIMITIVES = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.group_norm: _group_norm,
    torch.group_norm: _group_norm,
    F.rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
    F.silu: _silu,
    F.mish: _mish,
    F.glu: _glu,
    F.celu: _celu,
    torch.celu: _celu,
    torch.logit: _logit,
    torch.Tensor.logit: _logit,
    torch.special.logit: _logit,
    torch.rsqrt: _rsqrt,
    torch.Tensor.rsqrt: _rsqrt,
    torch.pow: _pow,
    torch.Tensor.pow: _pow,
    torch.Tensor.__pow__: _pow,
    torch.polar: _polar,
    torch.select_scatter: _select_scatter,
    torch.Tensor.select_scatter: _select_scatter,
    torch.sinc: _sinc,
    torch.Tensor.sinc: _sinc,
    torch.special.sinc: _sinc,
    torch.nan_to_num: _nan_to_num,
    torch.Tensor.nan_to_num: _nan_to_num,
    F.one_hot: _one_hot,
    torch.equal: _equal,
    torch.Tensor.equal: _equal,
    **REDUCTIONS,
    **MATRIX_FUNCTIONS,
    **RECURRENT,
    **SAMPLING,
}

IN_PLACE = {
    torch.celu_: _celu,
    torch.logit_: _logit,
    torch.Tensor.logit_: _logit,
    torch.sinc_: _sinc,
    torch.Tensor.sinc_: _sinc,
    torch.Tensor.cumprod_: PRIMITIVES[torch.cumprod],
    torch.Tensor.renorm_: PRIMITIVES[torch.renorm],
}


# --- functions of the batch, not of a point ---------------------------------------------------


def call_plainly(decoder, z):
    """decoder(z), on copies of a module's buffers, which it may write to in train mode."""
    # Without gradient torch takes a short way through transformers, good to 1e-4 on CUDA, and one
    # operation, in which :mod:`curvcore.providers.switches` could not see the activation.
    short = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with PlainCheckpoints(reentrant_only=True):  # which warns where there is no gradient
            return _called(decoder, z)
    except torch.linalg.LinAlgError:  # of one point, perhaps: by primitives it is NaN there
        with PrimitiveOperations():
            return _called(decoder, z)
    finally:
        torch.backends.mha.set_fastpath_enabled(short)


def _called(decoder, z):
    if not isinstance(decoder, torch.nn.Module) or isinstance(decoder, torch.jit.ScriptModule):
        return decoder(z)
    buffers = {name: buffer.clone() for name, buffer in decoder.named_buffers()}
    return torch.func.functional_call(decoder, buffers, (z,))


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
