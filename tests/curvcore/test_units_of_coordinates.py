"""Latent coordinates of very different units: a right derivative is not refused, a wrong one is."""

import pytest
import torch

import curvcore
from curvcore import UnsupportedOperationError
from tests.support.tolerance import assert_close

SCALES = [1e-20, 1e-10, 1.0, 1e10, 1e20]


def sphere(s, factor=1.0):
    """The unit sphere in coordinates (u_0 s, u_1/s); a factor makes one of its slopes wrong."""

    def decoder(z):
        u, v = z[:, 0] / s, z[:, 1] * s
        if factor != 1:
            with torch.no_grad():
                lost = (1 - factor) * u
            u = factor * u + lost
        return torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], 1)

    return decoder


def points(s, dtype):
    u = 0.5 + 2 * torch.rand(8, 2, dtype=torch.float64)
    return (u * torch.tensor([s, 1 / s])).to(dtype)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", SCALES)
def test_units_are_no_wrong_derivative(s, dtype, derivatives):
    z = points(s, dtype)
    jet = curvcore.jet(sphere(s), z, order=1, derivatives=derivatives)
    assert jet.jacobian.isfinite().all()
    if s * s < torch.finfo(dtype).max and s * s > torch.finfo(dtype).tiny:
        scalar = curvcore.scalar_curvature(sphere(s), z, derivatives=derivatives)
        assert_close(scalar, torch.full_like(scalar, 2), factor=1000)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", SCALES)
def test_a_wrong_slope_is_found_out_in_any_unit(s, dtype, derivatives):
    with pytest.raises(UnsupportedOperationError):
        curvcore.jet(sphere(s, 0.5), points(s, dtype), order=1, derivatives=derivatives)
