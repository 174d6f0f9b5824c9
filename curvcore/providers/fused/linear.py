"""Rules for linear and affine functions: layers without activation, shapes, sums."""

import torch
import torch.nn.functional as F

from curvcore.providers import primitives
from curvcore.providers.fused.jet_tensor import JetTensor
from curvcore.providers.fused.readout import AffineMap
from curvcore.providers.fused.registry import (
    applied,
    composite,
    is_jet,
    linear,
    linear_rule,
    named,
    over_channels,
    rowwise,
    rowwise_linear,
)
from curvcore.providers.fused.views import sharing

# --- layers: the same on every row, an offset that derivatives do not see -----------------------


@composite(F.linear)
def _linear(x, weight, bias=None):
    if is_jet(weight) or is_jet(bias) or weight.ndim != 2:
        product = x @ (weight.mT if weight.ndim > 1 else weight)
        return product if bias is None else product + bias
    return x.mapped(AffineMap(weight, bias))


def _convolution(function):
    def rule(x, weight, bias=None, *args, **kwargs):
        value = function(x.value, weight, bias, *args, **kwargs)
        return x.like(value, rowwise(function, x.channels, weight, None, *args, **kwargs))

    return rule


for _function in (
    *named("conv1d", "conv2d", "conv3d"),
    *named("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
):
    composite(_function)(_convolution(_function))


@composite(F.pad)
def _pad(x, pad, mode="constant", value=None):
    padded = F.pad(x.value, pad, mode, value)
    return x.like(padded, rowwise(F.pad, x.channels, pad, mode, 0 if value is not None else None))


rowwise_linear(
    F.interpolate,
    *named("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *named("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *named("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    F.fold,
    F.unfold,
)

# --- shapes and sums ----------------------------------------------------------------------------

linear(
    *named("ravel"),
    *named("squeeze", "unsqueeze", "expand", "broadcast_to", "repeat", "tile", "repeat_interleave"),
    *named("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "t", "adjoint"),
    *named("__getitem__", "narrow", "select", "index_select", "take_along_dim", "gather"),
    *named("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "unfold"),
    *named("sum", "mean", "cumsum", "diff", "trace", "diagonal", "diag_embed", "tril", "triu"),
    *named("flip", "fliplr", "flipud", "roll", "rot90"),
    *named("neg", "negative", "__neg__", "positive", "clone", "contiguous"),
    *named("float", "double"),
    *named("view_as_real", "view_as_complex", "conj", "resolve_conj", "resolve_neg"),
    *named("deg2rad", "rad2deg"),
    torch.real,
    torch.imag,
    torch.fft.hfft,
    torch.fft.fftshift,
    torch.fft.ifftshift,
    *(
        getattr(torch.fft, n + t + m)
        for n in ("", "i")
        for t in ("fft", "rfft")
        for m in ("", "2", "n")
    ),
)


def _reshaping(function):
    at_once = linear_rule(function)

    def rule(x, *args, **kwargs):
        """A layer that is not computed yet need not be, as long as rows stay rows."""
        if x.is_pending:
            shape = function(torch.empty(x.shape, device="meta"), *args, **kwargs).shape
            if x.pending[0].ndim == 2 and shape[0] == x.shape[0]:
                return x.reshaped(shape)
        return at_once(x, *args, **kwargs)

    return rule


for _function in named("reshape", "view", "flatten", "unflatten"):
    composite(_function)(sharing(_function, _reshaping(_function)))


@composite(*named("to", "type_as"))
def _to(x, *args, **kwargs):
    """Convert a jet, or a constant to the dtype and device of a jet."""
    args = tuple(a.value if is_jet(a) else a for a in args)
    if not is_jet(x):
        return x.to(*args, **kwargs)
    value = x.value.to(*args, **kwargs)
    return x if value is x.value else x.like(value, x.channels.to(*args, **kwargs))


@composite(*named("view_as", "reshape_as"))
def _reshape_as(x, other):
    return x.reshape(other.shape)


@composite(*named("expand_as"))
def _expand_as(x, other):
    return x.expand(other.shape)


@composite(torch.broadcast_tensors)
def _broadcast_tensors(*tensors):
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    return tuple(x.expand(shape) for x in tensors)


# --- sums of several jets -----------------------------------------------------------------------


@composite(*named("add", "__add__", "__radd__"))
def _add(a, b, *, alpha=1):
    if not is_jet(a):
        return _shifted(b if alpha == 1 else b * alpha, a)
    if not is_jet(b):
        return _shifted(a, b if alpha == 1 else b * alpha)
    value = torch.add(a.value, b.value, alpha=alpha)
    a, b = _broadcast(a, value.shape), _broadcast(b, value.shape)
    short, long = sorted((a.channels, alpha * b.channels), key=len)
    if len(short) == len(long):
        return a.like(value, short + long)
    head = short + long[: len(short)]
    tail = long[len(short) :]
    return a.like(
        value, torch.cat([head.expand(-1, *tail.shape[1:]), tail.expand(-1, *head.shape[1:])])
    )


@composite(*named("sub", "subtract", "__sub__"))
def _subtract(a, b, *, alpha=1):
    return _add(a, b, alpha=-alpha)


@composite(*named("rsub", "__rsub__"))
def _reflected_subtract(a, b, *, alpha=1):
    return _add(b, a, alpha=-alpha)


def _shifted(x, constant):
    """x + a constant: the derivatives stay."""
    value = x.value + constant
    return x.like(value, _broadcast(x, value.shape).channels)


def _broadcast(x, shape):
    """x with its channels broadcast like its value to ``shape``; a batch axis of one may stay."""
    if x.value.shape == shape:
        return x
    channels = x.channels_at_every_point()
    channels = over_channels(lambda channel: channel.broadcast_to(shape))(channels)
    return x.like(x.value.broadcast_to(shape), channels)


def jointly_linear(function):
    """The rule for functions of a sequence of tensors, linear in all of them together."""

    def rule(tensors, *args, **kwargs):
        jets = [t for t in tensors if is_jet(t)]
        values = [t.value if is_jet(t) else t for t in tensors]
        value = function(values, *args, **kwargs)
        longest = max(len(jet.channels) for jet in jets)
        channels = [_padded(t, longest, jets[0]) for t in tensors]
        stacked = over_channels(lambda *entries: function(entries, *args, **kwargs))(*channels)
        return jets[0].like(value, stacked)

    return rule


def _padded(tensor, count, jet):
    """``count`` channels of a jet at every point, or of a constant: zeros."""
    if not is_jet(tensor):
        return tensor.new_zeros((count, *tensor.shape))
    channels = tensor.channels_at_every_point()
    missing = count - len(channels)
    if not missing:
        return channels
    return torch.cat([channels, channels.new_zeros((missing, *channels.shape[1:]))])


for _function in named("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack"):
    composite(_function)(jointly_linear(_function))


@composite(*named("where"))
def _where(condition, input, other):
    if not is_jet(condition) and getattr(condition, "dtype", None) == torch.bool:
        like = (input if is_jet(input) else other).value
        pair = [
            t if is_jet(t) else t.to(like) if hasattr(t, "to") else like.new_full((), t)
            for t in (input, other)
        ]
        return jointly_linear(lambda ab: torch.where(condition, *ab))(pair)
    raise TypeError("where(condition, input, other) needs a boolean tensor as condition")


# --- what does not depend on derivatives --------------------------------------------------------


def _of_value(function):
    def rule(*args, **kwargs):
        plain = [a.value.detach() if isinstance(a, JetTensor) else a for a in args]
        return applied(function, *plain, **kwargs)

    return rule


for _function in named(
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_floating_point", "is_complex",
    "get_device", "is_contiguous", "detach", "zeros_like", "ones_like", "full_like", "empty_like",
    "rand_like", "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "argmax", "argmin",
    "lt", "le", "gt", "ge", "eq", "ne", "less", "greater", "isnan", "isfinite", "isinf",
    "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "detach",
):  # fmt: skip
    composite(_function)(_of_value(_function))


@composite(*named("equal"))
def _equal(input, other):
    return input is other  # as functions of z: what has the same values may have other derivatives


@composite(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout)
def _dropout(x, p=0.5, training=True, inplace=False):
    primitives.refuse_dropout(x, p, training)
    return x
