"""Lengths near the ends of what a dtype can hold: right, or masked and counted."""

import pytest
import torch

import curvcore
from curvcore import DegenerateMetricError
from tests.support.tolerance import assert_close

RADII = [
    *((torch.float32, r) for r in (1e-18, 1e-15, 1.0, 1e15, 1e18)),
    *((torch.float64, r) for r in (1e-150, 1e-100, 1.0, 1e100, 1e150)),
]
# g = r² has lost digits below the smallest normal number, and is infinite above the largest.
BEYOND = [(torch.float32, 1e-20), (torch.float32, 1e-19), (torch.float32, 1e20)]
BEYOND += [(torch.float64, 1e-154), (torch.float64, 1e155)]


def sphere(r):
    def decoder(z):
        u, v = z.unbind(1)
        return r * torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], 1)

    return decoder


def points(dtype):
    return 0.5 + 2 * torch.rand(16, 2, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "r"), RADII)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_curvatures_of_spheres_of_any_radius(dtype, r, derivatives):
    z = points(dtype)
    geometry = curvcore.pullback(sphere(r), z, derivatives=derivatives)
    u, v = torch.eye(2, dtype=dtype)
    scalar, sectional = geometry.scalar, geometry.sectional(u, v)
    # In two steps: 1/r² itself may be out of range where R is not.
    assert_close(scalar * r * r, torch.full_like(scalar, 2), factor=100)
    assert_close(sectional * r * r, torch.ones_like(scalar), factor=100)
    error = geometry.scalar_relative_error
    assert (error < 1000 * torch.finfo(dtype).eps).all()


@pytest.mark.parametrize("length", [1e-15, 1e15])
def test_sectional_curvature_does_not_mind_how_long_vectors_are(length):
    z = points(torch.float32)
    geometry = curvcore.pullback(sphere(1.0), z)
    u, v = torch.randn(2, 16, 2)
    expected = geometry.sectional(u, v)
    assert_close(geometry.sectional(length * u, v / length), expected, factor=1000)
    u = (length * u).requires_grad_()
    (gradient,) = torch.autograd.grad(geometry.sectional(u, v).sum(), u)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("dtype", "r"), BEYOND)
def test_what_is_out_of_range_is_masked_and_counted(dtype, r):
    z = points(dtype)
    geometry = curvcore.pullback(sphere(r), z, on_degenerate="nan")
    assert geometry.is_degenerate.all()
    assert geometry.scalar.isnan().all()
    with pytest.raises(DegenerateMetricError, match="16 points"):
        curvcore.scalar_curvature(sphere(r), z)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("unit", [1e20, 1e21, 1e22, 1e30, 1e37])
def test_derivatives_that_are_subnormal_are_degenerate(derivatives, unit):
    """They have few digits, which is no fault of the decoder's, or vanish, which is no kink."""
    linear, tanh = torch.nn.Linear, torch.nn.Tanh()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = torch.nn.Sequential(linear(2, 16), tanh, linear(16, 16), tanh, linear(16, 5))
        z = unit * torch.randn(6, 2)

    def decoder(z):
        return net(z / unit)

    geometry = curvcore.pullback(decoder, z, derivatives=derivatives, on_degenerate="nan")
    assert geometry.is_degenerate.all()
    assert geometry.scalar.isnan().all()
