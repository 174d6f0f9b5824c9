"""Lengths near the ends of what a dtype can hold: right, or masked and counted."""

import pytest
import torch
import torch.nn.functional as F

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


# Functions of features h in units c that do not depend on c, or are divided by it again.
UNITLESS = {
    "layer_norm": lambda h, c: F.layer_norm(h, (6,), eps=0.0),
    "rms_norm": lambda h, c: F.rms_norm(h, (6,), eps=0.0),
    "cosine_similarity": lambda h, c: F.cosine_similarity(h, h.flip(1), eps=0.0)[:, None],
    "rsqrt": lambda h, c: h * torch.rsqrt(h.square().sum(1, keepdim=True)),
    "norm": lambda h, c: h.norm(dim=1, keepdim=True) / c,
    "std": lambda h, c: h.std(1, keepdim=True) / c,
    "normalize": lambda h, c: F.normalize(h, eps=0.0),
    "quotient": lambda h, c: h[:, :3] / h[:, 3:],
    "log": lambda h, c: torch.log(h),
    "root": lambda h, c: h**0.5 / c**0.5,
    "reciprocal": lambda h, c: c * h**-1,
    "power": lambda h, c: c * (h**-1.0),
}


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
@pytest.mark.parametrize("exponent", [-45, 45])
@pytest.mark.parametrize("name", UNITLESS)
def test_curvature_does_not_mind_the_units_of_features(name, exponent, formula, derivatives):
    """f'' of √x, 1/x, ... is out of range long before f is."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        weight, bias, z = torch.randn(6, 2), torch.randn(6), torch.randn(8, 3) / 2

    def scalar(c):
        def decoder(z):
            h = c * (((z[:, :2] @ weight.mT + bias).sin() + 1.5) * z[:, 2:].exp())
            return torch.cat([z, UNITLESS[name](h, c)], 1)

        return curvcore.scalar_curvature(decoder, z, derivatives=derivatives, formula=formula)

    expected = scalar(1.0)
    # A power of two costs no rounding but in logarithms and roots of it.
    assert_close(scalar(2.0**exponent), expected, scale=expected.abs().max(), factor=300)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_powers_that_are_smooth_at_zero_are_differentiated_there(derivatives):
    def decoder(z):
        return torch.cat([z, z[:, :1] ** 2.5 + z[:, 1:] ** 2], 1)

    z = torch.tensor([[0.0, 0.3], [0.2, 0.3]], dtype=torch.float64)
    scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
    x, y = z.unbind(1)
    slopes = 1 + (2.5 * x**1.5) ** 2 + (2 * y) ** 2
    assert_close(scalar, 2 * (3.75 * x**0.5) * 2 / slopes**2, scale=torch.tensor(1.0), factor=100)
