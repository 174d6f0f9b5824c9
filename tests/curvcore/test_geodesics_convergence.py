"""Geodesics: when Newton's method has arrived, and where it cannot."""

import pytest
import torch

import curvcore
from curvcore import geodesics
from tests.support.curves import (
    SEGMENTS,
    bent,
    cylinder,
    energy,
    every_dtype,
    fourier_features,
    interpolated,
    pairs,
    points,
    sphere_by_angles,
)
from tests.support.immersions import (
    random_points,
    stereographic_sphere,
)
from tests.support.tolerance import assert_close, assert_identical, eps

# --- convergence ----------------------------------------------------------------------------------


def test_convergence_is_quadratic(monkeypatch):
    """Digits double: errors of 1e-1, 1e-2, 1e-4, 1e-8. Steps of first order take dozens."""
    monkeypatch.setattr(geodesics, "ITERATIONS", 4)
    start, end = pairs(2, 20)
    assert curvcore.geodesic(sphere_by_angles, start + 1.5, end + 1.5).converged.all()
    assert curvcore.geodesic(fourier_features(2, frequency=1.5), start, end).converged.all()


def test_curves_that_run_out_of_iterations_say_so(monkeypatch):
    monkeypatch.setattr(geodesics, "ITERATIONS", 1)
    start, end = pairs(2, 4)
    end[2] = start[2]
    found = curvcore.geodesic(fourier_features(2), start, end, segments=SEGMENTS)
    assert found.converged.tolist() == [False, False, True, False]
    line = curvcore.path_length(fourier_features(2), interpolated(start, end))
    assert (found.length <= line).all()


@pytest.mark.slow
def test_a_minimum_on_a_kink_is_not_taken_for_convergence():
    """The plane outside a disc, twice: the shortest way is along the rim, which no step finds."""

    def outside(z):
        angle, distance = z.unbind(1)
        rim = torch.stack([angle.cos(), angle.sin()], 1)
        return rim * (1 + distance.abs())[:, None]

    start, end = points([0, 0], dtype=torch.float32), points([2, 0], dtype=torch.float32)
    path = interpolated(start, end)
    path[:, 1:-1, 1] += 0.1
    with pytest.warns(curvcore.PiecewiseLinearWarning):
        found = curvcore.geodesic(outside, start, end, path=path, segments=SEGMENTS)
    assert not found.converged
    assert energy(outside, found.path) < energy(outside, path)


def test_a_saddle_in_a_direction_without_length_is_given_up():
    """On the crease of a fold E falls to either side, and no multiple of g bounds a step there."""
    start, end = points([1e-10, -1]), points([1e-10, 1])

    def fold(z):
        return torch.stack([z[:, 1], z[:, 1] ** 2 + z[:, 0] ** 2], 1)

    found = curvcore.geodesic(fold, start, end, segments=SEGMENTS)
    assert not found.converged
    assert_close(found.path, interpolated(start, end))


def test_where_nothing_has_length_the_straight_line_stays():
    start, end = pairs(2, 3)
    found = curvcore.geodesic(DEGENERATE["constant"], start, end, segments=SEGMENTS)
    assert_close(found.path, interpolated(start, end))


def test_energy_falls_where_newton_would_climb():
    """From far off the Hessian is indefinite: damping finds the way down all the same."""
    decoder = fourier_features(3, frequency=8.0)
    start, end = pairs(3, 10)
    found = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    assert found.converged.all()
    assert (energy(decoder, found.path) < energy(decoder, interpolated(start, end))).all()


def test_a_point_is_its_own_geodesic():
    z = random_points(0, 2, 3)
    found = curvcore.geodesic(stereographic_sphere(), z, z, segments=SEGMENTS)
    assert found.converged.all()
    assert not found.length.any()
    assert_identical(found.path, z[:, None].expand(3, SEGMENTS + 1, 2).contiguous())


DEGENERATE = {
    "constant": lambda z: torch.cat([0 * z, 0 * z + 1], 1),
    "one_coordinate_unused": lambda z: cylinder(torch.stack([z[:, 1], z[:, 1]], 1)),
    "a_curve_askew": lambda z: cylinder(z.sum(1, keepdim=True).expand(len(z), 2)),
    "fold": lambda z: torch.stack([z[:, 0] ** 2, z[:, 1], z[:, 1] ** 2], 1),
}


@every_dtype
@pytest.mark.parametrize("decoder", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_metrics(decoder, dtype):
    start, end = pairs(2, 6, dtype)
    path = bent(start, end, 0.1)
    found = curvcore.geodesic(decoder, start, end, path=path, segments=SEGMENTS)
    assert found.converged.all()
    assert (energy(decoder, found.path) <= energy(decoder, path) * (1 + 100 * eps(dtype))).all()


def test_a_decoder_with_kinks_warns_once():
    start, end = pairs(2, 3)
    with pytest.warns(curvcore.PiecewiseLinearWarning) as seen:
        curvcore.geodesic(lambda z: torch.cat([z, z.relu()], 1), start, end, segments=4)
    assert len(seen) == 1
    assert seen[0].filename == __file__
