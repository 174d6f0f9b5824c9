"""Ways to write a kink, and what looks like one: functions of h (B, 8)."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.support.custom_functions import saving

# max(h, 0) with derivatives of its own.
Clamped = saving(lambda x: torch.where(x > 0, x, 0 * x), lambda x: x > 0)


def pairs(h):
    """(B, 4, 2)."""
    return h.reshape(-1, 4, 2)


def matrices(h):
    """(B, 8, 1, 1)."""
    return h[..., None, None]


def in_place(name, *arguments):
    """A method that works in place, on a copy."""
    return lambda h: getattr(h.clone(), name)(*arguments)


def rows_of_columns(h):
    """Some columns clamped and written into a tensor of zeros."""
    written = h.new_zeros(h.shape)
    written[:, :4] = torch.clamp_min(h[:, :4], 0)
    written[:, 4:] = h[:, 4:]
    return written


BOUNDS = {
    "clamp_min": lambda h: torch.clamp_min(h, 0),
    "clamp_min method": lambda h: h.clamp_min(0),
    "clamp_min_": in_place("clamp_min_", 0),
    "clamp_max": lambda h: torch.clamp_max(h, 0),
    "clamp_max_": in_place("clamp_max_", 0),
    "clamp": lambda h: torch.clamp(h, min=0),
    "clamp method": lambda h: h.clamp(0),
    "clamp_": in_place("clamp_", 0),
    "clamp to both sides": lambda h: torch.clamp(h, -0.3, 0.3),
    "clamp by a tensor": lambda h: torch.clamp(h, min=torch.zeros(8, dtype=h.dtype)),
    "clip": lambda h: torch.clip(h, 0),
    "clip method": lambda h: h.clip(min=0),
    "clip_": in_place("clip_", 0),
    "clamped column": rows_of_columns,
    "little of it": lambda h: h.sin() + 0.01 * h.clamp_min(0),
}
CONDITIONS = {
    "where": lambda h: torch.where(h > 0, h, 0),
    "where method": lambda h: h.where(h > 0, torch.zeros_like(h)),
    "where leaky": lambda h: torch.where(torch.ge(h, 0), h, 0.1 * h),
    "where of smooth branches": lambda h: torch.where(h > 0, h.sin(), h.cos()),
    "where not": lambda h: torch.where(~(h > 0), 0, h),
    "where and": lambda h: torch.where((h > 0) & (h < 1), h, 0),
    "where signbit": lambda h: torch.where(torch.signbit(h), 0, h),
    "where of one for all": lambda h: torch.where(h.sum(1, keepdim=True) > 0, h, -h),
    "times comparison": lambda h: h * (h > 0),
    "comparison times": lambda h: (h > 0) * h,
    "times gt": lambda h: h * torch.gt(h, 0),
    "times number": lambda h: h * (h > 0).to(h.dtype),
    "mul_": lambda h: h.clone().mul_(h > 0),
    "times not": lambda h: h * torch.logical_not(h < 0),
    "times detached": lambda h: h * (h.detach() > 0),
    "column by column": lambda h: torch.stack([x * (x > 0) for x in h.unbind(1)], 1),
    "lerp": lambda h: torch.lerp(0 * h, h, (h > 0).to(h.dtype)),
    "addcmul": lambda h: torch.addcmul(0 * h, h, (h > 0).to(h.dtype)),
    "einsum": lambda h: torch.einsum("bi,bi->bi", h, (h > 0).to(h.dtype)),
    "masked_fill": lambda h: h.masked_fill(h < 0, 0),
    "torch.masked_fill": lambda h: torch.masked_fill(h, h < 0, 0.0),
    "masked_fill_": lambda h: h.clone().masked_fill_(h < 0, 0),
    "masked_scatter": lambda h: h.masked_scatter(h < 0, torch.zeros_like(h)),
    "nan_to_num": lambda h: torch.nan_to_num(torch.where(h > 0, h, torch.nan), 0.0),
}
LARGEST = {
    "maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
    "maximum method": lambda h: h.maximum(torch.zeros_like(h)),
    "minimum": lambda h: torch.minimum(h, h.cos()),
    "fmax": lambda h: torch.fmax(h, torch.zeros_like(h)),
    "fmin": lambda h: torch.fmin(h, torch.zeros_like(h)),
    "max of two": lambda h: torch.max(h, torch.zeros_like(h)),
    "min of two": lambda h: torch.min(h, torch.zeros_like(h)),
    "max over an axis": lambda h: pairs(h).max(-1).values,
    "min over an axis": lambda h: torch.min(pairs(h), -1)[0],
    "amax": lambda h: pairs(h).amax(-1),
    "amin": lambda h: torch.amin(pairs(h), -1),
    "aminmax": lambda h: torch.aminmax(pairs(h), dim=-1).max,
    "cummax": lambda h: h.cummax(-1).values,
    "stack amax": lambda h: torch.stack([h, 0 * h]).amax(0),
    "sort": lambda h: h.sort(-1).values,
    "topk": lambda h: h.topk(4, -1).values,
    "median": lambda h: pairs(h).median(-1).values,
    "nanmedian": lambda h: pairs(h).nanmedian(-1).values,
    "kthvalue": lambda h: pairs(h).kthvalue(1, -1).values,
    "quantile": lambda h: torch.quantile(h.reshape(-1, 2, 4), 0.5, dim=-1),
    "gather argmax": lambda h: pairs(h).gather(-1, pairs(h).argmax(-1, keepdim=True)).flatten(1),
    "argsort": lambda h: torch.take_along_dim(h, h.argsort(-1), -1),
    "max_pool1d": lambda h: F.max_pool1d(h[:, None], 2).flatten(1),
    "max_pool2d": lambda h: F.max_pool2d(h.reshape(-1, 1, 2, 4), 2).flatten(1),
    "max_pool3d": lambda h: F.max_pool3d(h.reshape(-1, 1, 2, 2, 2), 2).flatten(1),
    "adaptive_max_pool1d": lambda h: F.adaptive_max_pool1d(h[:, None], 3).flatten(1),
}
SIGNS = {
    "abs": torch.abs,
    "abs method": lambda h: h.abs(),
    "builtin abs": abs,
    "abs_": in_place("abs_"),
    "half of the sum with abs": lambda h: (h + h.abs()) / 2,
    "times sign": lambda h: h * h.sign(),
    "times sgn": lambda h: h * torch.sgn(h),
    "times copysign": lambda h: torch.copysign(torch.ones_like(h), h) * h,
    "root of the square": lambda h: (h * h).sqrt(),
    "power of the square": lambda h: (h**2) ** 0.5,
    "norm of one": lambda h: h[..., None].norm(dim=-1),
    "1-norm": lambda h: pairs(h).norm(p=1, dim=-1),
    "largest norm": lambda h: torch.linalg.vector_norm(pairs(h), float("inf"), -1),
    "l1_loss": lambda h: F.l1_loss(h, torch.zeros_like(h), reduction="none"),
    "margin_ranking_loss": lambda h: F.margin_ranking_loss(
        h, 0 * h, torch.ones_like(h), reduction="none"
    ),
}
PIECES = {
    "relu": torch.relu,
    "relu method": lambda h: h.relu(),
    "relu_": in_place("relu_"),
    "ReLU in place": nn.ReLU(inplace=True),
    "leaky_relu": F.leaky_relu,
    "leaky_relu_": lambda h: F.leaky_relu_(h.clone()),
    "prelu": lambda h: F.prelu(h, torch.tensor([0.2], dtype=h.dtype)),
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardswish": F.hardswish,
    "hardshrink": F.hardshrink,
    "softshrink": lambda h: F.softshrink(h, 0.1),
    "threshold": lambda h: F.threshold(h, 0, 0),
    "selu": F.selu,
    "elu of two slopes": lambda h: F.elu(h, 2.0),
    "gated": lambda h: h.sin() * F.relu(h.flip(-1)),
}
ROUNDINGS = {
    "floor": lambda h: h + torch.floor(3 * h),
    "ceil": lambda h: h * torch.ceil(h),
    "round": lambda h: h - torch.round(h),
    "trunc": lambda h: h * h.trunc(),
    "frac": lambda h: torch.frac(3 * h),
    "fmod": lambda h: torch.fmod(h, 0.3),
    "remainder": lambda h: h % 0.3,
    "floor division": lambda h: h * torch.div(h, 0.3, rounding_mode="floor"),
    "integers": lambda h: h.sin() * (3 * h).long(),
    "bucketize": lambda h: h * torch.bucketize(h.detach(), torch.zeros(1, dtype=h.dtype)),
}


@torch.library.custom_op("curvcore_tests::positive", mutates_args=())
def positive(x: torch.Tensor) -> torch.Tensor:
    """An operation that torch cannot look into."""
    return x.clamp_min(0)


class Opaque(Clamped):
    """The same by an operation that torch cannot look into."""

    @staticmethod
    def forward(x):
        return positive(x)


HIDDEN = {
    "custom function": Clamped.apply,
    "custom operation": lambda h: h.sin() + Opaque.apply(h),
    "torch.vmap": torch.vmap(lambda row: row.clamp_min(0)),
}
LENGTHS = {
    "hypot": lambda h: torch.hypot(h, 0 * h),
    "exponential of half the logarithm": lambda h: (torch.log(h * h) / 2).exp(),
    "logarithm to base two": lambda h: torch.exp2(torch.log2(h * h) / 2),
    "logarithm of one more": lambda h: (torch.log1p(h * h - 1) / 2).exp(),
    "factor times logarithm": lambda h: (torch.special.xlogy(0 * h + 1, h * h) / 2).exp(),
    "reciprocal root": lambda h: h * h * torch.rsqrt(h * h),
    "factor times logarithm of one more": lambda h: (torch.special.xlog1py(1, h * h - 1) / 2).exp(),
    "logit": lambda h: (torch.logit(h * h / (1 + h * h)) / 2).exp(),
    "acosh": lambda h: torch.acosh(torch.cosh(h)),
    "slogdet": lambda h: torch.linalg.slogdet(matrices(h)).logabsdet.exp(),
    "logdet": lambda h: (torch.logdet(matrices(h * h)) / 2).exp(),
    "std of two": lambda h: torch.stack([h, 0 * h], -1).std(-1),
    "std_mean of two": lambda h: torch.std_mean(torch.stack([h, 0 * h], -1), -1)[0],
    "cholesky": lambda h: torch.linalg.cholesky((h * h)[..., None, None])[..., 0, 0],
    "complex abs": lambda h: torch.complex(h, 0 * h).abs(),
    "largest singular value": lambda h: torch.linalg.svdvals(h[..., None, None])[..., 0],
    "eigenvalues that cross": lambda h: torch.linalg.eigvalsh(torch.diag_embed(h)),
    "qr": lambda h: torch.linalg.qr(h.reshape(-1, 8, 1)).R[..., 0],
    "angle": lambda h: torch.atan2(torch.sin(2 * h), torch.cos(2 * h)),
}
POLES = {
    "arctangent of a reciprocal": lambda h: torch.atan(1 / h),
    "times arctangent of a reciprocal": lambda h: h * torch.atan(1 / h),
    "sigmoid of a reciprocal": lambda h: torch.sigmoid(1 / h),
    "reciprocal method": lambda h: h.reciprocal().tanh(),
    "reciprocal_": lambda h: h.clone().reciprocal_().atan(),
    "quotient": lambda h: torch.atan(h.cos() / h),
    "quotient with a square": lambda h: torch.atan(h / h**2),
    "div_": lambda h: torch.ones_like(h).div_(h).atan(),
    "addcdiv": lambda h: torch.addcdiv(h, h.cos(), h).atan(),
    "negative power": lambda h: torch.atan(h**-1),
    "negative root": lambda h: h**2 * (h**2) ** -0.5,
    "tangent": lambda h: torch.atan(torch.tan(3 * h)),
    "digamma": lambda h: torch.atan(torch.digamma(h)),
    "lgamma": lambda h: torch.exp(-torch.lgamma(h * h) / 2),
    "inverse": lambda h: torch.atan(torch.linalg.inv(matrices(h))).flatten(1),
    "inverse of two by two": lambda h: torch.atan(torch.linalg.inv(h.reshape(-1, 2, 2, 2))).flatten(
        1
    ),
    "pseudoinverse": lambda h: torch.atan(torch.linalg.pinv(matrices(h))).flatten(1),
    "solve": lambda h: torch.atan(torch.linalg.solve(matrices(h), matrices(h.cos()))).flatten(1),
    "solve_triangular": lambda h: torch.atan(
        torch.linalg.solve_triangular(matrices(h), matrices(h.cos()), upper=True)
    ).flatten(1),
    "cholesky_solve": lambda h: torch.atan(
        h * torch.cholesky_solve(matrices(h.cos()), matrices(h)).flatten(1)
    ),
    "lu_solve": lambda h: torch.atan(
        torch.linalg.lu_solve(*torch.linalg.lu_factor(matrices(h)), matrices(h.cos()))
    ).flatten(1),
    "lstsq": lambda h: torch.atan(
        torch.linalg.lstsq(matrices(h), matrices(h.cos())).solution
    ).flatten(1),
}
ROUNDED_AWAY = {"logarithm of one more", "factor times logarithm of one more", "acosh"}
SINGULAR_IN_FLOAT32 = (LENGTHS | POLES).keys() - ROUNDED_AWAY
KINKS = LENGTHS | POLES | BOUNDS | CONDITIONS | LARGEST | SIGNS | PIECES | ROUNDINGS | HIDDEN


def softmax(h, largest):
    """exp(h − m)/Σ exp(h − m), with m = ``largest``."""
    exponential = (h - largest).exp()
    return exponential / exponential.sum(-1, keepdim=True)


def sigmoid(h):
    """That does not overflow."""
    small = torch.exp(-h.abs())
    return torch.where(h >= 0, 1 / (1 + small), small / (1 + small))


GUARDS = {
    "clamp_min of a norm": lambda h: h / h.norm(dim=-1, keepdim=True).clamp_min(1e-12),
    "clamp of a norm": lambda h: h / h.norm(dim=-1, keepdim=True).clamp(min=1e-12),
    "maximum of a norm": lambda h: (
        h / torch.maximum(h.norm(dim=-1, keepdim=True), h.new_full((1,), 1e-12))
    ),
    "normalize": F.normalize,
    "root": lambda h: h * h.square().sum(-1, keepdim=True).clamp_min(1e-8).sqrt(),
    "logarithm": lambda h: (h.sin() + 2).clamp_min(1e-12).log(),
    "abs of what is positive": lambda h: (h**2 + 1).abs().sqrt(),
    "clamp beyond the range": lambda h: h.tanh().clamp(-5, 5),
    "nan_to_num": lambda h: torch.nan_to_num(h.tanh()),
    "where finite": lambda h: torch.where(torch.isfinite(h), h.tanh(), 0),
    "where zero": lambda h: torch.where(h == 0, 1.0, h.sin() / torch.where(h == 0, 1.0, h)),
    "logit": lambda h: torch.logit(h.sigmoid(), eps=1e-6),
    "constant mask": lambda h: h.tanh().masked_fill(torch.arange(8) > 5, 0),
    "constant condition": lambda h: torch.where(torch.arange(8) > 5, h.sin(), h.cos()),
    "relu of a weight": lambda h: h.tanh() * torch.relu(torch.linspace(-1, 1, 8).to(h)),
    "causal attention": lambda h: F.scaled_dot_product_attention(
        pairs(h), pairs(h), pairs(h), is_causal=True
    ).flatten(1),
}
FITTING = {
    "softmax": lambda h: h.softmax(-1),
    "softmax by hand": lambda h: softmax(h, h.amax(-1, keepdim=True)),
    "softmax detached": lambda h: softmax(h, h.max(-1, keepdim=True).values.detach()),
    "sigmoid by hand": sigmoid,
    "softplus by hand": lambda h: h.clamp_min(0) + torch.log1p(torch.exp(-h.abs())),
    "softplus": lambda h: F.softplus(h, 5, 3),
    "gelu": F.gelu,
    "elu": F.elu,
    "celu": lambda h: F.celu(h, 2.0),
    "softsign": F.softsign,
    "h |h|": lambda h: h * h.abs(),
    "|h|³": lambda h: h.abs() ** 3,
    "square of the positive part": lambda h: h.clamp_min(0) ** 2,
    "smooth_l1_loss": lambda h: F.smooth_l1_loss(h, 0 * h, reduction="none", beta=0.2),
    "angle wrapped": lambda h: torch.sin(torch.remainder(5 * h, 2 * torch.pi)),
    "sum of what is sorted": lambda h: h.sin().sort(-1).values.sum(-1, keepdim=True) * h.cos(),
    "even pooling": lambda h: F.lp_pool1d(h[:, None], 2, 2).flatten(1),
    "determinant": lambda h: torch.linalg.det(h[:, :4].reshape(-1, 2, 2))[:, None] * h,
    "fast": lambda h: torch.sin(1e3 * h),
    "steep": lambda h: torch.sigmoid(200 * h),
}
FITTING_AT_POLES = {
    "sinc": lambda h: h.sin() / h,
    "sinc of cotangent": lambda h: h / torch.tan(h / 3),
    "harmonic sum": lambda h: 1 / (1 + 1 / h**2),
    "twice reciprocal": lambda h: 1 / (1 / h),
    "cube times arctangent": lambda h: h**3 * torch.atan(1 / h),
    "arctangent of a reciprocal square": lambda h: torch.atan(1 / h**2),
    "flat": lambda h: torch.exp(-1 / h**2),
    "cosine by tangent": lambda h: 1 / (1 + torch.tan(h) ** 2),
    "Planck": lambda h: h / torch.expm1(h),
    "Langevin": lambda h: 1 / torch.tanh(h) - 1 / h,
    "cancelling": lambda h: (1 - h.cos()) / h**2,
    "pole": lambda h: 1 / h,
    "tangent": lambda h: torch.tan(3 * h),
    "pole of an inverse": lambda h: torch.linalg.inv(matrices(h)).flatten(1),
    "twice inverse": lambda h: torch.linalg.inv(torch.linalg.inv(matrices(h))).flatten(1),
    "solve": lambda h: torch.linalg.solve(matrices(h), matrices(h * h.sin())).flatten(1),
    "square by slogdet": lambda h: (2 * torch.linalg.slogdet(matrices(h)).logabsdet).exp(),
    "square by logit": lambda h: torch.logit(h * h / (1 + h * h)).exp(),
    "square by xlog1py": lambda h: torch.special.xlog1py(1, h * h - 1).exp(),
    "square by acosh": lambda h: torch.acosh(torch.cosh(h)) ** 2,
    "var_mean": lambda h: torch.var_mean(torch.stack([h, 0 * h], -1), -1)[0],
    "negative power of a sum": lambda h: h * (h * h + 1e-2) ** -1.5,
}
# Of which one need not measure whether they jump.
AWAY = {
    "tanh by hand": lambda h: ((2 * h).exp() - 1) / ((2 * h).exp() + 1),
    "swish by hand": lambda h: h / (1 + torch.exp(-h)),
    "softmax by hand of exponentials": lambda h: h.exp() / h.exp().sum(-1, keepdim=True),
    "standardised": lambda h: (h - h.mean(1, keepdim=True)) / h.std(1, keepdim=True),
    "over constants": lambda h: h / torch.linspace(-1, 1, 8).to(h),
    "over constants in place": lambda h: h.sin().div_(torch.linspace(-1, 1, 8).to(h)),
    "solve of constants": lambda h: torch.linalg.solve(
        torch.linspace(-1, 1, 8).diag().to(h), h[..., None]
    ).flatten(1),
    "polynomial": lambda h: h**2 + h**3,
    "exponential": lambda h: 2**h,
    "small tangent": lambda h: torch.tan(h.tanh()),
    "inverse of one and a little": lambda h: torch.linalg.inv(
        torch.eye(2).to(h) + h.tanh().reshape(-1, 2, 2, 2) / 4
    ).flatten(1),
    "logdet of one and a little": lambda h: torch.logdet(
        torch.eye(2).to(h) + h.tanh().reshape(-1, 2, 2, 2) / 4
    ),
    "acosh of more than one": lambda h: torch.acosh(1.1 + h * h),
    "logit of a half and a little": lambda h: torch.logit(h.sigmoid() / 2 + 0.25),
    "xlog1py of what is positive": lambda h: torch.special.xlog1py(h, h.sigmoid()),
    "std_mean of many": lambda h: torch.std_mean(h, 1, keepdim=True)[0],
}
APART = {
    "arcsine": lambda h: torch.asin(0.9 * h.tanh()),
    "arccosine": lambda h: torch.acos(0.9 * h.sin()),
    "angle in a half plane": lambda h: torch.atan2(h, h * h + 1),
    "sine of an angle": lambda h: torch.atan2(h, h.cos()).sin(),
    "logarithm of a sum": lambda h: torch.log(h * h + 1e-2),
    "logarithm of a sigmoid": lambda h: h.mul(5).sigmoid().log(),
    "logarithm of 1 − 0.9 σ": lambda h: torch.log1p(-0.9 * h.mul(5).sigmoid()),
    "entropy": lambda h: torch.special.xlogy(h.sigmoid(), h.mul(5).sigmoid()),
    "reciprocal root of a sum": lambda h: h * torch.rsqrt(h * h + 1e-3),
    "hypotenuse": lambda h: torch.hypot(h, 0 * h + 0.1),
    "rms_norm": lambda h: F.rms_norm(pairs(h), (2,)).flatten(1),
    "singular values apart": lambda h: torch.linalg.svdvals(pairs(h)),
    "cholesky of a sum": lambda h: torch.linalg.cholesky(
        pairs(h).mT @ pairs(h) + 0.1 * torch.eye(2).to(h)
    ).flatten(1),
    "qr of a sum": lambda h: torch.linalg.qr(pairs(h.tanh()) + 2 * torch.eye(4, 2).to(h)).R.flatten(
        1
    ),
    "std of many": lambda h: h.std(1, keepdim=True),
}
SMOOTH = APART | AWAY | GUARDS | FITTING | FITTING_AT_POLES
