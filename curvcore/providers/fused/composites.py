"""Rules for functions written with other functions: normalisations, softmax, attention."""

import math

import torch
import torch.nn.functional as F

from curvcore.errors import MissingRuleError
from curvcore.providers import primitives
from curvcore.providers.fused.products import bilinear
from curvcore.providers.fused.registry import composite, is_jet, linear_rule, named

# Written once, for both providers.
for _function in (
    F.layer_norm, torch.layer_norm, F.group_norm, torch.group_norm, F.rms_norm, torch.rms_norm,
    F.instance_norm, F.glu, torch.logit, torch.Tensor.logit,
    torch.special.logit, *named("select_scatter", "nan_to_num"), *primitives.REDUCTIONS,
    *primitives.RECURRENT,
):  # fmt: skip
    composite(_function)(primitives.PRIMITIVES[_function])


# --- normalisations -----------------------------------------------------------------------------


@composite(F.batch_norm)
def _batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    primitives.refuse_batch_norm(x, mean, var, weight, bias, training)
    scale = torch.rsqrt(var + eps) if weight is None else weight * torch.rsqrt(var + eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    channels = (-1,) + (1,) * (x.ndim - 2)
    return x * scale.reshape(channels) + shift.reshape(channels)


@composite(*named("var"))
def _var(x, *args, **options):
    return _var_mean(x, *args, **options)[0]


@composite(*named("var_mean"))
def _var_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = unbiased if correction is None else correction
    correction = 1 if correction is None else correction
    dims = (dim,) if isinstance(dim, int) else tuple(dim or range(x.ndim))
    count = math.prod([x.shape[d] for d in dims])  # torch.compile follows no generator into it
    mean = x.mean(dims, keepdim=True)
    variance = torch.square(x - mean).sum(dims, keepdim=keepdim) / (count - correction)
    return variance, mean if keepdim else x.mean(dims)


@composite(F.grid_sample)
def _grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    options = mode, padding_mode, align_corners
    if not is_jet(grid):
        return linear_rule(F.grid_sample)(input, grid, *options)
    if mode == "nearest":
        raise MissingRuleError(
            "derivatives='fused' refuses grid_sample of the nearest pixel at places that depend on "
            "z: it is constant between its jumps. Write mode='bicubic'."
        )
    return primitives.PRIMITIVES[F.grid_sample](input, grid, *options)


# --- softmax ------------------------------------------------------------------------------------


def _shifted_exponential(x, dim):
    """exp(x − m) and m, m the largest entry; softmax does not depend on m."""
    largest = x.value.detach().amax(dim, keepdim=True)
    return torch.exp(x - largest), largest


@composite(*named("softmax"))
def _softmax(x, dim=None, _stacklevel=3, dtype=None):
    exponential, _ = _shifted_exponential(x if dtype is None else x.to(dtype), dim)
    return exponential * torch.reciprocal(exponential.sum(dim, keepdim=True))


@composite(*named("log_softmax"))
def _log_softmax(x, dim=None, _stacklevel=3, dtype=None):
    x = x if dtype is None else x.to(dtype)
    return x - _logsumexp(x, dim, keepdim=True)


@composite(*named("logsumexp"))
def _logsumexp(x, dim, keepdim=False):
    exponential, largest = _shifted_exponential(x, dim)
    result = torch.log(exponential.sum(dim, keepdim=True)) + largest
    return result if keepdim else result.squeeze(dim)


# --- attention ----------------------------------------------------------------------------------


@composite(F.scaled_dot_product_attention)
def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    if dropout_p:
        primitives.refuse_dropout(query, dropout_p)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        size = scores.shape[-2:]
        attn_mask = torch.ones(size, dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        # True means attend here, and do not attend in nn.MultiheadAttention.
        mask = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
        scores = scores + _additive_mask(mask, scores)
    return torch.softmax(scores, dim=-1) @ value


# --- arithmetic ---------------------------------------------------------------------------------


@composite(*named("addmm", "addbmm", "baddbmm", "addmv"))
def _add_matmul(summand, a, b, *, beta=1, alpha=1):
    return beta * summand + alpha * torch.matmul(a, b)


@composite(*named("addcmul"))
def _addcmul(summand, a, b, *, value=1):
    return summand + value * (a * b)


@composite(*named("addcdiv"))
def _addcdiv(summand, a, b, *, value=1):
    return summand + value * (a / b)


@composite(*named("lerp"))
def _lerp(start, end, weight):
    return start + weight * (end - start)


# --- of two numbers -----------------------------------------------------------------------------


@composite(*named("hypot"))
def _hypot(a, b):
    return torch.sqrt(torch.square(a) + torch.square(b))


@composite(*named("atan2", "arctan2"))
def _atan2(y, x):
    """θ_0 + atan(v/u), (u, v) = (x, y) turned back by the angle θ_0 of the values."""
    y_0, x_0 = (t.detach() for t in (y, x))
    angle = torch.atan2(y_0, x_0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return angle + torch.atan((y * cos - x * sin) / (x * cos + y * sin))


@composite(*named("logaddexp"))
def _logaddexp(a, b):
    larger = torch.maximum(a.detach(), b.detach())
    return larger + torch.log(torch.exp(a - larger) + torch.exp(b - larger))


@composite(*named("logaddexp2"))
def _logaddexp2(a, b):
    return _logaddexp(a * math.log(2), b * math.log(2)) / math.log(2)


@composite(F.softmin)
def _softmin(x, dim=None, _stacklevel=3, dtype=None):
    return _softmax(-x, dim, dtype=dtype)


@composite(torch.cross, torch.linalg.cross, torch.Tensor.cross)
def _cross(a, b, dim=-1):
    return (
        bilinear(lambda x, y: torch.linalg.cross(x, y, dim=dim), a, b)
        if is_jet(a)
        else -_cross(b, a, dim)
    )


@composite(F.multi_head_attention_forward)
def _multi_head_attention(
    query, key, value, embed_dim, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
    add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True,
    key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False,
    q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Attention(Q W_q, K W_k, V W_v) per head, for (L, B, E) or (L, E) as in torch."""
    extras = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if add_zero_attn or any(extra is not None for extra in extras):
        raise MissingRuleError(
            "derivatives='fused' knows attention without bias_k, bias_v, zero attention, static "
            "or padded keys. Write derivatives='autodiff'."
        )
    if training:
        primitives.refuse_dropout(query, dropout_p)
    weights = (
        (q_proj_weight, k_proj_weight, v_proj_weight)
        if use_separate_proj_weight
        else in_proj_weight.chunk(3)
    )
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        _split_heads(F.linear(x, weight, bias), num_heads)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + _additive_mask(attn_mask, scores)
    probabilities = torch.softmax(scores, dim=-1)
    heads = (probabilities @ v).movedim(-2, 0).flatten(-2)
    output = F.linear(heads, out_proj_weight, out_proj_bias)
    if not need_weights:
        return output, None
    return output, probabilities.mean(-3) if average_attn_weights else probabilities


def _split_heads(x, num_heads):
    """(L, B, E) -> (B, heads, L, E/heads); (L, E) -> (heads, L, E/heads)."""
    return x.unflatten(-1, (num_heads, -1)).movedim(0, -2)


def _additive_mask(mask, scores):
    if mask.dtype != torch.bool:
        return mask
    zeros = torch.zeros(mask.shape, dtype=scores.dtype, device=scores.device)
    return zeros.masked_fill(mask, -torch.inf)
