"""Fréchet means, k-means, Brownian motion, volume and curvature along paths: closed forms."""

import math

import pytest
import torch

import curvcore
from curvcore.statistics.clusters import _cost
from curvcore.statistics.fields import DecoderField
from curvcore.statistics.means import _PRECISION, _Objective
from tests.support.curves import hill, sphere_by_angles
from tests.support.immersions import (
    RandomImmersion,
    pseudosphere,
    random_points,
    ring_torus,
    stereographic_sphere,
)

D = torch.float64
sphere = stereographic_sphere()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uniform(points):
    return points.new_full((len(points),), 1 / len(points))


def mean_on_a_sphere(points, weights):
    """By the exponential map of the sphere in space."""
    m = weights @ points
    for _ in range(1000):
        m = m / m.norm()
        cosine = points @ m
        angle = torch.acos(cosine.clamp(-1, 1))
        tangential = points - cosine[:, None] * m
        v = (weights * angle / tangential.norm(dim=1)) @ tangential
        m = m * torch.cos(v.norm()) + torch.sinc(v.norm() / math.pi) * v
    return m


# --- means ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 4])
def test_the_mean_on_a_sphere(d):
    z = random_points(0, d, 20)
    weights = torch.rand(20, generator=generator(), dtype=D)
    weights = weights / weights.sum()
    found = curvcore.frechet_mean(sphere, z, weights)
    m = mean_on_a_sphere(sphere(z), weights)
    assert (sphere(found.point[None])[0] - m).abs().max() <= 1e-10
    assert (found.distance - torch.acos(sphere(z) @ m)).abs().max() <= 1e-10
    assert (found.objective.diff() < 0).all()
    assert abs(found.objective[-1] - weights @ found.distance**2) <= 1e-9
    assert found.converged
    assert found.found.all()


def test_the_mean_in_the_hyperbolic_plane():
    """Of points on a meridian of the pseudosphere, a geodesic: that of their arc lengths."""
    t = 1 + torch.rand(9, generator=generator(), dtype=D)
    z = torch.stack([t, torch.full_like(t, 0.3)], 1)
    found = curvcore.frechet_mean(pseudosphere, z)
    assert abs(found.point[0].cosh().log() - t.cosh().log().mean()) <= 1e-9
    assert abs(found.point[1] - 0.3) <= 1e-9
    assert found.converged


def test_steps_that_are_too_long_are_halved():
    """Five times the way to the mean raises the objective; a quarter of that does not."""
    z = random_points(0, 2, 8)
    mean = curvcore.frechet_mean(sphere, z).point
    objective = _Objective(DecoderField(sphere, z), z, uniform(z), _PRECISION[D])
    start = mean + 0.1
    curves = objective.curves(start, torch.zeros(2, 8, 16, dtype=D))
    value = uniform(z) @ curves.length**2
    ahead, trial = objective._lower(start, 5 * (mean - start), curves, value)
    share = (ahead - start) / (mean - start)
    assert (share < 2).all()
    assert uniform(z) @ trial.length**2 < value


def test_of_what_a_mean_consists():
    """Nothing has weight but what has weight; one point is its own mean; units do not matter."""
    z = random_points(0, 2, 8)
    weights = torch.tensor([0.5, 0.25, 0.25, 0, 0, 0, 0, 0], dtype=D)
    found, few = (
        curvcore.frechet_mean(hill, *chosen) for chosen in ((z, weights), (z[:3], weights[:3]))
    )
    assert (found.point - few.point).abs().max() <= 1e-10
    alone = curvcore.frechet_mean(hill, z[:1])
    assert torch.equal(alone.point, z[0])
    assert alone.converged
    large = curvcore.frechet_mean(lambda y: hill(y / 1e6), 1e6 * z[:3], weights[:3])
    assert (large.point / 1e6 - few.point).abs().max() <= 1e-9


def test_the_mean_in_float32():
    z = random_points(0, 2, 20)
    found = curvcore.frechet_mean(sphere, z.float())
    m = mean_on_a_sphere(sphere(z), uniform(z))
    assert found.point.dtype == torch.float32
    assert found.converged
    assert (sphere(found.point[None].double())[0] - m).abs().max() <= 1e-5


def test_points_on_a_circle_have_no_mean_that_is_a_minimum():
    """Opposite points of an equator: every point of the great circle between them will do."""
    z = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=D)
    found = curvcore.frechet_mean(sphere, z)
    assert found.point.abs().max() <= 1e-10
    # r cot r = 0 at r = π/2: half of the Hessian is zero, half one.
    assert abs(found.objective[-1] - (math.pi / 2) ** 2) <= 1e-10


# --- k-means --------------------------------------------------------------------------------------


def test_clusters_on_a_sphere():
    """Three of them, whose centres are the Fréchet means; the objective never rises."""
    middle = torch.tensor([[0.0, 0], [1.2, 0], [0, 1.2]], dtype=D)
    z = (middle[:, None] + 0.2 * random_points(0, 2, 60).reshape(3, 20, 2)).flatten(0, 1)
    found = curvcore.riemannian_kmeans(sphere, z, 3, generator=generator())
    labels = found.labels.reshape(3, 20)
    assert (labels == labels[:, :1]).all()
    assert len(labels[:, 0].unique()) == 3
    for number, centre in enumerate(sphere(found.centres)):
        own = sphere(z[found.labels == number])
        assert (centre - mean_on_a_sphere(own, uniform(own))).abs().max() <= 1e-10
    assert (found.objective.diff() <= 0).all()
    assert abs(found.distance.square().sum() / found.objective[-1] - 1) <= 1e-4
    assert found.converged


@pytest.mark.slow
@pytest.mark.parametrize(("d", "count"), [(2, 60), pytest.param(4, 16, marks=pytest.mark.slow)])
def test_lloyd_never_rises(d, count):
    """And at the end every point is with its nearest centre."""
    decoder = hill if d == 2 else RandomImmersion(0, d, 9)
    z = 2 * random_points(1, d, count)
    found = curvcore.riemannian_kmeans(decoder, z, 4, generator=generator(1))
    assert len(found.objective) > 1
    assert (found.objective.diff() <= 0).all()
    distance = curvcore.distance_matrix(decoder, z, found.centres).distance
    assert torch.equal(distance.argmin(1), found.labels)
    assert (distance.amin(1) - found.distance).abs().max() <= 1e-4 * distance.max()


def test_the_best_of_several_starts():
    z, together, apart = 0.5 * random_points(0, 2, 30), generator(3), generator(3)
    found = curvcore.riemannian_kmeans(sphere, z, 5, generator=together, starts=4)
    single = [curvcore.riemannian_kmeans(sphere, z, 5, generator=apart) for _ in range(4)]
    best = min(single, key=lambda clusters: clusters.objective[-1])
    assert torch.equal(found.labels, best.labels)
    assert torch.equal(found.objective, best.objective)
    assert found.objective[-1] < single[0].objective[-1]


def test_centres_stay_where_geodesics_are_not_found():
    """Around a hole, where the decoder is not finite."""

    def decode(z):
        return torch.cat([z, (z.square().sum(1, keepdim=True) - 0.04).sqrt()], 1)

    z = random_points(0, 2, 14)
    z = z / z.norm(dim=1, keepdim=True) * (0.3 + 0.7 * z.norm(dim=1, keepdim=True))
    found = curvcore.riemannian_kmeans(decode, z, 3, generator=generator())
    assert found.centres.isfinite().all()
    assert not found.converged


def test_a_start_that_has_not_converged_is_the_last_to_be_kept():
    of_each = ((1.0, False), (3.0, True), (2.0, True))
    clusters = [(None, torch.tensor([last]), torch.tensor(ok)) for last, ok in of_each]
    assert min(clusters, key=_cost) is clusters[-1]


def test_as_many_clusters_as_points():
    z = random_points(0, 2, 4)
    found = curvcore.riemannian_kmeans(sphere, z, 4, generator=generator())
    assert sorted(found.labels.tolist()) == [0, 1, 2, 3]
    assert (found.distance <= 1e-9).all()
    again = curvcore.riemannian_kmeans(sphere, z, 4, generator=generator())
    assert torch.equal(found.centres, again.centres)
    same = curvcore.riemannian_kmeans(sphere, z[:1].expand(4, -1), 2, generator=generator())
    assert (same.distance <= 1e-9).all()


# --- Brownian motion ------------------------------------------------------------------------------


def test_heat_kernel_moments_on_a_sphere():
    """E cos θ = e^(−t) and E P₂(cos θ) = e^(−3t): spherical harmonics under ½Δ."""
    count, t = 4000, 0.4
    found = curvcore.brownian_motion(
        sphere, torch.zeros(count, 2, dtype=D), t, 40, generator=generator()
    )
    assert found.path.shape == (count, 41, 2)
    assert found.converged.all()
    cosine = -sphere(found.path[:, -1])[:, 2]
    for moment, rate in ((cosine, 1), ((3 * cosine**2 - 1) / 2, 3)):
        error = moment.mean() - math.exp(-rate * t)
        assert error.abs() <= 3 * moment.std() / math.sqrt(count)


def test_heat_kernel_moments_in_a_chart_with_drift():
    """In angles, where g^{ij} Γ^θ_ij = −cot θ: E cos θ = e^(−t) cos θ₀ all the same."""
    count, t = 4000, 0.1
    start = torch.tensor([[1.0, 0]], dtype=D).expand(count, -1)
    found = curvcore.brownian_motion(sphere_by_angles, start, t, 20, generator=generator())
    cosine = found.path[:, -1, 0].cos()
    error = cosine.mean() - math.exp(-t) * math.cos(1)
    assert error.abs() <= 3 * cosine.std() / math.sqrt(count)


def test_the_quadratic_variation():
    """Of coordinates is g⁻¹ dt, whatever the chart; that of flat space has variance t."""

    def skew(z):
        return torch.stack([2 * z[:, 0] + z[:, 1], z[:, 1]], 1)

    count = 4000
    found = curvcore.brownian_motion(
        skew, torch.zeros(count, 2, dtype=D), 1.0, 1, generator=generator()
    )
    y = skew(found.path[:, -1])
    error = 4 / math.sqrt(count)
    assert (y.T @ y / count - torch.eye(2)).abs().max() <= 2 * error


def test_walkers_that_leave_and_walkers_that_are_lost():
    z = torch.zeros(50, 1, dtype=D)
    box = torch.tensor([[-1.0, 1]], dtype=D)
    found = curvcore.brownian_motion(lambda z: z, z, 1.0, 9, box=box, generator=generator())
    within = (found.path.abs() <= 1).all(2).all(1)
    assert torch.equal(found.inside, within)
    assert 0 < within.sum() < 50
    assert found.converged.all()
    lost = curvcore.brownian_motion(lambda z: z**3, z, 1.0, 3, generator=generator())
    assert not lost.converged.any()
    assert lost.path[:, 1:].isnan().all()


# --- volume ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [D, torch.float32])
def test_points_are_spread_evenly_by_volume(dtype):
    """χ² against the area of zones of a torus, (2 + cos v / 2) / 2 dv du."""
    count, bins = 4000, 16
    box = torch.tensor([[0, 1.0], [0, 2 * math.pi]], dtype=dtype)
    found = curvcore.sample_volume(ring_torus(), box, count, generator=generator())
    assert found.points.shape == (count, 2)
    assert found.points.dtype == dtype
    edges = torch.linspace(0, 2 * math.pi, bins + 1, dtype=D)
    area = (2 * edges + edges.sin() / 2).diff() / 2
    assert abs(found.volume - area.sum()) <= 3 * found.standard_error
    expected = count * area / area.sum()
    counts = torch.histogram(found.points[:, 1].double(), edges).hist
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square <= 37.7  # of 15 degrees of freedom, in one case of a thousand
    assert 0.79 <= found.acceptance <= 0.81  # 2 of 2.5


# --- curvature along paths ------------------------------------------------------------------------


def test_curvature_along_a_great_circle():
    z = torch.linspace(-1, 1, 65, dtype=D)[None, :, None] * torch.tensor([1.0, 0, 0], dtype=D)
    found = curvcore.curvature_along(sphere, z)
    assert found.arc_length.shape == found.scalar.shape == found.ricci.shape == (1, 65)
    assert (found.scalar - 6).abs().max() <= 1e-10
    assert (found.ricci - 2).abs().max() <= 1e-10
    assert abs(found.arc_length[0, -1] - math.pi) <= 1e-3
    assert found.regular.all()


def test_curvature_along_a_meridian_of_a_torus():
    v = torch.linspace(0, 3, 40, dtype=D)
    path = torch.stack([torch.zeros_like(v), v], 1)[None].requires_grad_()
    found = curvcore.curvature_along(ring_torus(), path)
    gaussian = v.cos() / (0.5 * (2 + 0.5 * v.cos()))
    assert (found.ricci[0] - gaussian).abs().max() <= 1e-10
    assert (found.scalar[0] - 2 * gaussian).abs().max() <= 1e-10
    assert (found.arc_length[0] - v / 2).abs().max() <= 1e-12
    found.scalar.sum().backward()
    assert path.grad.isfinite().all()


def test_degenerate_nodes_are_flagged():
    path = torch.tensor([[[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]], dtype=D)
    found = curvcore.curvature_along(lambda z: z**3, path)
    assert found.regular.tolist() == [[True, False, True]]
    assert found.scalar[0, 1].isnan()


# --- bad input ------------------------------------------------------------------------------------

SQUARE = torch.tensor([[0.0, 1], [0, 1]], dtype=D)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: curvcore.frechet_mean(sphere, z, torch.ones(5)), "sum to 1; got 5"),
        (lambda z: curvcore.frechet_mean(sphere, z, [2, -1, 0, 0, 0]), "negative or NaN at 1 of 5"),
        (lambda z: curvcore.frechet_mean(sphere, z, [0.5, 0.5]), r"weights must be \(B,\) = \(5,"),
        (lambda z: curvcore.frechet_mean(sphere, z[:0]), "number of points must be"),
        (lambda z: curvcore.riemannian_kmeans(sphere, z, 6), "k must be 5 at most"),
        (lambda z: curvcore.riemannian_kmeans(sphere, z, 2.0), "k must be a positive integer"),
        (lambda z: curvcore.riemannian_kmeans(sphere, z, 2, starts=0), "starts must be a positive"),
        (lambda z: curvcore.brownian_motion(sphere, z, -1.0, 3), "time must be a positive"),
        (lambda z: curvcore.brownian_motion(sphere, z, 1.0, 0), "steps must be a positive"),
        (lambda z: curvcore.brownian_motion(sphere, z, 1.0, 2, box=SQUARE[:1]), "box must be"),
        (lambda z: curvcore.sample_volume(sphere, SQUARE.flip(1), 5), "lower and upper ends"),
        (lambda z: curvcore.sample_volume(sphere, [[0, 1]], 5), "box must be a floating tensor"),
        (lambda z: curvcore.sample_volume(sphere, SQUARE, 0), "n must be a positive"),
        (lambda z: curvcore.sample_volume(lambda z: (300 * z).exp(), SQUARE, 9), "smaller box"),
        (lambda z: curvcore.curvature_along(sphere, z), r"path must be a tensor \(B, n\+1, d\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(curvcore.InputError, match=message):
        call(random_points(0, 2, 5))


def test_a_saddle_is_left_from_another_start():
    """Of points on both sides of a hill: on its top the objective has a saddle."""

    def hill(z):
        return torch.cat([z, 3 * torch.exp(-z.square().sum(1, keepdim=True))], 1)

    z = torch.tensor([[-2.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    top = curvcore.frechet_mean(hill, z)
    assert not top.converged
    beside = curvcore.frechet_mean(hill, z, start=torch.tensor([0.0, 1.5], dtype=torch.float64))
    assert beside.converged
    assert beside.objective[-1] < top.objective[-1] / 2


def test_a_box_that_the_decoder_does_not_know():
    box = torch.tensor([[-2.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(curvcore.InputError, match="degenerate or not a number"):
        curvcore.sample_volume(lambda z: torch.cat([z.log(), z], 1), box, 5)
