"""Geodesics: against closed forms, an independent minimiser, and the geodesic equation.

The discrete geodesics of spheres, cylinders and equators are known exactly: their nodes lie at
equal steps on the smooth one, so that an arc of angle a and radius r has length 2nr sin(a/2n).
Rounding of Ψ costs each of the n steps eps |Ψ|, and a curve converges until a step promises no more
than that in length: so lengths, and decoded nodes, are right to n eps |Ψ|.
"""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import nn

import curvcore
from curvcore import discrete_energy
from tests.support.curves import (
    SEGMENTS,
    arc,
    bent,
    cylinder,
    decoded,
    every_dtype,
    fourier_features,
    hill,
    interpolated,
    pairs,
    points,
    sphere_by_angles,
)
from tests.support.immersions import (
    RandomImmersion,
    polar_plane,
    random_points,
    ring_torus,
    stereographic_sphere,
)
from tests.support.parametrisation import cases_named
from tests.support.tolerance import assert_close, assert_identical, eps

# --- closed forms ---------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("name", ["angles", "stereographic"])
def test_great_circles(name, dtype):
    """Nodes on the great circle, sin((1−t)c) p + sin(tc) q over sin c, c the angle."""
    start, end = pairs(2, 12, dtype)
    decoder = stereographic_sphere()
    if name == "angles":
        decoder, middle = sphere_by_angles, points([math.pi / 2, 0], dtype=dtype)
        start, end = middle + start, middle + end
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert found.converged.all()
    p, q = decoder(start)[:, None], decoder(end)[:, None]
    angle = (p * q).sum(2).double().acos()
    assert_close(found.length, arc(angle[:, 0]).to(dtype), scale=SEGMENTS)
    t = torch.linspace(0, 1, SEGMENTS + 1, dtype=torch.float64)
    weights = [torch.sin(s * angle) / torch.sin(angle) for s in (1 - t, t)]
    expected = weights[0][..., None] * p + weights[1][..., None] * q
    # The angle itself loses 1/sin c.
    scale = SEGMENTS / torch.sin(angle)[..., None]
    assert_close(decoded(decoder, found.path), expected.to(dtype), scale=scale)


@every_dtype
@pytest.mark.parametrize(("d", "components"), [(1, 1), (1, 3), (2, 2), (3, 5), (8, 40)])
def test_linear_decoders_have_straight_geodesics(d, components, dtype):
    """One Newton step is the solution, from any path."""
    matrix = random_points(2, d, components, dtype).T
    start, end = pairs(d, 4, dtype)
    path = bent(start, end, 0.3)
    found = curvcore.geodesic(lambda z: z @ matrix, start, end, path=path, segments=SEGMENTS)
    line = interpolated(start @ matrix, end @ matrix)
    assert found.converged.all()
    assert_close(decoded(lambda z: z @ matrix, found.path), line, scale=SEGMENTS * line.norm())
    distance = (line[:, -1] - line[:, 0]).norm(dim=1)
    assert_close(found.length, distance, scale=SEGMENTS * line.norm())


def test_helices_on_a_cylinder():
    start, end = points([0, 0], [1, -1], [0, 0]), points([1, 2], [5, 1], [9, 1])
    path = bent(start, end, 0.4)
    found = curvcore.geodesic(cylinder, start, end, path=path, segments=SEGMENTS)
    turn, rise = (end - start).unbind(1)
    assert found.converged.all()
    # |Ψ| ≤ 4, and g is the identity up to a factor 4.
    assert_close(found.length, torch.hypot(arc(turn, 2.0), rise), scale=4 * SEGMENTS)
    assert_close(found.path, interpolated(start, end), scale=10 * SEGMENTS)


def test_a_flat_plane_in_curvy_coordinates():
    """In polar coordinates the straight line is found, at equal steps."""
    start, end = points([1, 0], [2, -1], [0.5, 0]), points([1, 2.5], [1, 1.5], [3, 3])
    found = curvcore.geodesic(polar_plane, start, end, segments=SEGMENTS)
    line = interpolated(polar_plane(start), polar_plane(end))
    assert found.converged.all()
    assert_close(found.length, (line[:, -1] - line[:, 0]).norm(dim=1), scale=3 * SEGMENTS)
    assert_close(decoded(polar_plane, found.path), line, scale=3 * SEGMENTS)


@pytest.mark.parametrize(
    ("v", "turn"), [(0.0, 1.0), (math.pi, 1.0), (math.pi, 4.0)], ids=["outer", "inner", "inner_far"]
)
def test_equators_of_a_torus_that_are_stable(v, turn):
    """K < 0 on the inner one; the outer one has a first conjugate point at π√(r/(R + r)) = 1.4."""
    start, end = points([0, v]), points([turn, v])
    found = curvcore.geodesic(
        ring_torus(), start, end, path=bent(start, end, 0.2), segments=SEGMENTS
    )
    expected = arc(torch.tensor([turn]).double(), 2 + 0.5 * math.cos(v))
    assert found.converged.all()
    assert_close(found.length, expected, scale=3 * SEGMENTS)
    assert_close(found.path, interpolated(start, end), scale=10 * SEGMENTS)


def test_the_outer_equator_is_left_beyond_its_conjugate_point():
    """Exactly on it is a saddle of E, a geodesic that stays; beside it is a shorter one."""
    start, end = points([0, 0]), points([2.5, 0])
    equator = curvcore.geodesic(ring_torus(), start, end, segments=SEGMENTS)
    assert_close(equator.length, arc(torch.tensor([2.5]).double(), 2.5), scale=3 * SEGMENTS)
    path = bent(start, end, 0.01)
    found = curvcore.geodesic(ring_torus(), start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert found.length < 0.95 * equator.length


def test_the_initial_path_chooses_the_geodesic():
    """To the left of a hill, or to its right."""
    start, end = points([-2, 0], [-2, 0]), points([2, 0], [2, 0])
    path = interpolated(start, end)
    path[:, 1:-1, 1] += points(0.1, -0.1)[:, None]
    found = curvcore.geodesic(hill, start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert found.path[0, 8, 1] > 0.5
    assert_close(found.path[1], found.path[0] * points(1, -1), scale=10 * SEGMENTS)
    assert (found.length < 5).all()  # over the top it is 5.7


def test_the_length_converges_with_order_two():
    """L_n = L − a n⁻² + O(n⁻⁴): differences fall by 4, to (κL/n)² = (2 · 3/32)², κ = 1/r."""
    ends = points([0, 0.5]), points([1, 2.5])
    lengths = [
        curvcore.geodesic(ring_torus(), *ends, segments=n).length.item() for n in (32, 64, 128)
    ]
    first, second = np.diff(lengths)
    assert second > 1e-6
    assert first / second == pytest.approx(4, rel=0.035)


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.grid
@cases_named(
    "silu",
    "layer_norm",
    "image_conv_transpose",
    "attention",
    "curve",
    "four_dimensional",
    "gru",
)
def test_the_geodesic_equation(case):
    """The second difference of Ψ has no tangential part, for decoders of every kind.

    Rounding gives it 4 eps |Ψ|, and the last step leaves 16 eps |Ψ| L/ρ, quadratic in what it
    promised, where Ψ bends over distances ρ.
    """
    decoder, z = case.decoder(), 2 * case.points(6)
    with torch.no_grad():
        found = curvcore.geodesic(decoder, z[:3], z[3:], segments=SEGMENTS)
        jet = curvcore.jet(decoder, found.path.flatten(0, 1), 1)
    assert found.converged.all()
    value, jacobian = (x.unflatten(0, found.path.shape[:2]) for x in (jet.value, jet.jacobian))
    acceleration = value.diff(dim=1).diff(dim=1)
    tangents = torch.linalg.qr(jacobian[:, 1:-1]).Q
    tangential = (tangents.mT @ acceleration[..., None])[..., 0]
    assert_close(tangential, 0, scale=16 * value.norm(dim=2).max())
    if case.d > 1:  # and a normal part there is
        assert acceleration.norm(dim=2).max() > 1e-5 * value.diff(dim=1).norm(dim=2).max()


def test_against_an_independent_minimiser():
    """scipy's least squares of the steps, from values of Ψ alone.

    Differences over eps^{1/3} are right to eps^{2/3}; n² is the condition of second differences.
    """
    segments, (start, end) = 8, pairs(2, 3)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        decoder = nn.Sequential(
            nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 10)
        ).double()
        for parameter in decoder.parameters():
            parameter.data *= 3
    found = curvcore.geodesic(decoder, start, end, segments=segments)
    assert found.converged.all()
    for a, b, path in zip(start, end, found.path, strict=True):

        @torch.no_grad()
        def steps(inner, a=a, b=b):
            nodes = torch.cat([a[None], torch.from_numpy(inner).reshape(-1, 2), b[None]])
            return decoder(nodes).diff(dim=0).flatten().numpy()

        line = interpolated(a[None], b[None], segments)[0, 1:-1]
        referee = least_squares(
            steps, line.flatten(), jac="3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15
        )
        ours = (steps(path[1:-1].flatten().numpy()) ** 2).sum() / 2
        assert ours <= referee.cost * (1 + 100 * eps(torch.float64))
        assert (steps(line.flatten().numpy()) ** 2).sum() / 2 > 1.01 * ours
        np.testing.assert_allclose(
            referee.x,
            path[1:-1].flatten(),
            rtol=0,
            atol=100 * segments**2 * eps(torch.float64) ** (2 / 3),
        )


def test_linear_changes_of_the_latents_change_nothing():
    """The path moves with them, to rounding times their condition number, 2000 here."""
    decoder, (start, end) = fourier_features(2), pairs(2, 8)
    change = points([100, 30], [2, 1.1])
    back = torch.linalg.inv(change)
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    moved = curvcore.geodesic(
        lambda w: decoder(w @ change), start @ back, end @ back, segments=SEGMENTS
    )
    assert found.converged.all()
    assert moved.converged.all()
    scale = 2000 * SEGMENTS
    assert_close(moved.length, found.length, scale=scale)
    assert_close(moved.path @ change, found.path, scale=scale)


def test_a_batch_is_its_curves_one_by_one():
    """Some converge early, one is a point, and none sees the others."""
    decoder, (start, end) = fourier_features(2), pairs(2, 6)
    end[3] = start[3]
    together = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert together.converged.all()
    for k in range(len(start)):
        alone = curvcore.geodesic(decoder, start[k, None], end[k, None], segments=SEGMENTS)
        assert_close(alone.length, together.length[k, None], scale=5 * SEGMENTS)
        assert_close(alone.path, together.path[k, None], scale=5 * SEGMENTS)


def test_memory_is_bounded_by_working_on_some_curves_at_a_time(monkeypatch):
    rows, (start, end) = [], pairs(2, 5)

    def decoder(z):
        rows.append(len(z))
        return polar_plane(z + 3)

    expected = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) == 5 * 5
    monkeypatch.setattr(discrete_energy, "ENTRIES", 2 * 5 * 2 * (1 + 2 + 3))  # those of two curves
    rows.clear()
    found = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) == 5 * 5  # values alone need less
    assert rows.count(2 * 5) >= 2
    assert_close(found.path, expected.path, scale=10)
    assert_close(found.length, expected.length, scale=10)
    monkeypatch.setattr(discrete_energy, "ENTRIES", 1)  # one at a time at least
    rows.clear()
    found = curvcore.geodesic(decoder, start, end, segments=4)
    assert max(rows) <= 8  # the first jet of a decoder is checked at so many
    assert_close(found.path, expected.path, scale=10)


@every_dtype
def test_what_comes_back(dtype):
    start, end = pairs(3, 4, dtype)
    start.requires_grad_()
    decoder = RandomImmersion(0, 3, 7, dtype=dtype)
    found = curvcore.geodesic(decoder, start, end)
    assert isinstance(found, curvcore.Geodesic)
    assert found.path.shape == (4, 33, 3)
    assert found.length.shape == found.converged.shape == (4,)
    assert found.path.dtype == found.length.dtype == dtype
    assert found.converged.all()
    assert not found.path.requires_grad
    assert not found.length.requires_grad
    assert_identical(found.path[:, 0], start.detach())
    assert_identical(found.path[:, -1], end)
    assert_identical(found.length, curvcore.path_length(decoder, found.path).detach())


def test_what_is_given_is_left_alone():
    start, end = pairs(2, 3)
    path = bent(start, end, 0.2)
    before = [x.clone() for x in (start, end, path)]

    def in_place(z):
        return torch.cat([z.mul_(2), z.square()], 1)

    curvcore.geodesic(in_place, start, end, path=path, segments=SEGMENTS)
    curvcore.path_length(in_place, path)
    for now, then in zip((start, end, path), before, strict=True):
        assert_identical(now, then)


def test_no_pairs():
    found = curvcore.geodesic(polar_plane, torch.zeros(0, 2), torch.zeros(0, 2), segments=5)
    assert found.path.shape == (0, 6, 2)
    assert found.length.shape == found.converged.shape == (0,)
