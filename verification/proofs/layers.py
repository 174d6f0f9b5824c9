"""Layers of several entries: derivatives to order 3 by their rules are sympy's of the definitions.

The definitions (:mod:`verification.exact.layers`) and the rules share arithmetic alone; but einsum
and convolutions are applied to value and derivatives as they are, and what is proved of their rules
is linearity, offsets and product rules. Inputs are undefined functions of z; weights, and what
softmax subtracts, free symbols. Lengths that are normalised are above ε. The sizes are small ones;
a rule is the same at others.
"""

import torch
import torch.nn.functional as F

from verification.exact import layers  # noqa: F401  (the definitions)
from verification.proofs import smooth
from verification.proofs.normal_forms import remainders
from verification.proofs.verdicts import proved, stacked

# (d, order of the jet)
SAMPLE = ((2, 2), (1, 3))
ALL = (*SAMPLE, (2, 3))
# Made of others, and dear: by default in the least orders that show that they are made so.
DEAR = {
    "group_norm": ((1, 2),),
    "instance_norm": ((1, 2),),
    "scaled_dot_product_attention": ((1, 2),),
    "multi_head_attention": ((1, 1),),
}


def findings(full=False):
    """One Finding per layer."""
    for subject in LAYERS:
        if full:
            yield of(subject, SAMPLE if subject in DEAR else ALL)
        else:
            yield of(subject, DEAR.get(subject, SAMPLE))


def of(subject, cases):
    """The Finding on one of LAYERS, over pairs of d and order."""
    residuals = [
        case(smooth.coordinates(d), order) for d, order in cases for case in LAYERS[subject]
    ]
    orders = dict(sorted(cases))  # the highest for each d
    reach = ", ".join(f"{order} at d = {d}" for d, order in orders.items())
    return proved(
        f"jets: {subject}",
        f"value and derivatives are those of the definition, to order {reach}",
        stacked(*residuals),
    )


def _case(function, *shapes):
    """(z, order) -> what is left of ``function`` of generic functions u, v, w of these shapes."""

    def residual(z, order):
        inputs = [smooth.generic(n, shape, z) for n, shape in zip("uvw", shapes, strict=False)]
        return remainders(smooth.difference(function, inputs, z, order))

    return residual


def _einsum(equation, *shapes):
    return _case(lambda *operands: torch.einsum(equation, *operands), *shapes)


W = smooth.constants("W", 2, 2)
EINSUMS = (
    _einsum("bi,bi->b", (2,), (2,)),
    _einsum("bi,bj->bji", (2,), (2,)),
    _einsum("bij,bjk", (1, 2), (2, 1)),
    _einsum("bii->b", (2, 2)),
    _case(lambda u: torch.einsum("bi,bj->bij", u, u), (2,)),
    _case(lambda u: torch.einsum("...ij,jk->...ki", u, W), (1, 2)),
    _case(lambda u: torch.einsum("ji,bi->bj", W, u), (2,)),
    _case(lambda u: torch.einsum("bi,ij,bj->b", u, W, u), (2,)),
)


def _convolution(function, shape, weight, outputs, **options):
    """With a weight and a bias of free symbols."""
    w, b = smooth.constants("W", *weight), smooth.constants("b", outputs)
    return _case(lambda x: function(x, w, b, **options), shape)


CONVOLUTIONS = {
    "conv1d": (
        _convolution(F.conv1d, (2, 3), (2, 2, 2), 2),
        _convolution(F.conv1d, (1, 4), (1, 1, 2), 1, stride=2, padding=1, dilation=2),
        _convolution(F.conv1d, (2, 3), (2, 1, 3), 2, groups=2, padding="same"),
    ),
    "conv2d": (
        _convolution(F.conv2d, (1, 3, 2), (1, 1, 2, 2), 1, stride=(2, 1), padding=(1, 0)),
        _convolution(F.conv2d, (2, 2, 1), (2, 1, 2, 1), 2, groups=2, dilation=(1, 2)),
    ),
    "conv_transpose1d": (
        _convolution(F.conv_transpose1d, (2, 2), (2, 1, 2), 1),
        _convolution(
            F.conv_transpose1d, (1, 2), (1, 1, 2), 1,
            stride=3, padding=1, output_padding=1, dilation=2,
        ),
        _convolution(F.conv_transpose1d, (2, 2), (2, 1, 2), 2, groups=2, stride=2),
    ),
    "conv_transpose2d": (
        _convolution(F.conv_transpose2d, (1, 2, 1), (1, 1, 2, 2), 1, stride=(2, 1)),
        _convolution(F.conv_transpose2d, (2, 1, 2), (2, 1, 1, 2), 2, groups=2, padding=(0, 1)),
    ),
}  # fmt: skip


# --- normalisations -------------------------------------------------------------------------------

w1, b1 = smooth.constants("w", 2), smooth.constants("b", 2)
w4, b4 = smooth.constants("w", 4), smooth.constants("b", 4)
mean, var = smooth.constants("mean", 2), smooth.constants("var", 2)
NORMALISATIONS = {
    "layer_norm": (_case(lambda u: F.layer_norm(u, (2,), w1, b1), (2,)),),
    "group_norm": (_case(lambda u: F.group_norm(u, 2, w4, b4), (4,)),),
    "instance_norm": (
        _case(lambda u: F.instance_norm(u, weight=w1, bias=b1), (2, 2)),
    ),
    "rms_norm": (
        _case(lambda u: F.rms_norm(u, (2,), w1), (2,)),
        _case(lambda u: F.rms_norm(u, (2,), w1, eps=0.25), (2,)),
    ),
    "batch_norm": (
        _case(lambda u: F.batch_norm(u, mean, var, w1, b1), (2,)),
        _case(lambda u: F.batch_norm(u, mean, var, eps=0.25), (2, 1)),
    ),
    "normalize": (_case(lambda u: F.normalize(u, dim=-1), (2,)),),
}  # fmt: skip


# --- softmax and attention ------------------------------------------------------------------------


def _attention(queries=2, width=1, **options):
    """Of so many tokens to two, compared by that many numbers."""
    shapes = (queries, width), (2, width), (2, 1)
    return _case(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), *shapes)


def _heads(mask=None):
    """Of two tokens, in two heads of width one."""
    w, b = smooth.constants("W", 6, 2), smooth.constants("b", 6)
    v, c = smooth.constants("V", 2, 2), smooth.constants("c", 2)

    def function(x):
        x = x.transpose(0, 1)  # tokens first
        arguments = 2, 2, w, b, None, None, False, 0.0, v, c
        options = {"attn_mask": mask, "training": False, "need_weights": False}
        return F.multi_head_attention_forward(x, x, x, *arguments, **options)[0].transpose(0, 1)

    return _case(function, (2, 2))


SOFTMAX = {
    "softmax": (_case(lambda u: torch.softmax(u, -1), (3,)),),
    "log_softmax": (_case(lambda u: torch.log_softmax(u, -1), (3,)),),
    "logsumexp": (_case(lambda u: torch.logsumexp(u, -1), (3,)),),
    "scaled_dot_product_attention": (
        _attention(queries=1, width=4),
        _attention(scale=0.5, is_causal=True),
        _attention(attn_mask=torch.tensor([[0.5, -1.0], [0.0, 2.0]])),
        _attention(attn_mask=torch.tensor([[True, False], [True, True]])),
    ),
    "multi_head_attention": (_heads(), _heads(torch.tensor([[False, True], [False, False]]))),
}
LAYERS = {"einsum": EINSUMS} | CONVOLUTIONS | NORMALISATIONS | SOFTMAX
