"""The user's own files."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from training import data
from training.errors import TrainingError

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
    with pytest.raises(TrainingError, match=r"pip install 'curvcore\[data\]'"):
        data.UserFile(path).load()
