"""f, f', f'' and f''' of every activation in float32, against the plain rules in float64."""

import pytest
import torch
import torch.nn.functional as F

from curvcore.providers.fused import elementwise

EPS = torch.finfo(torch.float32).eps
# name -> f, the rule, the greatest |f|, |f'|, |f''|, |f'''| about.
ACTIVATIONS = {
    "tanh": (torch.tanh, elementwise._tanh),
    "sigmoid": (torch.sigmoid, elementwise._sigmoid),
    "sin": (torch.sin, elementwise._sin),
    "silu": (F.silu, elementwise._silu),
    "gelu_none": (F.gelu, elementwise._gelu),
    "gelu_tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x, y: elementwise._gelu(x, y, approximate="tanh"),
    ),
}


def derivatives(x, kind):
    """f'(x) and f''(x) from the kernel: d = 1, x_1 = 1, x_11 = 0; f''' from its adjoint."""
    from curvcore.kernels import chain_rule

    one, zero = torch.ones_like(x), torch.zeros_like(x)
    stack = torch.stack([x, one, zero])
    y, f1, f2 = chain_rule.forward(stack, None, None, 1, kind)
    weights = torch.stack([zero, zero, one])  # of y_11 = f'': x̄ = f'''
    f3 = chain_rule.adjoint(stack, None, None, weights, 1, kind)[0]
    return y, f1, f2, f3


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind, device):
    function, rule = ACTIVATIONS[kind]
    near_zero = torch.logspace(-12, 0, 200)
    x = torch.cat([torch.linspace(-9, 9, 1500), near_zero, -near_zero])[:, None].to(device)
    exact = x.double()
    y = function(exact)
    for order, (found, expected) in enumerate(
        zip(derivatives(x, kind), (y, *rule(exact, y)), strict=True)
    ):
        # Of each term of f^(k) rounding takes a few eps, and of the argument |x| eps more.
        slack = 16 * EPS * (1 + exact.abs()) * expected.abs().amax()
        assert ((found - expected).abs() <= slack).all(), order


@pytest.mark.parametrize("kind", ["tanh", "sigmoid", "silu"])
def test_saturated_units_keep_their_digits(kind, device):
    function, rule = ACTIVATIONS[kind]
    x = torch.linspace(-40, -10, 200)[:, None].to(device)
    exact = x.double()
    y = function(exact)
    found = derivatives(x, kind)[1:3]
    for one, expected in zip(found, list(rule(exact, y))[:2], strict=True):
        # 2|x| eps of the exponential's argument, and what 1 + x or the like subtracts.
        assert ((one - expected).abs() <= 200 * EPS * expected.abs()).all()


def test_small_arguments_keep_their_digits(device):
    x = torch.logspace(-12, -1, 200)[:, None].to(device)
    y, _, f2, _ = derivatives(x, "tanh")
    exact = torch.tanh(x.double())
    assert ((y - exact).abs() <= 4 * EPS * exact).all()
    expected = -2 * exact * (1 - exact**2)
    assert ((f2 - expected).abs() <= 8 * EPS * expected.abs()).all()
