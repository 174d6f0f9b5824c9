"""Layers of exact numbers, from their definitions, have the values that torch computes."""

import flint
import pytest
import torch
import torch.nn.functional as F

from verification.exact import layers  # noqa: F401  (what is tested)
from verification.exact.tensors import Balls, ExactTensor
from verification.regions.monomials import monomials
from verification.regions.numbers import Models

D = torch.float64


def random(*shape):
    return torch.randn(shape, dtype=D)


def of(function, *args, **kwargs):
    return lambda x: function(x, *args, **kwargs)


def _heads(*tokens, **options):
    arguments = 4, 2, random(12, 4), random(12), None, None, False, 0.0, random(4, 4), random(4)
    return F.multi_head_attention_forward(*tokens, *arguments, training=False, **options)[0]


MASK = torch.tensor([[True, False, True], [False, True, True], [True, True, True]])
CASES = {
    "conv1d": ((2, 3, 7), lambda x: F.conv1d(x, random(4, 3, 2), random(4), 2, 1, 3)),
    "conv1d, one point": ((3, 7), lambda x: F.conv1d(x, random(4, 3, 2))),
    "conv1d, groups": ((2, 4, 5), lambda x: F.conv1d(x, random(6, 2, 3), groups=2)),
    "conv1d, same": ((2, 1, 6), lambda x: F.conv1d(x, random(2, 1, 3), padding="same", dilation=2)),
    "conv1d, valid": ((2, 1, 6), lambda x: F.conv1d(x, random(2, 1, 4), padding="valid")),
    "conv2d": (
        (2, 3, 5, 6),
        lambda x: F.conv2d(x, random(2, 3, 2, 3), random(2), (1, 2), (2, 0), (2, 1)),
    ),
    "conv3d": ((1, 2, 3, 4, 3), lambda x: F.conv3d(x, random(2, 2, 2, 3, 1), padding=1)),
    "conv_transpose1d": (
        (2, 3, 4),
        lambda x: F.conv_transpose1d(x, random(3, 2, 3), random(2), 3, 2, 1, dilation=2),
    ),
    "conv_transpose1d, groups": (
        (2, 4, 3),
        lambda x: F.conv_transpose1d(x, random(4, 3, 2), random(6), 2, groups=2),
    ),
    "conv_transpose2d": (
        (2, 2, 3, 4),
        lambda x: F.conv_transpose2d(x, random(2, 3, 2, 4), random(3), (2, 1), (1, 2), (1, 0)),
    ),
    "conv_transpose3d": ((1, 2, 2, 1, 3), lambda x: F.conv_transpose3d(x, random(2, 1, 2, 2, 2))),
    "einsum": ((2, 3), lambda x: torch.einsum("bi,ij,bj", x, random(3, 4), random(2, 4))),
    "einsum, implied": ((2, 3, 4), lambda x: torch.einsum("...ki, ji", x, random(5, 4))),
    "einsum, traces": ((2, 3, 3), of(lambda x: torch.einsum("bii->b", x))),
    "layer_norm": ((2, 3, 4), lambda x: F.layer_norm(x, (3, 4), random(3, 4), random(3, 4))),
    "rms_norm": ((2, 3, 4), lambda x: F.rms_norm(x, (4,), random(4))),
    "group_norm": ((2, 6, 2), lambda x: F.group_norm(x, 3, random(6), random(6), 0.1)),
    "instance_norm": ((2, 3, 4), lambda x: F.instance_norm(x, weight=random(3))),
    "instance_norm, running": (
        (2, 3, 4),
        lambda x: F.instance_norm(x, random(3), random(3) ** 2, use_input_stats=False),
    ),
    "batch_norm": ((2, 3, 4), lambda x: F.batch_norm(x, random(3), random(3) ** 2, random(3))),
    "normalize": ((2, 3), of(F.normalize)),
    "normalize, of what is short": ((2, 3), of(F.normalize, eps=100.0)),
    "weight_norm": ((3, 4), lambda x: torch._weight_norm(x, random(3, 1), 0)),
    "weight_norm, second axis": ((3, 4, 2), lambda x: torch._weight_norm(x, random(1, 4, 1), 1)),
    "softmax": ((2, 3), of(torch.softmax, 1)),
    "log_softmax": ((2, 3), of(F.log_softmax, dim=0)),
    "logsumexp": ((2, 3), of(torch.logsumexp, 1)),
    "attention": (
        (2, 3, 4),
        lambda x: F.scaled_dot_product_attention(x, random(2, 5, 4), random(2, 5, 6)),
    ),
    "attention, causal": (
        (2, 3, 4),
        lambda x: F.scaled_dot_product_attention(x, x, random(2, 3, 4), is_causal=True, scale=0.3),
    ),
    "attention, masks": (
        (2, 3, 4),
        lambda x: F.scaled_dot_product_attention(
            F.scaled_dot_product_attention(x, x, x, attn_mask=MASK), x, x, attn_mask=random(3, 3)
        ),
    ),
    "attention of heads": ((3, 2, 4), lambda x: _heads(x, x, random(3, 2, 4))),
    "attention of heads, masked": ((3, 4), lambda x: _heads(x, x, x, attn_mask=~MASK)),
    "embedding": ((5, 3), lambda x: F.embedding(torch.tensor([[1, 4], [0, 1]]), x)),
    "where": ((3, 3), lambda x: torch.where(MASK, x, random(3, 3))),
    "flip": ((2, 3), of(torch.flip, (0, 1))),
    "narrow": ((2, 5), lambda x: x.narrow(1, 1, 3)),
    "tril": ((2, 3, 3), of(torch.tril)),
    "pixel_shuffle": ((2, 8, 3, 2), of(F.pixel_shuffle, 2)),
    "pad": ((2, 3, 4), of(F.pad, (1, 2, 0, 1))),
    "pad, circular": ((2, 3, 4), of(F.pad, (1, 2), mode="circular")),
    "unfold": ((1, 2, 4, 4), of(F.unfold, 2, padding=1)),
    "interpolate": ((2, 3, 4), of(F.interpolate, scale_factor=2)),
    "avg_pool1d": ((2, 3, 7), of(F.avg_pool1d, 3, 2)),
    "avg_pool2d": ((2, 3, 4, 6), of(F.avg_pool2d, (2, 3))),
}


def computed(function, x):
    torch.manual_seed(1)  # the same weights
    return function(x)


@pytest.mark.parametrize("name", CASES)
def test_the_value_is_that_of_torch(name):
    """On balls, and, where comparisons allow, on constants of Taylor models."""
    shape, function = CASES[name]
    x = random(*shape)
    expected = computed(function, x)
    with flint.ctx.workprec(128):
        balls = computed(function, ExactTensor(x, Balls()))
    assert balls.shape == expected.shape
    for ball, number in zip(balls.array.flat, expected.flatten().tolist(), strict=True):
        assert abs(float(ball.mid()) - number) < 1e-13
        assert ball.rad() < 1e-30
    models = computed(function, ExactTensor(x, Models(monomials(1, 2)))).array
    off = (models.coefficients[0] - expected).abs()
    assert (off <= models.radius + 1e-13).all()
    assert models.radius.max() < 1e-10
    assert not models.coefficients[1:].any()


@pytest.mark.parametrize(
    "function",
    [
        of(F.interpolate, scale_factor=2, mode="bilinear"),
        of(F.avg_pool2d, 2, padding=1),
        of(F.avg_pool2d, 2, divisor_override=3),
        of(F.pad, (1, 1), value=2.0),
        of(F.normalize, p=1.0),
    ],
)
def test_what_has_no_exact_version_is_refused(function):
    with pytest.raises(TypeError, match="exact"):
        function(ExactTensor(random(1, 2, 4, 4), Balls()))
