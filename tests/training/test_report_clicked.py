"""Geodesics that the report's page solves itself, on the grid of a map's metric."""

from pathlib import Path

import numpy as np
import pytest
import torch

import curvcore
import training.report
from training.report.paths import GRID, grid_metric

pytestmark = pytest.mark.xdist_group("browser")
slow = pytest.mark.slow

SCRIPT = Path(training.report.__file__).with_name("geodesics.js")
BOX = ((-2.0, 2.0), (0.3, 3.0))


@pytest.fixture(scope="module")
def page(chromium):
    """An empty one, with the script."""
    page = chromium.new_page()
    page.add_script_tag(path=SCRIPT)
    return page


def half_plane():
    """A grid of the hyperbolic metric over the box: (rows, columns, 3)."""
    height = np.broadcast_to(np.linspace(*BOX[1], GRID)[:, None], (GRID, GRID))
    return np.stack([height**-2, 0 * height, height**-2], -1).astype(np.float32)


def solved(page, grid, pairs, box=BOX):
    """What the page's script finds."""
    program = """({ box, shape, values, pairs }) => {
        const metric = new LatentGeodesics.Metric(box, shape, Float32Array.from(values));
        return pairs.map(([from, to]) => LatentGeodesics.solve(metric, from, to));
    }"""
    given = {"box": box, "shape": grid.shape, "values": np.ravel(grid).tolist()}
    return page.evaluate(program, given | {"pairs": np.asarray(pairs).tolist()})


def distance(z, w):
    return np.arccosh(1 + ((z - w) ** 2).sum(-1) / (2 * z[..., 1] * w[..., 1]))


def random_pairs(count):
    unit = np.random.default_rng(0).uniform(size=(count, 2, 2))
    return unit * [2, 1] + [-1, 0.5]


@slow
def test_hyperbolic_distances(page):
    pairs = random_pairs(20)
    found = solved(page, half_plane(), pairs)
    lengths = np.array([curve["length"] for curve in found])
    # 64 segments err by (L/64)²/24, interpolation by h³ of ∂³g.
    np.testing.assert_allclose(lengths, distance(pairs[:, 0], pairs[:, 1]), rtol=2e-4)
    for curve, pair in zip(found, pairs, strict=True):
        np.testing.assert_allclose([curve["path"][0], curve["path"][-1]], pair)
        assert curve["straightLength"] >= curve["length"] * (1 - 1e-6)


@slow
def test_a_wall_is_gone_around(page):
    grid = half_plane()
    grid[:50, 32] = np.nan  # up to a height of 2.4
    (curve,) = solved(page, grid, [[[-1, 1], [1, 1]]])
    assert np.max(curve["path"], axis=0)[1] > 2.3
    assert curve["length"] > 1.2 * distance(np.array([-1, 1]), np.array([1, 1]))
    assert np.isnan(curve["straightLength"])  # not known
    grid[:, 32] = np.nan
    assert solved(page, grid, [[[-1, 1], [1, 1]]]) == [None]


@slow
def test_points_outside(page):
    assert solved(page, half_plane(), [[[-3, 1], [1, 1]], [[0, 1], [1, 9]]]) == [None, None]


@slow
def test_two_ways_around_a_hill(page):
    """The straight line over it is a geodesic too, and longer."""

    def decoder(z):
        return torch.cat([z, 2 * torch.exp(-4 * z.square().sum(1, keepdim=True))], 1)

    drawn = curvcore.curvature_map(decoder, ((-1.5, 1.5), (-1.5, 1.5)), 16)
    grid = grid_metric(decoder, drawn)
    assert grid.shape == (GRID, GRID, 3)
    nodes = torch.tensor([[-1.5, -1.5], [1.5, -1.5]], dtype=torch.float64)
    g = curvcore.metric(decoder, nodes).numpy()
    np.testing.assert_allclose(grid[0, [0, -1]], g[:, [0, 0, 1], [0, 1, 1]])
    ends = [[-1.2, 0.0], [1.2, 0.05]]
    (curve,) = solved(page, grid.astype(np.float32), [ends], ((-1.5, 1.5), (-1.5, 1.5)))
    path = torch.tensor(curve["path"], dtype=torch.float64)[None]
    start, end = torch.tensor(ends, dtype=torch.float64)[:, None]
    path = torch.cat([start[:, None], path[:, 1:-1], end[:, None]], 1)
    expected = curvcore.geodesic(decoder, start, end, path=path, segments=64)
    assert expected.converged.all()
    assert curve["length"] == pytest.approx(expected.length.item(), rel=5e-3)
    assert curve["length"] < 0.9 * curve["straightLength"]


def test_no_map_no_grid():
    assert grid_metric(lambda z: z, None) is None


def test_degenerate_nodes_are_not_known():
    drawn = curvcore.curvature_map(lambda z: torch.cat([z, z], 1), ((-1, 1), (-1, 1)), 8)
    grid = grid_metric(lambda z: z**3, drawn)
    assert np.isnan(grid[GRID // 2]).all()
    assert np.isfinite(grid[0, 0]).all()
