"""Layers on ExactTensors, from their definitions: convolutions, normalisations, attention, einsum.

They share nothing with curvcore's rules for the same layers but arithmetic, so that proofs can
compare the two. Where a decoder applies one to numbers that do not depend on z, it is this that
runs.
"""

import math
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from curvcore.providers.fused.registry import named
from curvcore.providers.primitives import refuse_dropout
from verification.exact.functions import _arrays, implements

# --- sums of products -------------------------------------------------------------------------


@implements(torch.einsum)
def _einsum(equation, *operands):
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    tensor, *arrays = _arrays(*operands)
    return tensor.like(np.einsum(_explicit(equation), *arrays))


def _explicit(equation):
    """The equation with its output written out: letters that stand there once, in order."""
    equation = equation.replace(" ", "")
    if "->" in equation:
        return equation
    letters = equation.replace("...", "").replace(",", "")
    once = "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    return f"{equation}->{'...' if '...' in equation else ''}{once}"


def _convolution(dimensions):
    """y[b, o, p] = bias_o + Σ_{c, k} w[o, c, k] x[b, c, s p + δ k − π], x zero outside."""

    def of(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        tensor, x, w = _arrays(x, weight)
        x, is_single = _with_points(x, dimensions)
        sizes = w.shape[2:]
        s, step = _each(stride, dimensions), _each(dilation, dimensions)
        around = _padding(padding, sizes, step)
        padded = _padded(tensor.numbers, x, around)
        reach = [n - d * (k - 1) for n, d, k in zip(padded.shape[2:], step, sizes, strict=True)]
        total = 0
        for k in product(*map(range, sizes)):
            places = tuple(
                slice(d * i, d * i + n, t) for d, i, n, t in zip(step, k, reach, s, strict=True)
            )
            seen = padded[(slice(None), slice(None), *places)]
            total = _by_groups(tensor.numbers, seen, w[(..., *k)].swapaxes(0, 1), groups) + total
        return _finished(tensor, total, bias, is_single)

    return of


def _transposed_convolution(dimensions):
    """y[b, o, s p + δ k − π] = bias_o + Σ_{c, p, k} w[c, o, k] x[b, c, p], zero beside that."""

    def of(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        tensor, x, w = _arrays(x, weight)
        x, is_single = _with_points(x, dimensions)
        sizes, lengths = w.shape[2:], x.shape[2:]
        s, step, around, behind = (
            _each(option, dimensions) for option in (stride, dilation, padding, output_padding)
        )
        whole = [
            (n - 1) * t + d * (k - 1) + 1 + m
            for n, t, d, k, m in zip(lengths, s, step, sizes, behind, strict=True)
        ]
        total = tensor.numbers.full((len(x), groups * w.shape[1], *whole), 0)
        for k in product(*map(range, sizes)):
            places = [slice(None), slice(None)]
            for d, i, n, t in zip(step, k, lengths, s, strict=True):
                places.append(slice(d * i, d * i + (n - 1) * t + 1, t))
            by_group = w[(..., *k)].reshape(groups, -1, w.shape[1])
            matrix = np.concatenate(list(by_group), axis=1)
            more = _by_groups(tensor.numbers, x, matrix, groups)
            total[tuple(places)] = total[tuple(places)] + more
        inner = tuple(slice(p, n - p) for p, n in zip(around, whole, strict=True))
        return _finished(tensor, total[(slice(None), slice(None), *inner)], bias, is_single)

    return of


for _dimensions in (1, 2, 3):
    implements(*named(f"conv{_dimensions}d"))(_convolution(_dimensions))
    implements(*named(f"conv_transpose{_dimensions}d"))(_transposed_convolution(_dimensions))


def _by_groups(numbers, x, matrix, groups):
    """Σ_c x[b, c, p] m[c, o], (b, o, p), group by group: m is (channels of a group, all o)."""
    moved = np.moveaxis(x, 1, -1)
    inputs, outputs = matrix.shape[0], matrix.shape[1] // groups
    pieces = [
        numbers.matmul(
            moved[..., g * inputs : (g + 1) * inputs], matrix[:, g * outputs : (g + 1) * outputs]
        )
        for g in range(groups)
    ]
    return np.moveaxis(np.concatenate(pieces, axis=-1), -1, 1)


def _finished(tensor, total, bias, is_single):
    if bias is not None:
        total = total + tensor.numbers.array(bias).reshape(-1, *(1,) * (total.ndim - 2))
    return tensor.like(total[0] if is_single else total)


def _with_points(x, dimensions):
    """x (b, c, ...) of (b, c, ...) or (c, ...), and whether it was the latter."""
    is_single = x.ndim == dimensions + 1
    return (x[None] if is_single else x), is_single


def _each(option, dimensions):
    option = (option,) if isinstance(option, int) else tuple(option)
    return option * dimensions if len(option) == 1 else option


def _padding(padding, sizes, step):
    """How many zeros before and behind, along each axis."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        missing = [d * (k - 1) for d, k in zip(step, sizes, strict=True)]
        return [(n // 2, n - n // 2) for n in missing]
    return [(p, p) for p in _each(padding, len(sizes))]


def _padded(numbers, x, around):
    for axis, (before, behind) in enumerate(around, start=2):
        for count, first in ((before, True), (behind, False)):
            if count:
                zeros = numbers.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), 0)
                x = np.concatenate([zeros, x] if first else [x, zeros], axis=axis)
    return x


# --- normalisations ---------------------------------------------------------------------------


def _standardised(x, dims, eps):
    """(x − E x)/√(E x² − (E x)² + eps)."""
    mean = x.mean(dims, keepdim=True)
    variance = (x * x).mean(dims, keepdim=True) - mean * mean
    return (x - mean) / torch.sqrt(variance + eps)


def _scaled(x, weight, bias, shape):
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _by_channel(x, weight, bias):
    return _scaled(x, weight, bias, (-1,) + (1,) * (x.ndim - 2))


@implements(F.layer_norm, torch.layer_norm)
def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    last = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return _scaled(_standardised(x, last, eps), weight, bias, tuple(normalized_shape))


@implements(F.rms_norm, torch.rms_norm)
def _rms_norm(x, normalized_shape, weight=None, eps=None):
    eps = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps if eps is None else eps
    last = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    length = torch.sqrt((x * x).mean(last, keepdim=True) + eps)
    return _scaled(x / length, weight, None, tuple(normalized_shape))


@implements(F.group_norm, torch.group_norm)
def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    groups = x.reshape(x.shape[0], num_groups, -1)
    return _by_channel(_standardised(groups, (2,), eps).reshape(x.shape), weight, bias)


@implements(F.instance_norm)
def _instance_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
    momentum=0.1, eps=1e-5,
):  # fmt: skip
    if not use_input_stats:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _by_channel(_standardised(x, tuple(range(2, x.ndim)), eps), weight, bias)


@implements(F.batch_norm)
def _batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    shape = (-1,) + (1,) * (x.ndim - 2)
    normalised = (x - mean.reshape(shape)) / torch.sqrt(var.reshape(shape) + eps)
    return _by_channel(normalised, weight, bias)


@implements(F.normalize)
def _normalize(x, p=2.0, dim=1, eps=1e-12, out=None):
    if p != 2:
        raise TypeError(f"exact normalize is of p = 2; got {p}.")
    length = torch.sqrt((x * x).sum(dim, keepdim=True))
    return x / torch.where(length >= eps, length, eps)


@implements(torch._weight_norm)
def _weight_norm(v, g, dim=0):
    """g v/|v|, lengths over all axes but ``dim``; over all of them for −1."""
    axes = tuple(axis for axis in range(v.ndim) if axis != dim)
    return v * (g / torch.sqrt((v * v).sum(axes, keepdim=True)))


# --- softmax and attention ----------------------------------------------------------------------


@implements(*named("softmax"))
def _softmax(x, dim=None, _stacklevel=3, dtype=None):
    powers = torch.exp(x)
    return powers / powers.sum(dim, keepdim=True)


@implements(*named("log_softmax"))
def _log_softmax(x, dim=None, _stacklevel=3, dtype=None):
    return x - torch.logsumexp(x, dim, keepdim=True)


@implements(*named("logsumexp"))
def _logsumexp(x, dim, keepdim=False):
    return torch.log(torch.exp(x).sum(dim, keepdim=keepdim))


@implements(F.scaled_dot_product_attention)
def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Σ_j p_ij v_j, p_ij = exp s_ij/Σ_k exp s_ik, s_ij = scale ⟨q_i, k_j⟩ + m_ij.

    p_ij = 0 where i does not attend to j. The scale is the float 1/√E by default, as documented.
    """
    refuse_dropout(query, dropout_p)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * (query @ key.transpose(-2, -1))
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is None:
        return torch.softmax(scores, -1) @ value
    if attn_mask.dtype != torch.bool:
        return torch.softmax(scores + attn_mask, -1) @ value
    powers = torch.where(attn_mask, torch.exp(scores), 0)
    return (powers / powers.sum(-1, keepdim=True)) @ value


@implements(F.multi_head_attention_forward)
def _multi_head_attention(
    query, key, value, embed_dim, num_heads, in_weight, in_bias, bias_k, bias_v, add_zero_attn,
    dropout_p, out_weight, out_bias, training=True, key_padding_mask=None, need_weights=True,
    attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None,
    v_proj_weight=None, **more,
):  # fmt: skip
    """Head by head, of tokens (L, B, E); the attention weights are not returned."""
    extras = bias_k, bias_v, key_padding_mask, more.get("static_k"), more.get("static_v")
    if add_zero_attn or any(extra is not None for extra in extras):
        raise TypeError("exact attention is without bias_k, bias_v, padding and zeros.")
    refuse_dropout(query, dropout_p, training)
    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = weights if use_separate_proj_weight else torch.chunk(in_weight, 3)
    biases = (None,) * 3 if in_bias is None else torch.chunk(in_bias, 3)
    tokens = [
        F.linear(x.transpose(0, -2), weight, bias)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    ]
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = ~attn_mask  # true means not to attend here
    width = embed_dim // num_heads
    heads = [
        _attention(*(x[..., n : n + width] for x in tokens), attn_mask=attn_mask)
        for n in range(0, embed_dim, width)
    ]
    return F.linear(torch.cat(heads, -1), out_weight, out_bias).transpose(0, -2), None


@implements(F.dropout)
def _dropout(x, p=0.5, training=True, inplace=False):
    refuse_dropout(x, p, training)
    return x


# --- entries in other places, without arithmetic ------------------------------------------------


def _moved(function, x, *args, **kwargs):
    """``function`` of a tensor, by what it does to the numbers of entries, of which 0 is none."""
    places = torch.arange(1.0, x.array.size + 1, dtype=torch.float64).reshape(x.shape)
    places = function(places, *args, **kwargs).long().numpy()
    flat = np.concatenate([x.numbers.full((1,), 0), x.array.reshape(-1)])
    return x.like(flat[places])


for _function in (
    *named("narrow", "select", "index_select", "diagonal", "diag_embed", "tril", "triu"),
    *named("flip", "roll", "repeat", "tile", "repeat_interleave"),
    *named("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    F.unfold,
):
    implements(_function)(partial(_moved, _function))


@implements(F.embedding)
def _embedding(indices, weight, padding_idx=None, max_norm=None, *_, **__):
    if max_norm is not None:
        raise TypeError("exact embedding is without max_norm, which writes to the weight.")
    return weight.like(weight.array[indices.numpy()])


@implements(F.pad)
def _pad(x, pad, mode="constant", value=None):
    if value:
        raise TypeError(f"exact pad is with zeros, or what there is; got value={value}.")
    return _moved(F.pad, x, pad, mode)


@implements(F.interpolate)
def _interpolate(x, size=None, scale_factor=None, mode="nearest", *args, **kwargs):
    if mode not in ("nearest", "nearest-exact"):
        raise TypeError(f"exact interpolate is of mode='nearest'; got {mode!r}.")
    return _moved(F.interpolate, x, size, scale_factor, mode, *args, **kwargs)


def _average_pool(dimensions):
    """The mean of k entries along each axis, every s; without padding."""
    pool = getattr(F, f"avg_pool{dimensions}d")

    def of(x, kernel_size, stride=None, padding=0, ceil_mode=False, *options, **more):
        if ceil_mode or any(_each(padding, dimensions)) or any(options[1:]) or more:
            raise TypeError(f"exact {pool.__name__} is without padding, ceil_mode and a divisor.")
        sizes = _each(kernel_size, dimensions)
        steps = _each(stride or sizes, dimensions)
        lengths = x.shape[x.ndim - dimensions :]
        total = 0
        for k in product(*map(range, sizes)):
            places = tuple(
                slice(i, i + n - size + 1, step)
                for i, n, size, step in zip(k, lengths, sizes, steps, strict=True)
            )
            total = x.array[(..., *places)] + total
        return x.like(total / math.prod(sizes))

    return of


for _dimensions in (1, 2, 3):
    implements(*named(f"avg_pool{_dimensions}d"))(_average_pool(_dimensions))
