"""Enclosures in metrics of data space: they contain what is known, by both formulas."""

from fractions import Fraction

import flint
import pytest
import torch
from torch import nn

import curvcore
from tests.support.ambient import ball, half_space, same
from verification import certify
from verification.exact import balls_of_decoders

D = torch.float64
POINTS = torch.tensor([[0.5, 0.25], [-0.125, 0.375], [0.75, 0.0625]], dtype=D)
FORMULAS = ("gauss", "intrinsic")


def paraboloid(x):
    """I + x xᵀ, the metric of (x, y, |x|²/2): R = 2/(1 + |x|²)²."""
    return torch.stack([x * x[:, :1], x * x[:, 1:]], 1) + torch.eye(2, dtype=x.dtype)


def flat(x):
    """diag(1, x₁²), of the plane in polar coordinates."""
    return torch.stack([torch.ones_like(x[:, 0]), x[:, 0] ** 2], 1)


def of_paraboloid(x, y):
    return Fraction(2) / (1 + Fraction(x) ** 2 + Fraction(y) ** 2) ** 2


SPACES = {
    "half-plane": (half_space, lambda x, y: Fraction(-2)),
    "ball": (ball, lambda x, y: Fraction(-2)),
    "plane": (flat, lambda x, y: Fraction(0)),
    "paraboloid": (paraboloid, of_paraboloid),
}


def encloses(number, fraction):
    with flint.ctx.workprec(1000):
        return (number * fraction.denominator - fraction.numerator).contains(0)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("name", SPACES)
def test_known_curvature(name, formula):
    metric, known = SPACES[name]
    found = certify(curvcore.bind(same, ambient=metric), POINTS, formula=formula)
    for number, point in zip(found.scalar, POINTS.tolist(), strict=True):
        assert encloses(number, known(*point))
        assert number.rad() < 1e-18


def test_the_metric_is_g():
    found = certify(curvcore.bind(same, ambient=paraboloid), POINTS)
    for metric, (x, y) in zip(found.metric, POINTS.tolist(), strict=True):
        assert encloses(metric[0, 1], Fraction(x) * Fraction(y))
        assert encloses(metric[1, 1], 1 + Fraction(y) ** 2)


def test_a_wrong_connection_leaves_the_truth_outside(monkeypatch):
    right = balls_of_decoders._slopes
    monkeypatch.setattr(balls_of_decoders, "_slopes", lambda *args: 2 * right(*args))
    found = certify(curvcore.bind(same, ambient=paraboloid), POINTS)
    for number, point in zip(found.scalar, POINTS.tolist(), strict=True):
        assert not encloses(number, of_paraboloid(*point))


DISPERSION = nn.Parameter(torch.tensor([0.5, 2.0, 5.0], dtype=D))
OUTPUTS = {
    "bernoulli": None,
    "categorical": None,
    "poisson": torch.exp,
    "gaussian": lambda y: (y[:, :3], torch.exp(y[:, 3:])),
    "negative_binomial": lambda y: (torch.exp(y[:, :3]), DISPERSION),
    "zero_inflated_negative_binomial": lambda y: (torch.exp(y[:, :3]), DISPERSION, y[:, 3:]),
}


@pytest.mark.parametrize(
    "likelihood",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith("zero") else ())
        for name in OUTPUTS
    ],
)
def test_floats_lie_near_the_enclosure(likelihood):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6)).double()
    decoder = curvcore.bind(network, likelihood=likelihood, output=OUTPUTS[likelihood])
    found = certify(decoder, POINTS)
    assert found.relative_error(curvcore.scalar_curvature(decoder, POINTS)).max() < 1e-11
    other = certify(decoder, POINTS, formula="intrinsic")
    assert all(x.overlaps(y) for x, y in zip(found.scalar, other.scalar, strict=True))


@pytest.mark.parametrize(
    ("likelihood", "output", "curvature"),
    [
        ("gaussian", lambda z: (z[:, :1], torch.exp(z[:, 1:])), Fraction(-1)),
        ("categorical", lambda z: torch.cat([z, 0 * z[:, :1]], 1), Fraction(1, 2)),
    ],
)
def test_families(likelihood, output, curvature):
    decoder = curvcore.bind(same, likelihood=likelihood, output=output)
    assert all(encloses(number, curvature) for number in certify(decoder, POINTS).scalar)


def test_a_metric_that_is_none_is_refused():
    with pytest.raises(curvcore.InputError, match="not positive at Ψ"):
        certify(curvcore.bind(same, ambient=lambda x: x[:, 0]), POINTS)
