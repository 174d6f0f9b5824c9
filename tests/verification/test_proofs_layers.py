"""The proofs of layers fail once a rule is wrong, and tell zero from what is not."""

import numpy as np
import pytest
import sympy as sp
import torch
import torch.nn.functional as F

from curvcore.providers import primitives
from curvcore.providers.fused import composites, products
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import rowwise
from tests.verification.test_proofs_jets import flipped, twice_the_last_channel, twice_the_last_term
from verification.proofs import layers
from verification.proofs.normal_forms import remainders

FUNCTIONS = {
    "einsum": torch.einsum,
    "conv1d": F.conv1d,
    "conv2d": F.conv2d,
    "conv_transpose1d": F.conv_transpose1d,
    "conv_transpose2d": F.conv_transpose2d,
    "layer_norm": F.layer_norm,
    "group_norm": F.group_norm,
    "instance_norm": F.instance_norm,
    "rms_norm": F.rms_norm,
    "batch_norm": F.batch_norm,
    "normalize": F.normalize,
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "logsumexp": torch.logsumexp,
    "scaled_dot_product_attention": F.scaled_dot_product_attention,
    "multi_head_attention": F.multi_head_attention_forward,
}


def test_every_layer_has_a_function():
    assert list(FUNCTIONS) == list(layers.LAYERS)


@pytest.mark.grid
@pytest.mark.parametrize("subject", FUNCTIONS)
def test_layers_are_what_they_are_defined_to_be(subject):
    finding = layers.of(subject, [(1, 2) if subject != "multi_head_attention" else (1, 1)])
    assert finding.passed, finding.figure


def of_first(break_):
    """The same of a rule that gives a tuple."""

    def broken(rule):
        def wrong(*args, **kwargs):
            first, *others = rule(*args, **kwargs)
            return break_(lambda: first)(), *others

        return wrong

    return broken


@pytest.mark.grid
@pytest.mark.parametrize("break_", [twice_the_last_channel, flipped])
@pytest.mark.parametrize("subject", FUNCTIONS)
def test_a_wrong_rule_of_a_layer_is_detected(monkeypatch, subject, break_):
    function = FUNCTIONS[subject]
    if subject == "multi_head_attention":
        break_ = of_first(break_)
    monkeypatch.setitem(RULES, function, break_(RULES[function]))
    assert not layers.of(subject, [(1, 1)]).passed


# --- what goes wrong in such rules ----------------------------------------------------------------


def with_bias(function):
    """A convolution whose derivatives see the bias."""

    def rule(x, weight, bias=None, *args, **kwargs):
        value = function(x.value, weight, bias, *args, **kwargs)
        return x.like(value, rowwise(function, x.channels, weight, bias, *args, **kwargs))

    return rule


def without(option):
    """A rule that forgets an option."""
    return lambda rule: lambda *args, **kwargs: rule(*args, **(kwargs | option))


CONVOLUTIONS = ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")


@pytest.mark.parametrize("subject", CONVOLUTIONS)
def test_derivatives_that_see_the_bias_are_detected(monkeypatch, subject):
    monkeypatch.setitem(RULES, FUNCTIONS[subject], with_bias(FUNCTIONS[subject]))
    assert not layers.of(subject, [(1, 1)]).passed


@pytest.mark.parametrize("break_", [twice_the_last_term, lambda right: lambda *a: -right(*a)])
def test_a_wrong_product_rule_of_einsum_is_detected(monkeypatch, break_):
    monkeypatch.setattr(products, "cross", break_(products.cross))
    assert not layers.of("einsum", [(1, 2)]).passed


def biased(x, dims, eps):
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True).sqrt() + eps)


def by_constant_length(x, dims, eps):
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.detach().square().mean(dims, keepdim=True) + eps).sqrt()


@pytest.mark.parametrize("wrong", [biased, by_constant_length])
@pytest.mark.parametrize("subject", ["layer_norm", "group_norm", "instance_norm"])
def test_a_wrong_deviation_is_detected(monkeypatch, subject, wrong):
    monkeypatch.setattr(primitives, "_standardise", wrong)
    assert not layers.of(subject, [(1, 1)]).passed


@pytest.mark.parametrize(
    ("subject", "option"),
    [
        ("layer_norm", {"eps": 1e-6}),
        ("rms_norm", {"eps": 1e-6}),
        ("batch_norm", {"eps": 1e-6}),
        ("group_norm", {"weight": None}),
        ("scaled_dot_product_attention", {"is_causal": False}),
        ("scaled_dot_product_attention", {"attn_mask": None}),
        ("scaled_dot_product_attention", {"scale": 1.0}),
        ("multi_head_attention", {"attn_mask": None}),
    ],
)
def test_a_rule_that_forgets_an_option_is_detected(monkeypatch, subject, option):
    function = FUNCTIONS[subject]
    monkeypatch.setitem(RULES, function, without(option)(RULES[function]))
    assert not layers.of(subject, [(1, 1)]).passed


def differentiated(x, dim):
    """exp(x − m) with an m that depends on z, as if it were constant where it is added again."""
    first = x[..., :1]
    return torch.exp(x - first), first.value


def forgotten(x, dim):
    """exp(x − m), m not added again."""
    largest = x.value.detach().amax(dim, keepdim=True)
    return torch.exp(x - largest), 0 * largest


@pytest.mark.parametrize("wrong", [differentiated, forgotten])
@pytest.mark.parametrize("subject", ["log_softmax", "logsumexp"])
def test_a_wrong_shift_is_detected(monkeypatch, subject, wrong):
    monkeypatch.setattr(composites, "_shifted_exponential", wrong)
    assert not layers.of(subject, [(1, 1)]).passed


# --- zero or not ----------------------------------------------------------------------------------

z = sp.Symbol("z")
u, v = sp.Function("u")(z), sp.Function("v")(z)
ZEROS = {
    "roots": (sp.sqrt(u**2 / 4 + v) + 1) ** 2 - u**2 / 4 - v - 1 - 2 * sp.sqrt(u**2 / 4 + v),
    "roots below": 1 / (sp.sqrt(u + 2) + 1) - (sp.sqrt(u + 2) - 1) / (u + 1),
    "two roots": (sp.sqrt(u) + sp.sqrt(v)) * (sp.sqrt(u) - sp.sqrt(v)) - u + v,
    "exponentials": sp.exp(u * (v + 1)) / sp.exp(u) - sp.exp(u * v / 2) ** 2,
    "logarithms": sp.log(sp.exp(u) + sp.exp(2 * v)) - v - sp.log(sp.exp(u - v) + sp.exp(v)),
    "derivatives": sp.sqrt(u).diff(z, 2)
    - u.diff(z, 2) / (2 * sp.sqrt(u))
    + u.diff(z) ** 2 / (4 * sp.sqrt(u) ** 3),
}


@pytest.mark.parametrize("name", ZEROS)
def test_zeros_are_known_and_nothing_else(name):
    expressions = np.array([ZEROS[name], ZEROS[name] + sp.Rational(1, 10**9)], dtype=object)
    first, second = remainders(expressions)
    assert first == 0
    assert second != 0


def test_a_root_of_a_quotient_is_refused():
    with pytest.raises(ValueError, match="the sign is not known"):
        remainders(np.array([sp.sqrt(u / v)], dtype=object))
