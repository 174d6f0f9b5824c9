"""Geodesics between landmarks, as the report draws them."""

import math

import numpy as np
import pytest
import torch

from training.report import paths

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("report"),
]


# --- geodesics ------------------------------------------------------------------------------------


def cylinder(z):
    """The flat cylinder of radius 1, (angle, height)."""
    return torch.stack([z[:, 0].cos(), z[:, 0].sin(), z[:, 1]], dim=1)


def bump(z):
    """A graph with a steep hill in the middle: the straight line goes over it."""
    return torch.cat([z, 3 * torch.exp(-4 * z.square().sum(1, keepdim=True))], dim=1)


def square(n, low=-1.0, high=1.0):
    grid = np.linspace(low, high, n)
    return np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)


def in_space(values):
    return values


def test_landmarks_are_far_apart():
    points = np.concatenate([square(5), np.zeros((3, 2))])
    corners = paths.landmarks_of(points, 4)
    assert np.abs(points[corners]).min() == 1
    assert len(paths.landmarks_of(np.zeros((7, 3)))) == 1
    line = np.arange(11.0)[:, None]
    assert paths.landmarks_of(line, 3).tolist() == [0, 10, 5]


@pytest.mark.slow
def test_geodesics_go_around_a_hill():
    latents = square(15)
    ends = np.array([7, 217])  # the middles of two opposite sides
    np.testing.assert_array_equal(latents[ends], [[0, -1], [0, 1]])
    found = paths.paths_of(bump, latents, ends, in_space)
    assert found.known.all()
    assert found.lengths[0] < 0.7 * found.straight_lengths[0]
    assert np.abs(found.curves[0, :, 0]).max() > 0.4
    np.testing.assert_allclose(found.curves[0, [0, -1]], latents[ends])
    assert found.decoded.shape == (1, paths.SEGMENTS + 1, 3)


def test_the_straight_line_of_a_flat_chart_is_the_geodesic():
    latents = square(8, 0, 2)
    found = paths.paths_of(cylinder, latents, np.array([0, 10, 63]), in_space)
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    chords = np.linalg.norm(np.diff(latents[[[0, 10], [0, 63], [10, 63]]], axis=1)[:, 0], axis=1)
    error = (2 / paths.SEGMENTS) ** 4 / 480  # of an angle of 2 at most, after extrapolation
    np.testing.assert_allclose(found.lengths, chords, rtol=1.1 * error)
    np.testing.assert_allclose(found.lengths, found.straight_lengths, rtol=1e-9)


def ring(z):
    """The flat torus in R^4, of circles of lengths 2π and 1."""
    a, b = (2 * math.pi * z).T
    return torch.stack([a.cos(), a.sin(), b.cos() / 2 / math.pi, b.sin() / 2 / math.pi], dim=1)


def test_on_a_torus_geodesics_take_the_short_way_round():
    latents = (square(12, 0, 11 / 12) + 1 / 24) % 1
    ends = np.array([0, 10])  # 10 steps to the right are 2 to the left
    found = paths.paths_of(ring, latents, ends, in_space, periodic=True)
    expected = 2 * math.pi * 2 / 12
    error = (expected / paths.SEGMENTS) ** 4 / 480
    np.testing.assert_allclose(found.lengths, expected, rtol=2 * error)
    np.testing.assert_allclose(found.straight_lengths, expected, rtol=2 * error)
    (chain,) = paths.chains_of(ring, latents, ends, found.pairs, periodic=True)
    np.testing.assert_allclose(chain[-1] - chain[0], [-2 / 12, 0], atol=1e-12)
    assert np.isnan(found.curves).any()  # it leaves the cell at one side
    inside = found.curves[np.isfinite(found.curves)]
    assert inside.min() >= 0
    assert inside.max() <= 1


def test_landmarks_in_separate_pieces_are_joined_by_straight_lines():
    latents = np.concatenate([square(5), square(5) + 100])
    graph = paths.chains_of(cylinder, latents, np.array([0, 40]), np.array([[0, 1]]), False)
    assert graph == [None]
    assert len(paths.paths_of(cylinder, latents, np.array([0, 40]), in_space).lengths) == 1


def crease(z):
    """A plane folded along z₁ = 0, on a scale that 64 segments do not see."""
    height = torch.sqrt(z[:, :1].square() + 1e-6)
    return torch.cat([z, 2 * height], dim=1)


def test_paths_over_a_fold_are_refined_until_their_length_is_known():
    latents = square(9)
    found = paths.paths_of(crease, latents, np.array([0, 62]), in_space, segments=8)
    steps = np.abs(latents[62] - latents[0])
    expected = np.hypot(np.sqrt(5) * steps[0], steps[1])  # unfolded, a rectangle √5 times as wide
    np.testing.assert_allclose(found.lengths, expected, rtol=paths.RESOLVED)
    assert found.curves.shape == (1, 9, 2)


def test_lengths_that_are_not_resolved_are_told():
    wiggles = np.stack([np.linspace(0, 1, 9), np.zeros(9)], 1)[None]

    def sine(z):
        return torch.stack([z[:, 0], torch.sin(80 * math.pi * z[:, 0])], 1)

    lengths, resolved = paths.lengths_of(sine, wiggles)
    assert not resolved.any()
    assert lengths[0] > 1.5  # of 160: the polyline through the nodes has 1


def test_a_single_landmark_has_no_paths():
    found = paths.paths_of(cylinder, np.zeros((9, 2)), np.array([3]), in_space)
    assert found.lengths.shape == (0,)
