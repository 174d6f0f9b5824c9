"""Distances of all pairs, and nearest neighbours, against closed forms and discrete geodesics."""

import math
import sys

import pytest
import torch

import curvcore
from curvcore.geodesics import is_local_minimum
from curvcore.statistics.curves import basis, shortest, start_derivatives
from curvcore.statistics.fields import DecoderField, SplineField
from curvcore.statistics.splines import MetricSpline
from tests.support.curves import cylinder, hill
from tests.support.immersions import (
    RandomImmersion,
    random_points,
    ring_torus,
    stereographic_sphere,
)

pytest.importorskip("scipy")
TURN = 2 * math.pi
sphere = stereographic_sphere()


def flat_torus(z):
    return torch.cat([torch.cos(z), torch.sin(z)], 1)


def great_circles(z, w):
    chord = (sphere(z)[:, None] - sphere(w)).norm(dim=2)
    return 2 * torch.asin((chord / 2).clamp(max=1))


def angles(d, count, seed=0):
    return math.pi * (1 + random_points(seed, d, count))


def violated(distance):
    """By how much the triangle inequality is, at most."""
    through = (distance[:, :, None] + distance).amin(1)
    return (distance - through).max()


@pytest.mark.parametrize(
    ("d", "count", "dtype"),
    [
        (2, 40, torch.float64),
        (2, 40, torch.float32),
        (4, 6, torch.float64),
        pytest.param(3, 20, torch.float64, marks=pytest.mark.slow),
    ],
)
def test_great_circles(d, count, dtype):
    """Within the error bars wherever there are any, which rounding widens; symmetric to the bit."""
    z = random_points(0, d, count, dtype) / 2
    found = curvcore.distance_matrix(sphere, z)
    error = (found.distance - great_circles(z.double(), z.double())).abs()
    assert found.distance.dtype == dtype
    assert torch.equal(found.distance, found.distance.T)
    assert (found.distance.diagonal() == 0).all()
    assert found.converged.all()
    assert (found.error <= 1e-4 * found.distance).all()
    assert (error <= found.error + 16 * torch.finfo(dtype).eps).all()


def test_lines_are_straight():
    z = random_points(0, 1, 7)
    found = curvcore.distance_matrix(lambda z: torch.cat([z.cos(), z.sin()], 1), z)
    assert (found.distance - (z - z.T).abs()).abs().max() <= 1e-12


def test_points_from_others():
    z, w = random_points(0, 2, 4), random_points(1, 2, 3)
    found = curvcore.distance_matrix(sphere, z, w)
    assert found.distance.shape == found.error.shape == found.converged.shape == (4, 3)
    assert (found.distance - great_circles(z, w)).abs().max() <= 1e-4
    same = curvcore.distance_matrix(sphere, z, z)
    assert (same.distance.diagonal() == 0).all()
    assert same.converged.all()


@pytest.mark.parametrize(
    ("surface", "periods", "radius"),
    [(flat_torus, (TURN, TURN), 1), (cylinder, (TURN, 0), 2)],
    ids=["torus", "cylinder"],
)
def test_the_shorter_way_around(surface, periods, radius):
    """Of two geodesics that join a pair, one on each side."""
    z = angles(2, 20)
    step = (z[:, None] - z).abs()
    across = [
        torch.minimum(s, p - s) if p else s for s, p in zip(step.unbind(2), periods, strict=True)
    ]
    expected = torch.hypot(radius * across[0], across[1])
    found = curvcore.distance_matrix(surface, z, periods=periods)
    assert (found.distance - expected).abs().max() <= 1e-10
    assert found.converged.all()


def ridge(z):
    """A ridge along y, with a pass at y = 0, which ends at |y| = 1."""
    x, y = z[:, :1], z[:, 1:]
    crest = (3.5 - 1.3 * torch.exp(-6 * y**2)) * torch.exp(-((y / 1.2) ** 4))
    return torch.cat([z, crest * torch.exp(-3 * x**2)], 1)


@pytest.mark.slow
def test_around_a_ridge_or_over_its_pass():
    """The straight line is a local minimum, and the way around, from a path in the graph, less."""
    z = torch.tensor([[-2.0, 0], [2, 0]], dtype=torch.float64)
    over = curvcore.geodesic(ridge, z[:1], z[1:], segments=128)
    assert is_local_minimum(ridge, over.path).all()
    turn = torch.linspace(0, math.pi, 129, dtype=torch.float64)
    side = torch.stack([-2 * turn.cos(), 2 * turn.sin()], 1)[None]
    side[:, 0], side[:, -1] = z
    around = curvcore.geodesic(ridge, z[:1], z[1:], path=side, segments=128).length
    assert around < 0.95 * over.length
    found = curvcore.distance_matrix(ridge, z, tolerance=1e-3)
    assert found.converged.all()
    assert abs(found.distance[0, 1] - around) <= 1e-3 * around


def test_the_triangle_inequality():
    for decoder, z, periods in (
        (hill, 2 * random_points(0, 2, 30), None),
        (ring_torus(), angles(2, 20), (TURN, TURN)),
        (RandomImmersion(0, 2, 9), 2 * random_points(1, 2, 20), None),
    ):
        found = curvcore.distance_matrix(decoder, z, periods=periods)
        assert found.converged.all()
        assert violated(found.distance) <= 3e-4 * found.distance.max()


@pytest.mark.parametrize("d", [2, 5])
def test_discrete_geodesics_have_these_lengths(d):
    decoder = RandomImmersion(0, d, 12, depth=2)
    z, w = 2 * random_points(0, d, 4), 2 * random_points(1, d, 4)
    found = curvcore.distance_matrix(decoder, z, w)
    length = curvcore.geodesic(decoder, z, w, segments=128).length
    assert (found.distance.diagonal() / length - 1).abs().max() <= 1e-4
    assert found.converged.all()


def test_geodesics_out_of_the_box_are_flagged():
    """Nearly opposite points of a sphere, whose geodesic goes through what is infinitely far."""
    z = torch.tensor([[4.0, 0], [-4.0, 0.1]], dtype=torch.float64)
    found = curvcore.distance_matrix(sphere, z)
    assert not found.converged[0, 1]
    assert found.error[0, 1] == math.inf


def test_domains_that_end():
    """Where g is not finite, or beyond a box that is given, no curve goes."""

    def logarithms(z):
        return z.log()

    z = 0.1 + random_points(0, 2, 12).abs()
    expected = torch.cdist(z.log(), z.log())
    for box in (None, [[0.05, 2], [0.05, 2]]):
        found = curvcore.distance_matrix(logarithms, z, box=box)
        assert found.converged.all()
        assert (found.distance - expected).abs().max() <= 1e-4


def test_all_are_flagged_where_the_metric_is_degenerate():
    found = curvcore.distance_matrix(lambda z: z[:, :1] + 0 * z, random_points(0, 2, 4))
    assert found.converged.diagonal().all()
    assert found.converged.sum() == 4


# --- curves ---------------------------------------------------------------------------------------


def sphere_curves(d, terms):
    z, start = random_points(0, d, 6), random_points(1, d, 1) / 2
    ends = torch.stack([start.expand_as(z), z]).movedim(-1, 1)
    field = DecoderField(sphere, z)
    curves = shortest(field, ends, ends.new_zeros(d, 6, terms), 1e-13)
    return field, curves, start, great_circles(start, z)[0]


@pytest.mark.parametrize("d", [2, 4])
def test_polynomials_converge_faster_than_any_power(d):
    errors = []
    for terms in (4, 8, 16):
        _, curves, _, length = sphere_curves(d, terms)
        errors.append((curves.length - length).abs().max())
        assert curves.stationary.all()
        assert curves.minimal.all()
    assert errors[1] <= 1e-3 * errors[0]
    assert errors[2] <= 1e-13


def test_geodesics_behind_a_conjugate_point_are_no_minima():
    """The outer equator of a torus, conjugate after π √(r/(R + r)) of angle."""
    field = DecoderField(ring_torus(), random_points(0, 2, 1))
    for angle, expected in ((1.3, True), (1.5, False)):  # π/√5 = 1.405
        end = torch.tensor([[0.0, 0], [angle, 0]], dtype=torch.float64)
        curves = shortest(field, end[..., None], torch.zeros(2, 1, 12, dtype=torch.float64))
        assert curves.stationary.all()
        assert abs(curves.length - 2.5 * angle) <= 1e-10
        assert curves.minimal.item() == expected


@pytest.mark.parametrize("d", [2, 4])
def test_the_hessian_of_half_the_squared_distance(d):
    """On a sphere 1 along the geodesic and r cot r across it; its gradient is −log."""
    field, curves, start, r = sphere_curves(d, 16)
    gradient, hessian = start_derivatives(field, curves)
    lower = torch.linalg.cholesky(curvcore.metric(sphere, start))
    scaled = torch.linalg.solve(lower, torch.linalg.solve(lower, hessian).mT)
    values = torch.linalg.eigvalsh((scaled + scaled.mT) / 2)
    assert (values[:, :-1] - (r / r.tan())[:, None]).abs().max() <= 1e-11
    assert (values[:, -1] - 1).abs().max() <= 1e-11
    length = torch.linalg.solve(lower, gradient[..., None])[..., 0].norm(dim=1)
    assert (length - r).abs().max() <= 1e-11


def test_the_energy_of_a_spline_and_its_derivatives():
    box = 3 * torch.tensor([[-1.0, 1], [-1, 1]], dtype=torch.float64)
    spline = MetricSpline(hill, box[:, :2], box, 32)
    field = SplineField(spline)
    x = spline.coordinates(random_points(0, 2, 6)).mT
    v, w = random_points(1, 2, 6).mT, random_points(2, 2, 6).mT
    h = 1e-4

    def energy(s):
        return field.parts(x + s * v, w).energy

    parts = field.parts(x, w)
    assert (parts.momentum - (parts.metric * w).sum(1)).abs().max() <= 1e-12
    slope = (energy(h) - energy(-h)) / (2 * h)
    assert (slope - (parts.force * v).sum(0)).abs().max() <= 1e-6
    bend = (energy(h) - 2 * energy(0) + energy(-h)) / h**2
    assert (bend - ((parts.bend * v).sum(1) * v).sum(0)).abs().max() <= 1e-4


def test_splines_converge_with_order_four():
    box = 3 * torch.tensor([[-1.0, 1], [-1, 1]], dtype=torch.float64)
    errors = [MetricSpline(hill, box, box, nodes).errors.median() for nodes in (65, 129)]
    assert 11 <= errors[0] / errors[1] <= 20


def test_a_basis_is_orthonormal():
    b = basis(5)
    gram = torch.einsum("kq,nq,q->kn", b.slope, b.slope, b.weights)
    assert (gram - torch.eye(5)).abs().max() <= 1e-13
    moved = b.with_start()
    assert moved.value.shape == (6, len(b.nodes))


# --- neighbours -----------------------------------------------------------------------------------


@pytest.mark.grid
@pytest.mark.parametrize(("d", "count"), [(2, 60), (4, 12)])
def test_the_nearest_of_all(d, count):
    """As the whole matrix has them, behind the point itself."""
    decoder = hill if d == 2 else RandomImmersion(0, d, 9)
    z = 2 * random_points(0, d, count)
    found = curvcore.geodesic_neighbours(decoder, z, 5)
    whole = curvcore.distance_matrix(decoder, z).distance.sort(1).values[:, :6]
    assert found.distance.shape == found.error.shape == (count, count)
    assert (found.distance.indptr[1:] - found.distance.indptr[:-1] == 6).all()
    assert (torch.from_numpy(found.distance.data).reshape(count, 6) - whole).abs().max() <= 1e-4
    assert found.converged.all()


def test_scikit_learn_takes_them():
    neighbors = pytest.importorskip("sklearn.neighbors")
    z = 2 * random_points(0, 2, 40)
    graph = curvcore.geodesic_neighbours(hill, z, 6).distance
    search = neighbors.NearestNeighbors(n_neighbors=5, metric="precomputed").fit(graph)
    distance, index = search.kneighbors()
    assert distance.shape == (40, 5)
    assert (distance[:, 0] > 0).all()
    assert (graph[range(40), index[:, 0]] == distance[:, 0]).all()


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: curvcore.distance_matrix(sphere, z, z[:, :1]), "agree in d, dtype"),
        (lambda z: curvcore.distance_matrix(sphere, z, z * math.nan), "NaN or Inf"),
        (lambda z: curvcore.distance_matrix(sphere, z, periods=(1.0, 0)), "metric at z . periods"),
        (lambda z: curvcore.distance_matrix(sphere, z, periods=(-1.0, 0)), "positive, or 0"),
        (lambda z: curvcore.distance_matrix(sphere, z, periods=(1.0,)), "periods must be"),
        (lambda z: curvcore.distance_matrix(sphere, z, box=[[0, 1], [0, 1]]), "does not hold"),
        (lambda z: curvcore.distance_matrix(sphere, z, tolerance=0), "between 0 and 1"),
        (lambda z: curvcore.geodesic_neighbours(sphere, z, 5), "k must be 4 at most"),
        (lambda z: curvcore.geodesic_neighbours(sphere, z, 0), "k must be a positive integer"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(curvcore.InputError, match=message):
        call(random_points(0, 2, 5))


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse.csgraph", None)
    with pytest.raises(ModuleNotFoundError, match=r"curvcore\[geodesics\]"):
        curvcore.distance_matrix(sphere, random_points(0, 2, 3))


@pytest.mark.slow
def test_error_bars_know_of_what_is_between_nodes():
    """Of a bump that is narrower than what is between a curve's own nodes."""
    width, centre = 0.01, 0.47

    def bump(z):
        square = (z - torch.tensor([centre, 0.0], dtype=z.dtype)).square().sum(1, keepdim=True)
        return torch.cat([z, width * torch.exp(-square / (2 * width**2))], 1)

    x = torch.linspace(0, 1, 12, dtype=torch.float64)
    z = torch.stack([x, 0 * x], 1)
    found = curvcore.distance_matrix(bump, z)
    first, last = torch.triu_indices(12, 12, 1)
    t = torch.linspace(0, 1, 401, dtype=torch.float64)[:, None]
    shortest = torch.full_like(found.distance[first, last], torch.inf)
    for aside in (0, 1.5 * width, 3 * width, 5 * width):
        path = torch.lerp(z[first][:, None], z[last][:, None], t)
        turn = torch.exp(-(((path[..., 0] - centre) / (6 * width)) ** 2)) * torch.sin(
            torch.pi * t[:, 0]
        )
        path[:, 1:-1, 1] += aside * turn[:, 1:-1]
        known = curvcore.geodesic(bump, z[first], z[last], path=path, segments=400)
        shortest = torch.where(known.converged, shortest.minimum(known.length), shortest)
    off = (found.distance[first, last] - shortest).abs()
    converged = found.converged[first, last]
    assert converged.sum() > 20
    assert (off <= found.error[first, last] + 3e-6 * shortest)[converged].all()  # of 400 segments
