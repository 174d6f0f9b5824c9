"""``fit`` on data as they come: a result of finite numbers, or one line and nothing written."""

import json
import math

import numpy as np
import pytest

from tests.support.small_runs import CURVATURE, one_line, write_config
from training.__main__ import main

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
N, D = 90, 4
ROWS = np.random.default_rng(0).normal(size=(N, D))


def array(points):
    return "points.npy", lambda path: np.save(path, points)


def changed(value, place=(7, 1)):
    points = ROWS.copy()
    points[place] = value
    return points


def table(rows, end="\n", encoding="utf-8", separator=","):
    text = end.join(separator.join(map(str, row)) for row in rows) + end
    return "points.csv", lambda path: path.write_bytes(text.encode(encoding))


def parquet(make):
    def write(path):
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        make(pandas).to_parquet(path)

    return "points.parquet", write


def truncated(kind):
    name, write = kind

    def cut(path):
        write(path)
        path.write_bytes(path.read_bytes()[:-200])

    return name, cut


FRAME = dict(zip("abcd", ROWS.T, strict=True))
CELLS = ROWS.astype(object)
WORDS = np.array(["a", "b"])[np.arange(N) % 2]

RIGHT = {  # what it is, and how to read it
    "duplicates": array(np.repeat(ROWS[:9], 10, axis=0)),
    "a_constant_column": array(changed(3.0, (slice(None), 1))),
    "up_to_1e30": array(1e30 * ROWS),
    "one_row_of_1e30": array(changed(1e30)),
    "down_to_1e-30": array(1e-30 * ROWS),
    "offset_of_1e6": array(1e6 + ROWS),
    "integers": array((100 * ROWS).astype(np.int16)),
    "booleans": array(ROWS > 0),
    "half_precision": array(ROWS.astype(np.float16)),
    "long_double": array(ROWS.astype(np.longdouble)),
    "other_byte_order": array(ROWS.astype(">f8")),
    "fortran_order": array(np.asfortranarray(ROWS)),
    "csv_of_windows": table(CELLS, "\r\n", "utf-8-sig", ";"),
    "csv_with_decimal_commas": table([[str(x).replace(".", ",") for x in row] for row in ROWS],
                                     separator=";"),
    "integer_and_boolean_columns": parquet(
        lambda pandas: pandas.DataFrame(FRAME | {"b": np.arange(N), "c": ROWS[:, 2] > 0})
    ),
}  # fmt: skip
REFUSED = {  # and what is said
    "a_nan": (array(changed(np.nan)), "NaN or infinite in 1 of 90 rows (from 0: 7)"),
    "an_infinity": (array(changed(-np.inf)), "NaN or infinite in 1 of 90 rows (from 0: 7)"),
    "one_row": (array(ROWS[:1]), "there must be (2, 1) at least"),
    "no_rows": (array(ROWS[:0]), "there must be (2, 1) at least"),
    "all_rows_equal": (array(np.ones((N, D))), "All 45 training points are equal"),
    "up_to_1e300": (array(1e300 * ROWS), "Write them in another unit"),
    "down_to_1e-300": (array(1e-300 * ROWS), "Write them in another unit"),
    "objects": (array(np.array([{"a": 1}] * N)), "cannot be read"),
    "strings": (array(ROWS.astype(str)), "points must be numbers"),
    "complex": (array(ROWS + 1j), "points must be numbers"),
    "words_in_a_column": (
        parquet(lambda pandas: pandas.DataFrame(FRAME | {"b": WORDS})), "points must be numbers",
    ),
    "dates_in_a_column": (
        parquet(lambda pandas: pandas.DataFrame(
            FRAME | {"b": pandas.date_range("2026-01-01", periods=N)})),
        "points must be numbers",
    ),
    "a_word_in_a_csv": (table([*CELLS[:-1], ["x", 1, 2, 3]]), "'x'"),
    "truncated_npy": (truncated(array(ROWS)), "cannot be read"),
    "truncated_parquet": (
        truncated(parquet(lambda pandas: pandas.DataFrame(FRAME))), "cannot be read",
    ),
}  # fmt: skip
STARTS = {"": {}, "isomap": {"warm_start": "isomap"}}


def fit(folder, kind, start):
    """The exit code, and the run's folder."""
    name, write = kind
    write(folder / name)
    source = {"class_path": "training.data.UserFile", "init_args": {"path": str(folder / name)}}
    options = {"D": D, "epochs": 1, "terms": CURVATURE} | STARTS[start]
    config, run = write_config(folder / "mine.yaml", source, **options), folder / "run"
    return main(["fit", "--config", str(config), "--run", str(run)]), run


@pytest.mark.grid
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", RIGHT)
def test_a_result_of_finite_numbers(name, start, tmp_path, capsys):
    code, run = fit(tmp_path, RIGHT[name], start)
    assert code == 0, capsys.readouterr().err
    metrics = json.loads((run / "metrics.json").read_text())
    assert math.isfinite(metrics["mse_raw"])
    assert metrics["mse_raw"] >= 0


@pytest.mark.grid
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", REFUSED)
def test_one_line_and_nothing_written(name, start, tmp_path, capsys):
    kind, said = REFUSED[name]
    code, run = fit(tmp_path, kind, start)
    assert code == 2
    assert said in one_line(capsys)
    assert not run.exists()
