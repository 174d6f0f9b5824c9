"""The Gauss equation as one operation: values and gradients are those of the formulas."""

import pytest
import torch

import curvcore
from curvcore.degenerate import flat_metric
from curvcore.formulas import Formulas
from curvcore.frames import Frame
from curvcore.jets import Derivatives
from curvcore.metrics import metric
from curvcore.packing import count
from curvcore.projection import ProjectedFormulas, _Projection
from tests.support.tolerance import assert_close

SIZES = [(1, 1, 3), (2, 5, 3), (2, 4, 40), (3, 4, 7), (5, 2, 9)]
QUANTITIES = ("metric", "inverse_metric", "volume_density", "christoffel", "riemann", "scalar")


def random_channels(d, points, size):
    return torch.randn(d + count(d, 2), points, size, dtype=torch.float64)


def frame_of(channels, d):
    jacobian = channels[:d].permute(1, 2, 0)
    return Frame.of(metric(jacobian))


def plainly(channels, frame):
    d = frame.basis.shape[-1]
    levels = channels.permute(1, 2, 0).split([d, len(channels) - d], -1)
    return Formulas(frame.derivatives(Derivatives(*levels)), "gauss")


@pytest.mark.parametrize(("d", "points", "size"), SIZES)
def test_values(d, points, size):
    channels = random_channels(d, points, size)
    frame = frame_of(channels, d)
    found, expected = ProjectedFormulas(channels, frame), plainly(channels, frame)
    for name in QUANTITIES:
        one, other = getattr(found, name), getattr(expected, name)
        assert_close(one, other, scale=1 + other.abs().max(), factor=100)


@pytest.mark.grid
@pytest.mark.parametrize("bent", [False, True], ids=["orthonormal", "any basis"])
@pytest.mark.parametrize(("d", "points", "size"), [(1, 1, 3), (2, 2, 3), (3, 1, 4)])
def test_gradients_of_each_result_and_of_gradients(d, points, size, bent):
    """The projection is exact in any basis, an inexact frame included."""
    channels = random_channels(d, points, size).requires_grad_()
    basis = frame_of(channels.detach(), d).basis
    if bent:
        basis = basis + torch.randn_like(basis) / 4
    for n in range(4):
        assert torch.autograd.gradcheck(
            lambda x, n=n: _Projection.apply(x, basis, None, False)[n], channels
        )
    weights = [torch.randn_like(x) for x in _Projection.apply(channels, basis, None, False)]

    def gradient(channels):
        results = _Projection.apply(channels, basis, None, False)
        total = sum((w * x).sum() for w, x in zip(weights, results, strict=True))
        return torch.autograd.grad(total, channels, create_graph=True)[0]

    assert torch.autograd.gradcheck(gradient, channels)
    assert torch.autograd.gradcheck(lambda x: _Projection.apply(x, basis, None, False), channels)


class NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        return tuple(x.clone() for x in inputs)

    @staticmethod
    def backward(ctx, *gradients):
        return (None,) * len(gradients)


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_that_stop_after_it_are_none(create_graph):
    channels = random_channels(2, 4, 6).requires_grad_()
    results = NoGradient.apply(
        *_Projection.apply(channels, frame_of(channels, 2).basis, None, False)
    )
    total = sum(x.sum() for x in results)
    (found,) = torch.autograd.grad(total, channels, create_graph=create_graph, allow_unused=True)
    assert found is None


@pytest.mark.parametrize("flat", [False, True])
def test_points_left_out_are_nan_or_flat_and_pass_on_nothing(flat):
    channels = random_channels(2, 4, 6)
    channels[:, 1], channels[0, 2] = torch.nan, channels[1, 2]  # not finite, and singular
    left_out = torch.tensor([False, True, True, False])
    frame = Frame.of(flat_metric(left_out, metric(channels[:2].permute(1, 2, 0))))
    for create_graph in (False, True):
        given = channels.clone().requires_grad_()
        scalar = ProjectedFormulas(given, frame, left_out, flat).scalar
        assert (scalar == 0 if flat else scalar.isnan()).tolist() == left_out.tolist()
        (found,) = torch.autograd.grad(scalar.nan_to_num().sum(), given, create_graph=create_graph)
        assert (found[:, left_out] == 0).all()
        rest = channels[:, ~left_out].clone().requires_grad_()
        there = Frame(frame.basis[~left_out], None)
        (expected,) = torch.autograd.grad(ProjectedFormulas(rest, there).scalar.sum(), rest)
        assert_close(found[:, ~left_out], expected, scale=expected.abs().max(), factor=100)


@pytest.mark.parametrize("d", [2, 4])
def test_a_geometry_uses_it(d, monkeypatch):
    calls = []
    apply = _Projection.apply
    monkeypatch.setattr(_Projection, "apply", lambda *a: calls.append(1) or apply(*a))
    network = torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Tanh(), torch.nn.Linear(8, 9))
    geometry = curvcore.pullback(network, torch.randn(5, d))
    for name in QUANTITIES:
        getattr(geometry, name)
    assert len(calls) == 1
