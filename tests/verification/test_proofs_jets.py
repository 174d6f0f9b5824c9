"""The proofs of the jet rules fail once a rule is wrong."""

import inspect
from functools import partial

import pytest
import sympy as sp
import torch

from curvcore.packing import count
from curvcore.providers.fused import chain_rule, layers, products, readout, registry
from curvcore.providers.fused.jet_tensor import RULES, JetTensor
from verification.proofs import compositions, elementwise, second_order, smooth


def twice_the_last_term(right):
    """A product rule whose last channel is wrong."""

    def wrong(*args):
        channels = right(*args)
        return torch.cat([channels[:-1], 2 * channels[-1:]])

    return wrong


def swapped(right):
    """A product rule with its channels in another order."""

    def wrong(*args):
        channels = right(*args)
        return torch.cat([channels[-1:], channels[:-1]])

    return wrong


def twice_the_last_channel(rule):
    """A jet rule whose highest derivative has a wrong coefficient."""

    def wrong(*args, **kwargs):
        output = rule(*args, **kwargs)
        channels = torch.cat([output.channels[:-1], 2 * output.channels[-1:]])
        return output.like(output.value, channels)

    return wrong


def flipped(rule):
    """A jet rule whose derivatives have the wrong sign."""

    def wrong(*args, **kwargs):
        output = rule(*args, **kwargs)
        return output.like(output.value, -output.channels)

    return wrong


ATTRIBUTES = {
    "square": (chain_rule, "square"),
    "cube": (chain_rule, "cube"),
    "cross_second": (chain_rule, "cross_second"),
    "product, cross": (products, "cross"),
    "product, cross_second": (products, "cross_second"),
}


@pytest.mark.grid
@pytest.mark.parametrize("break_", [twice_the_last_term, swapped])
@pytest.mark.parametrize(
    ("part", "subject"),
    [
        ("square", "f(u)"),
        ("cube", "f(u)"),
        ("cross_second", "f(u)"),
        ("square", "f(p), p of degree 1"),
        ("cube", "f(p), p of degree 1"),
        ("cross_second", "f(p), p of degree 2"),
        ("cube", "f at points that share derivatives"),
        ("square", "u + f(u)"),
        ("cross_second", "g(V(u + f(Wu + b)))"),
        ("square", "u²"),
        ("cross_second", "u^p"),
        ("cube", "u^v"),
        ("product, cross", "u v"),
        ("product, cross_second", "u v"),
        ("product, cross", "p q, of degrees 1 and 1, 2, 3"),
        ("product, cross_second", "p q, of degrees 1 and 1, 2, 3"),
        ("product, cross", "u / v"),
        ("cube", "1 / u"),
        ("product, cross_second", "matrix product"),
    ],
)
def test_a_wrong_part_of_the_chain_rule_is_detected(monkeypatch, part, subject, break_):
    module, name = ATTRIBUTES[part]
    monkeypatch.setattr(module, name, break_(getattr(module, name)))
    assert not compositions.of(subject, [(2, 3)]).passed


@pytest.mark.parametrize("break_", [twice_the_last_channel, flipped])
@pytest.mark.parametrize(
    ("function", "subject"),
    [
        (torch.add, "u + v, u − v, 2u + c"),
        (torch.sub, "u + v, u − v, 2u + c"),
        (torch.add, "u + p, p of degree 1"),
        (torch.mul, "u v"),
        (torch.reciprocal, "u / v"),
        (torch.log, "u^v"),
        (torch.exp, "u^v"),
        (torch.square, "u²"),
        (torch.matmul, "matrix product"),
        (torch.Tensor.sum, "sums and means"),
        (torch.Tensor.mean, "sums and means"),
    ],
)
def test_a_wrong_rule_is_detected(monkeypatch, function, subject, break_):
    monkeypatch.setitem(RULES, function, break_(RULES[function]))
    assert not compositions.of(subject, [(2, 2)]).passed


def test_a_wrong_exponent_is_detected(monkeypatch):
    def power(x, y, exponent):
        yield exponent * x ** (exponent - 1)
        yield exponent * x ** (exponent - 2)

    monkeypatch.setattr(products, "_elementwise_power", registry._chain_rule(torch.pow, power))
    assert not compositions.of("u^p", [(1, 2)]).passed


@pytest.mark.parametrize("subject", ["linear layer", "g(V(u + f(Wu + b)))"])
def test_derivatives_that_see_the_offset_are_detected(monkeypatch, subject):
    monkeypatch.setattr(readout.AffineMap, "of_channels", readout.AffineMap.of_value)
    assert not compositions.of(subject, [(2, 2)]).passed


def test_a_wrong_value_is_detected(monkeypatch):
    rule = RULES[torch.sub]
    monkeypatch.setitem(RULES, torch.sub, lambda *args, **kwargs: -rule(*args, **kwargs))
    residual = compositions.RULES["u + v, u − v, 2u + c"](smooth.coordinates(1), 1)
    assert residual[0].any()


# --- the chain rule by hand ---------------------------------------------------------------------

VALUES, TANGENTS, ADJOINT = (
    "its values are those of the plain form, d = 1, 2, 3",
    "its tangent map is the derivative of its values, d = 1, 2, 3",
    "its backward pass is the adjoint of that derivative, d = 1, 2, 3",
)


LAYER = "behind a linear layer it goes back to x, by f, f', f'' and f''', d = 1, 2, 3"


def failed(findings):
    return {finding.statement for finding in findings if not finding.passed}


def in_another_order(forward):
    """f'' x_i x_j with its pairs in another order."""

    def wrong(channels, f1, f2, d):
        composed = forward(channels, f1, f2, d)
        return torch.cat([composed[:d], composed[-1:], composed[d:-1]])

    return wrong


def without_second(forward):
    """f' x_ij left out."""
    return lambda channels, f1, f2, d: forward(channels[:d], f1, f2, d)


@pytest.mark.grid
@pytest.mark.parametrize("break_", [in_another_order, without_second])
def test_a_wrong_forward_pass_is_detected(monkeypatch, break_):
    wrong = break_(chain_rule._SecondOrder.forward)
    monkeypatch.setattr(chain_rule._SecondOrder, "forward", staticmethod(wrong))
    assert failed(second_order.findings()) >= {VALUES, TANGENTS, ADJOINT}


@pytest.mark.grid
@pytest.mark.parametrize(
    ("name", "statements"),
    [("square", {VALUES, TANGENTS}), ("cross", {TANGENTS}), ("slopes", {ADJOINT})],
)
def test_a_wrong_part_of_the_second_order_is_detected(monkeypatch, name, statements):
    right = getattr(chain_rule, name)
    monkeypatch.setattr(chain_rule, name, lambda *args: -right(*args))
    assert failed(second_order.findings()) == statements


@pytest.mark.grid
@pytest.mark.parametrize("part", range(4), ids=["value", "first", "second", "all"])
def test_a_wrong_way_back_through_a_layer_is_detected(monkeypatch, part):
    right = layers._adjoint

    def wrong(channels, factors, gradient, d):
        kept = list(factors)
        if part < 3:
            kept[part] = 2 * kept[part]
        return right(channels, kept, gradient, d) * (1 if part < 3 else -1)

    monkeypatch.setattr(layers, "_adjoint", wrong)
    assert failed(second_order.findings()) == {LAYER}


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.grid
@pytest.mark.parametrize("break_", [twice_the_last_channel, flipped])
@pytest.mark.parametrize("name", elementwise.FUNCTIONS)
def test_a_wrong_derivative_of_an_elementary_function_is_detected(monkeypatch, name, break_):
    function = elementwise.FUNCTIONS[name].function
    function = function.func if isinstance(function, partial) else function
    monkeypatch.setitem(RULES, function, break_(RULES[function]))
    assert not elementwise.of(name).passed


@pytest.mark.parametrize("name", ["selu", "elu, alpha 3/2"])
def test_elementary_functions_have_their_derivatives(name):
    assert elementwise.of(name).passed


def test_a_wrong_coefficient_in_the_table_is_detected(monkeypatch):
    def tanh(x, y):
        first = 1 - y * y
        yield first
        yield -2 * y * first
        yield first * (6 * y * y - 3)

    monkeypatch.setitem(RULES, torch.tanh, registry._chain_rule(torch.tanh, tanh))
    assert not elementwise.of("tanh").passed


def _in_closure(function, name):
    """What a function, or one that it was made of, has by this name; or None."""
    names = inspect.getclosurevars(function).nonlocals
    inner = next((names[key] for key in ("rule", "differentiated") if key in names), None)
    return names.get(name) or (inner and _in_closure(inner, name))


def test_every_smooth_function_of_the_table_is_proved():
    """All but those with kinks, with constants in floats, and without a field to be proved in."""

    def derivatives(function):
        return _in_closure(RULES[function], "derivatives")

    shipped = {
        d for d in map(derivatives, RULES) if getattr(d, "__module__", "").startswith("curv")
    }
    functions = (elementary.function for elementary in elementwise.FUNCTIONS.values())
    proved = {derivatives(f.func if isinstance(f, partial) else f) for f in functions}
    kinks = {"_relu", "_leaky_relu", "_clamp", "_clamp_min", "_clamp_max"}
    floats = {"_exp2", "_log2", "_log10"}
    numerical = {"_i0", "_i0e", "_i1", "_i1e", "_ndtr", "_ndtri", "_log_ndtr", "_erfcx", "_sinc"}
    left_out = kinks | floats | numerical | {"_polygamma"}  # tested in test_special_functions.py
    assert {d.__name__ for d in shipped - proved} == left_out


def test_decimals_stand_for_themselves():
    assert elementwise.Decimals().of(3 * 0.044715) == sp.Rational(134145, 10**6)
    assert elementwise.Decimals().of(2) == 2


# --- generic functions --------------------------------------------------------------------------


def test_generic_functions_are_differentiated_by_sympy():
    (z,) = smooth.coordinates(1)
    f, f1, f2 = (smooth.derivative_of_generic("f", order) for order in range(3))
    u = sp.Function("u")(z)
    assert f(u).diff(z) == f1(u) * u.diff(z)
    assert sp.expand(f(u).diff(z, 2) - f2(u) * u.diff(z) ** 2 - f1(u) * u.diff(z, 2)) == 0


def test_derivatives_are_packed_like_jets():
    z = smooth.coordinates(2)
    channels = smooth.derivatives(smooth.generic("u", (1,), z), z, 3)[:, 0, 0]
    u = sp.Function("u0")(*z)
    assert len(channels) == sum(count(2, rank) for rank in (1, 2, 3))
    expected = [u.diff(*m) for m in ((z[0],), (z[1],), (z[0], z[0]), (z[0], z[1]), (z[1], z[1]))]
    assert list(channels[:5]) == expected


def test_generic_functions_act_on_jets_and_on_expressions():
    z = smooth.coordinates(1)
    jet = smooth.jet(smooth.generic("u", (1,), z), z, 2)
    assert isinstance(compositions.f(jet), JetTensor)
    assert compositions.f(jet).value.array[0, 0].func is smooth.derivative_of_generic("f", 0)
