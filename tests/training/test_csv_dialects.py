"""Columns by comma, semicolon, tab or bar; decimals by point or comma; a mark of the byte order."""

import numpy as np
import pytest

from training.data import UserFile
from training.errors import TrainingError

POINTS = np.array([[1.5, -2.25, 3.0], [0.125, 4.0, -1e-3], [7.0, 8.5, 9.0]])


def written(path, separator, decimal, header=None, encoding="utf-8", end="\n"):
    rows = [separator.join(repr(float(x)).replace(".", decimal) for x in row) for row in POINTS]
    text = end.join([*([separator.join(header)] if header else []), *rows]) + end
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.mark.parametrize("header", [None, ["x", "y", "z"]], ids=["bare", "named"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_and_decimals_are_found(tmp_path, separator, decimal, header):
    path = written(tmp_path / "a.csv", separator, decimal, header)
    np.testing.assert_array_equal(UserFile(path).load().points, POINTS)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ",")])
def test_bytes_of_other_systems(tmp_path, separator, decimal, encoding, end):
    path = written(tmp_path / "a.csv", separator, decimal, ["x", "y", "z"], encoding, end)
    np.testing.assert_array_equal(UserFile(path).load().points, POINTS)


def test_labels_beside_decimal_commas(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x;kind;y\n1,5;cat;2\n2,5;dog;3\n3,5;cat;4,25\n")
    data = UserFile(str(path), labels="kind").load()
    np.testing.assert_array_equal(data.points, [[1.5, 2], [2.5, 3], [3.5, 4.25]])
    np.testing.assert_array_equal(data.labels, [0, 1, 0])


def test_a_layout_can_be_said(tmp_path):
    """One column of decimal commas is two columns of integers to whoever does not know."""
    path = tmp_path / "a.csv"
    path.write_text("1,5\n2,5\n3,25\n")
    assert UserFile(str(path)).load().points.shape == (3, 2)
    points = UserFile(str(path), separator=";", decimal=",").load().points
    np.testing.assert_array_equal(points, [[1.5], [2.5], [3.25]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"separator": ";;"}, "separator must be one character"),
        ({"decimal": ""}, "decimal must be one of"),
        ({"separator": ",", "decimal": ","}, "are both ','"),
    ],
)
def test_layouts_that_are_none(tmp_path, options, said):
    path = written(tmp_path / "a.csv", ";", ",")
    with pytest.raises(TrainingError, match=said):
        UserFile(path, **options).load()


def test_what_does_not_fit_says_how_it_was_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1.000,5 2.000,5\n3.000,5 4.000,5\n")
    with pytest.raises(TrainingError, match="separator=, decimal="):
        UserFile(str(path)).load()
