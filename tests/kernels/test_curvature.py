"""R of surfaces by the kernel: values, gradients, and degenerate points."""

import copy

import pytest
import torch
from torch import nn

import curvcore
from curvcore import kernels
from tests.support.tolerance import assert_close


def surface(points, size, device, scale=1.0):
    """A jet of random derivatives."""
    value = torch.zeros(points, size, device=device)
    jacobian = scale * torch.randn(points, size, 2, device=device)
    hessian = scale * torch.randn(points, size, 2, 2, device=device)
    return curvcore.Jet(value, jacobian, hessian + hessian.mT)


def exactly(jet):
    return curvcore.Jet(*(array.double() for array in jet.arrays()))


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize(("points", "size"), [(1, 3), (31, 3), (5, 100), (33, 256), (2, 1500)])
def test_values(points, size, scale, device):
    jet = surface(points, size, device, scale)
    geometry, expected = curvcore.PullbackGeometry(jet), curvcore.PullbackGeometry(exactly(jet))
    assert geometry._by_kernel is not None
    error = (geometry.scalar.double() - expected.scalar).abs() / expected.scalar.abs()
    assert (error <= 30 * geometry.scalar_relative_error.double()).all()
    torch.testing.assert_close(
        geometry.condition_number.double(), expected.condition_number, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize(("points", "size"), [(7, 5), (3, 1100)])
def test_gradients(points, size, device, monkeypatch):
    jet = surface(points, size, device)
    arrays = [array.requires_grad_() for array in jet.arrays()[1:]]
    weights = torch.randn(points, device=device)

    def gradient(arrays, weights):
        value = torch.zeros_like(arrays[0][..., 0])
        geometry = curvcore.PullbackGeometry(curvcore.Jet(value, *arrays))
        return torch.autograd.grad((geometry.scalar * weights).sum(), arrays, create_graph=True)

    found = gradient(arrays, weights)
    again = torch.autograd.grad(sum(g.square().sum() for g in gradient(arrays, weights)), arrays)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = [array.detach().double().requires_grad_() for array in arrays]
    expected = gradient(exact, weights.double())
    once_more = torch.autograd.grad(sum(g.square().sum() for g in expected), exact)
    for one, other in zip((*found, *again), (*expected, *once_more), strict=True):
        assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=1e3)


class Folded(nn.Module):
    """A decoder whose metric is singular where a coordinate vanishes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 12))

    def forward(self, z):
        return self.layers(z * z)


def test_degenerate_points_are_masked_without_gradient(device):
    torch.manual_seed(0)
    decoder, z = Folded().to(device), torch.randn(6, 2, device=device)
    z[3, 0] = 0
    scalar = curvcore.scalar_curvature(decoder, z, on_degenerate="nan")
    assert scalar.isnan().nonzero().flatten().tolist() == [3]
    scalar.nan_to_num().sum().backward()
    others = copy.deepcopy(decoder)
    others.zero_grad()
    curvcore.scalar_curvature(others, z[[0, 1, 2, 4, 5]]).sum().backward()
    for one, other in zip(decoder.parameters(), others.parameters(), strict=True):
        if other.grad is not None:
            assert_close(one.grad, other.grad, scale=1e3 * (1 + other.grad.abs().max()))
    with pytest.raises(curvcore.DegenerateMetricError, match="1 points: 3"):
        curvcore.scalar_curvature(decoder, z)
