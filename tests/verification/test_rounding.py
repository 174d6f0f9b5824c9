"""The estimate of R's rounding error, and the accuracy of rules, against certified truth."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from tests.support.tolerance import assert_close
from tests.verification.test_certificates import sphere
from verification import certify
from verification.decoders.random import Architecture, architectures

pytestmark = pytest.mark.slow

FACTOR = 30


@cache
def certified(architecture):
    """The decoder's points and their certificate."""
    decoder, z = architecture.build(points=8)
    return z, certify(decoder, z, relative=1e-18)


def ratios(architecture, dtype, **options):
    """True over estimated error of R, where the metric is regular and R did not come out as 0."""
    z, certificate = certified(architecture)
    decoder, _ = architecture.build()
    geometry = curvcore.pullback(decoder.to(dtype), z.to(dtype), on_degenerate="nan", **options)
    scalar = geometry.scalar.detach()
    regular = (scalar.nan_to_num(0) != 0).numpy()
    error = certificate.absolute_error(scalar.nan_to_num(0))
    estimate = (geometry.scalar_relative_error * scalar.abs()).double().numpy()
    return error[regular] / estimate[regular]


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_estimate_is_within_a_factor_on_nearly_all_points(formula, dtype):
    """Never much too small on 99 %; typically not much too large either, where luck is even."""
    chosen = [a for a in architectures(40, seed=3) if a.latent > 1]
    found = np.concatenate([ratios(a, dtype, formula=formula) for a in chosen])
    assert len(found) > 200
    assert np.quantile(found, 0.99) < FACTOR
    assert 1 / FACTOR < np.median(found) < FACTOR


@pytest.mark.parametrize("stretch", [1e-3, 1.0, 1e3])
def test_the_estimate_follows_the_condition_of_the_metric(stretch):
    """Rescaling a coordinate costs nothing; turning it first makes g ill-conditioned.

    Of the jets alone: rounding in the chart moves points, which a second pass cannot tell from what
    bends the surface.
    """
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / 2**0.5
    z = torch.rand(20, 2, dtype=torch.float64) + 0.5
    scale = torch.tensor([1.0, stretch], dtype=torch.float64)

    def worst(chart):
        inverse = torch.linalg.inv(chart)
        jet = curvcore.jet(lambda y: sphere(y @ chart), z @ inverse)
        return curvcore.PullbackGeometry(jet).scalar_relative_error.amax().item()

    assert worst(torch.diag(scale)) < 1e-14
    condition = max(stretch, 1 / stretch) ** 2
    assert 1e-17 * condition < worst(turn @ torch.diag(scale)) < 1e-14 * condition


@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
def test_the_estimate_does_not_mind_units(formula):
    """Of length, nor of the latent coordinates: R is 1/length², and all that may be lost of it."""
    z = torch.rand(20, 2, dtype=torch.float64) + 0.5

    def estimate(length=1.0, coordinate=1.0):
        def decoder(z):
            return length * sphere(coordinate * z)

        geometry = curvcore.pullback(decoder, z / coordinate, formula=formula)
        return geometry.scalar_relative_error

    for unit in (2.0**-20, 2.0**20):  # powers of two, which round nothing
        assert_close(estimate(length=unit), estimate())
        assert_close(estimate(coordinate=unit), estimate())


def test_an_estimate_above_one_says_that_no_digit_is_left():
    """D = d: R is zero, and what comes out is rounding."""
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    geometry = curvcore.pullback(decoder, torch.randn(50, 2))
    noise = geometry.scalar != 0
    assert (geometry.scalar_relative_error[noise] > 1 / FACTOR).all()


def test_degenerate_points_have_no_estimate_and_symbols_none():
    z = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    geometry = curvcore.pullback(
        lambda z: torch.cat([z**2, z[:, :1] * z[:, 1:]], 1), z, on_degenerate="nan"
    )
    assert geometry.scalar_relative_error.isnan().tolist() == [False, True]
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y")
    with pytest.raises(curvcore.InputError, match="exact"):
        _ = curvcore.pullback([x, y, x * y], (x, y)).scalar_relative_error


@pytest.mark.parametrize("activation", ["silu", "tanh", "sigmoid", "gelu", "softplus", "mish"])
def test_saturated_units_keep_their_digits(activation):
    """1 − σ and 1 − tanh² have none left where σ and tanh are near 1."""
    driven = Architecture(activation=activation, gain=20.0, ambient=5, depth=1, seed=1)
    assert ratios(driven, torch.float64, derivatives="fused").max() < FACTOR


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-10, 2.0**10, 2.0**20])  # exact in floats
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_unit_of_latent_space_is_refused(scale, dtype):
    decoder, z = Architecture(latent_scale=scale, ambient=5).build(8)
    found = curvcore.scalar_curvature(decoder.to(dtype), z.to(dtype))
    decoder, z = Architecture(ambient=5).build(8)
    expected = curvcore.scalar_curvature(decoder.to(dtype), z.to(dtype))
    assert torch.allclose(found, expected, rtol=1e5 * torch.finfo(dtype).eps)
