"""Distances, means, clusters, random walks and volumes in hyperbolic spaces."""

import math

import pytest
import torch

import curvcore
from tests.support.ambient import (
    BALL,
    GAUSSIANS,
    HALF_PLANE,
    in_ball,
    in_half_plane,
    of_ball,
    of_half_plane,
)

D = torch.float64
pytest.importorskip("scipy")


@pytest.mark.parametrize("name", ["half-plane", "gaussians"])
def test_all_distances(name):
    decoder, unit = {"half-plane": (HALF_PLANE, 1), "gaussians": (GAUSSIANS, 2**0.5)}[name]
    z = in_half_plane(12)
    found = curvcore.distance_matrix(decoder, z)
    expected = unit * of_half_plane(z[:, None], z[None])
    off = (found.distance - expected).abs()
    assert (off <= found.error + 1e-12).all()
    assert (off <= 1e-3 * expected + 1e-12).all()
    assert torch.equal(found.distance, found.distance.mT)


def test_the_mean_of_two_and_of_a_symmetric_three():
    """Of two points the middle of their geodesic; of z and its mirror images their centre."""
    ends = in_half_plane(2)
    found = curvcore.frechet_mean(HALF_PLANE, ends)
    half = of_half_plane(*ends) / 2
    assert (of_half_plane(found.point, ends) - half).abs().max() <= 1e-8
    assert found.converged
    # A rotation about i by 2π/3 in the upper half-plane.
    c, s = math.cos(math.pi / 3), math.sin(math.pi / 3)
    point, orbit = complex(0.4, 1.7), []
    for _ in range(3):
        orbit.append([point.real, point.imag])
        point = (c * point + s) / (-s * point + c)
    found = curvcore.frechet_mean(HALF_PLANE, torch.tensor(orbit, dtype=D))
    assert (found.point - torch.tensor([0.0, 1.0], dtype=D)).abs().max() <= 1e-8
    assert (found.objective.diff() <= 0).all()


def test_the_mean_where_logarithms_cancel():
    z = in_ball(8)
    found = curvcore.frechet_mean(BALL, z)
    logarithms = curvcore.logarithm_map(BALL, found.point.expand_as(z), z)
    assert logarithms.vector.mean(0).abs().max() <= 1e-8
    assert (found.distance - of_ball(found.point, z)).abs().max() <= 1e-6
    assert found.converged


@pytest.mark.slow
def test_clusters():
    centres = torch.tensor([[-1.5, 0.4], [1.5, 0.4], [0.0, 2.0]], dtype=D)
    noise = torch.randn(3, 12, 2, generator=torch.Generator().manual_seed(0), dtype=D)
    z = (centres[:, None] + 0.05 * noise).flatten(0, 1)
    found = curvcore.riemannian_kmeans(HALF_PLANE, z, 3, generator=torch.Generator().manual_seed(1))
    labels = found.labels.reshape(3, 12)
    assert (labels == labels[:, :1]).all()
    assert len(labels[:, 0].unique()) == 3
    assert (found.objective.diff() <= 0).all()


def test_heat_kernel_moments_of_the_hyperbolic_plane():
    """Δ cosh r = 2 cosh r: under ½Δ E cosh r = e^t."""
    count, t = 4000, 0.4
    start = torch.tensor([[0.0, 1.0]], dtype=D).expand(count, -1)
    found = curvcore.brownian_motion(
        HALF_PLANE, start, t, 40, generator=torch.Generator().manual_seed(0)
    )
    moment = torch.cosh(of_half_plane(found.path[:, -1], start))
    assert (moment.mean() - math.exp(t)).abs() <= 3 * moment.std() / math.sqrt(count)
    assert found.converged.all()


def test_volumes():
    """That of [−1, 1] × [½, 2] is 2 (1/½ − 1/2) = 3; below height 1 there are two thirds of it."""
    box = torch.tensor([[-1.0, 1.0], [0.5, 2.0]], dtype=D)
    found = curvcore.sample_volume(
        HALF_PLANE, box, 3000, generator=torch.Generator().manual_seed(0)
    )
    assert (found.volume - 3).abs() <= 3 * found.standard_error
    below = (found.points[:, 1] < 1).double()
    assert (below.mean() - 2 / 3).abs() <= 3 * below.std() / math.sqrt(len(below))


def test_no_box_holds_the_ball():
    """Points near its rim, of which every rectangle has corners outside."""
    z = torch.tensor([[0.0, 0.95], [0.9, 0.0], [0.1, 0.1]], dtype=D)
    found = curvcore.distance_matrix(BALL, z)
    expected = of_ball(z[:, None], z[None])
    known = found.converged
    assert known[0, 1]
    assert known[1, 2]
    assert ((found.distance - expected)[known].abs() <= found.error[known] + 1e-12).all()
