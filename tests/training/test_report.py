"""The report of runs: its chapters, its metrics, the page, and the command."""

import base64
import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plotly.offline import get_plotlyjs

import curvcore
from tests.support.small_runs import clouds, fit, gaussians, of_file, one_line
from training import runs
from training.__main__ import main
from training.errors import TrainingError
from training.report import chapters_of, comparison, figures, numbers, page
from training.report.chapters import pictures
from training.snapshots import snapshots

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("report"),
]


# --- chapters -------------------------------------------------------------------------------------


def test_runs_of_one_data_set_are_seen_at_the_same_points(chapter):
    first, second = (run.view for run in chapter.runs)
    np.testing.assert_array_equal(first.data.points, chapter.data.points)
    np.testing.assert_array_equal(first.ambient, second.ambient)
    assert (first.name, second.name) == ("plain", "regularised")
    assert chapter.total == 120


@pytest.mark.slow
def test_runs_of_other_data_have_a_chapter_of_their_own(plain, regularised, tmp_path):
    other = fit(tmp_path / "plain", gaussians(D=4), D=4)
    found = chapters_of([plain, other, regularised])
    assert [[run.folder for run in c.runs] for c in found] == [[plain, regularised], [other]]
    names = [[run.view.name for run in c.runs] for c in found]
    assert len({*names[0], *names[1]}) == 3  # two folders are called plain
    assert "D=4" in found[1].source


def test_eigenvalues_and_condition_are_those_of_the_metric(chapter):
    run = chapter.runs[0]
    metric = run.view.geometry.metric.numpy()
    np.testing.assert_allclose(run.eigenvalues.prod(1), np.linalg.det(metric))
    (ratio,) = [q.values(run) for q in chapter.colours if "λmax" in q.name]
    np.testing.assert_allclose(ratio, np.log10(np.linalg.cond(metric)))
    (ratio,) = [q.values(run) for q in chapter.maps if "λmax" in q.name]
    x, y = run.view.map.x[[3]], run.view.map.y[[5]]
    module, _ = runs.load(run.folder)
    node = torch.tensor(np.stack([x, y], 1))
    g = curvcore.metric(module.double().decode, node)[0].detach().numpy()
    np.testing.assert_allclose(ratio[5, 3], np.log10(np.linalg.cond(g)))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3), (5, 2, 3)), ((1, 3, 2), (5, 3, 2)), ((3, 2, 1), (5, 3, 2)),
     ((3, 1, 2), (5, 1, 2, 3)), ((6,), None), (None, None)],
)  # fmt: skip
def test_images_of_points(shape, expected):
    points = np.arange(30.0).reshape(5, 6)
    data = clouds(6).subset(range(5))
    data = replace(data, points=points, image_shape=shape)
    images = pictures(points, data)
    if expected is None or images is None:
        assert images is None
        assert expected is None
        return
    assert images.shape == expected
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)


def test_paths_are_those_of_the_last_weights(chapter):
    for run in chapter.runs:
        ends = run.view.reconstruction[chapter.landmarks[run.paths.pairs]]
        np.testing.assert_allclose(run.paths.decoded[:, [0, -1]], ends)


# --- metrics --------------------------------------------------------------------------------------


def metric(key):
    (found,) = [m for m in comparison.METRICS if m.key == key]
    return found


@pytest.mark.parametrize(
    ("key", "before", "after", "expected"),
    [
        ("mse", 1.0, 0.5, "better"), ("mse", 1.0, 1.04, "same"), ("mse", 1.0, 2.0, "worse"),
        ("continuity", 0.9, 0.95, "better"), ("continuity", 0.99, 0.98, "worse"),
        ("continuity", 1 - 1e-9, 1 - 1e-8, "same"), ("mcn", 3.0, 1.1, "better"),
        ("mcn", 1.5, 9.0, "worse"), ("mse", None, 1.0, ""), ("mse", 1.0, None, ""),
    ],
)  # fmt: skip
def test_verdicts(key, before, after, expected):
    assert comparison.verdict(metric(key), before, after) == expected


def test_scores_that_are_nearly_perfect_can_be_told_apart():
    (row,) = comparison.rows_of([{"r2": 1 - 2e-6}, {"r2": 1 - 3e-4}, {"r2": 1.0}, {"r2": 0.98}])
    assert [text for text, _ in row.cells] == ["1 − 2e−06", "1 − 0.0003", "1", "0.98"]


def test_what_has_the_unit_of_latents_is_compared_only_normalised():
    key = "mean_R2_sqrt_det_g_raw"
    rows = comparison.rows_of([{key: v, f"normalised_{key}": 2 * v} for v in (1.0, 0.1)])
    assert [row.cells[1][1] for row in rows] == ["", "better"]


def test_the_table_shows_normalised_metrics_where_they_differ():
    first = {"mse": 1.0, "mcn": 3.0, "normalised_mcn": 1.5, "stress": 0.1, "normalised_stress": 0.1}
    second = {"mse": None, "mcn": 3.0, "normalised_mcn": 1.0, "stress": 0.1}
    found = {(row.metric.key, row.normalised): row.cells for row in
             comparison.rows_of([first, second])}  # fmt: skip
    assert found == {
        ("mse", False): [("1", ""), ("–", "")],
        ("mcn", False): [("3", ""), ("3", "same")],
        ("mcn", True): [("1.5", ""), ("1", "better")],
        ("stress", False): [("0.1", ""), ("0.1", "same")],
    }


# --- the page -------------------------------------------------------------------------------------


def test_the_page_asks_for_nothing(chapter):
    text = page.rendered([chapter], "report.html")
    own = text.replace(get_plotlyjs(), "")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", own)
    assert "connect-src" not in own
    assert "default-src 'none'" in own


def test_names_are_escaped(chapter):
    evil = "</script><img src=x onerror=alert(1)>"
    view = replace(chapter.runs[0].view, name=evil)
    text = page.rendered([replace(chapter, runs=[replace(chapter.runs[0], view=view)])], "a.html")
    assert evil not in text
    assert "<img src=x" not in text


def test_the_data_of_the_page_are_the_view(chapter):
    data = numbers.chapter_in_numbers(chapter)
    run = data["runs"][0]
    scalar = np.frombuffer(base64.b64decode(run["R"]["bdata"]), "<f4")
    np.testing.assert_allclose(scalar, chapter.runs[0].view.scalar, rtol=1e-6)
    assert run["epochs"] == [0, 1, 2, 3]
    assert len(run["paths"]["lengths"]) == 28
    assert len(run["colours"]) == len(data["colours"])
    json.dumps(data, allow_nan=False)
    same = chapter.data.groups[chapter.landmarks]
    known = np.array([[d is not None for d in row] for row in data["chart"]])
    np.testing.assert_array_equal(known, same[:, None] == same[None])


def test_constant_curvature_has_a_page(chapter):
    run = chapter.runs[0]
    flat = replace(run.view.geometry, scalar=torch.zeros_like(run.view.geometry.scalar))
    chapter = replace(
        chapter, runs=[replace(run, view=replace(run.view, geometry=flat, limit=1e-6))]
    )
    figure = figures.histogram_figure(chapter)
    assert max(figure.data[0].y) == len(chapter.data)
    assert page.rendered([chapter], "a.html")


# --- the command ----------------------------------------------------------------------------------


def test_report_writes_one_file(plain, tmp_path, capsys):
    assert main(["report", str(plain), "--out", str(tmp_path / "a.html")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert "a.html" in capsys.readouterr().out


def test_report_without_metrics_measures_them(tmp_path):
    folder = fit(tmp_path / "run", gaussians())
    kept = json.loads((folder / runs.METRICS).read_text())
    (folder / runs.METRICS).unlink()
    (chapter,) = chapters_of([folder])
    assert chapter.runs[0].metrics == pytest.approx(kept)


@pytest.mark.parametrize(
    ("out", "reason"),
    [("there.html", "exists"), ("nowhere/a.html", "folder that exists"), ("a.txt", "new .html")],
)
def test_report_writes_nothing_over(plain, tmp_path, capsys, out, reason):
    (tmp_path / "there.html").write_text("mine")
    assert main(["report", str(plain), "--out", str(tmp_path / out)]) == 2
    assert reason in one_line(capsys)
    assert (tmp_path / "there.html").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_report_of_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "a.html")]) == 2
    assert "no run" in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_report_of_a_run_twice(plain, tmp_path, capsys):
    assert main(["report", str(plain), f"{plain}/", "--out", str(tmp_path / "a.html")]) == 2
    assert "named twice" in one_line(capsys)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", "[1]"),
        ("metrics.json", '{"r2": "a"}'),
        ("metrics.csv", "epoch,train/a\nx,1\n"),
    ],
)
def test_report_of_damaged_records(plain, tmp_path, capsys, name, text):
    folder = tmp_path / "run"
    shutil.copytree(plain, folder)
    (folder / name).write_text(text)
    assert main(["report", str(folder), "--out", str(tmp_path / "a.html")]) == 2
    assert f"{name} is damaged" in one_line(capsys)


def test_strange_files_are_no_snapshots(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("epoch_.ckpt", "epoch_1-v1.ckpt", "epoch_00002.ckpt", "epochs.ckpt"):
        (tmp_path / "checkpoints" / name).touch()
    assert list(snapshots(tmp_path)) == [2]


@pytest.mark.slow
def test_runs_of_data_that_changed_are_not_compared(tmp_path, capsys):
    points = np.random.default_rng(0).normal(size=(2, 90, 5))
    folders = []
    for name, rows in zip("ab", points, strict=True):
        folders.append(fit(tmp_path / name, of_file(tmp_path, rows)))
    for order in (folders, folders[::-1]):
        assert main(["report", *map(str, order), "--out", str(tmp_path / "a.html")]) == 2
        assert "not those that the run was trained on" in one_line(capsys)
        assert main(["plot", *map(str, order), "--out", str(tmp_path / "out")]) == 2
        assert "not those that the run was trained on" in one_line(capsys)


def test_a_decoder_that_collapsed_has_a_page(tmp_path):
    folder = fit(tmp_path / "run", gaussians())
    for path in (folder / runs.LAST, *snapshots(folder).values()):
        saved = torch.load(path, weights_only=True)
        weights = [name for name in saved["state_dict"] if name.endswith("coder.0.weight")]
        for name in weights:
            saved["state_dict"][name].zero_()
        torch.save(saved, path)
    (folder / runs.METRICS).unlink()
    (chapter,) = chapters_of([folder])
    text = page.rendered([chapter], "a.html")
    assert "degenerate at all points" in text
    assert "encoded to one latent point" in text
    assert (chapter.runs[0].paths.lengths == 0).all()


def test_report_of_a_damaged_snapshot(tmp_path):
    folder = fit(tmp_path / "run", gaussians())
    path = snapshots(folder)[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"epoch_00001\.ckpt is damaged"):
        chapters_of([folder])


@pytest.mark.slow
@pytest.mark.parametrize(("d", "latent"), [(1, "plane"), (2, "torus")])
def test_report_of_lines_and_tori(tmp_path, d, latent):
    folder = fit(tmp_path / "run", gaussians(), d=d, latent=latent)
    (chapter,) = chapters_of([folder])
    text = page.rendered([chapter], "a.html")
    assert ("the line of latents" in text) == (d == 1)


def test_decoded_images_are_in_the_page(tmp_path):
    points = np.random.default_rng(0).uniform(size=(120, 6))
    source = of_file(tmp_path, points, image_shape=[2, 3])
    (chapter,) = chapters_of([fit(tmp_path / "run", source, D=6)])
    assert chapter.images.shape == (120, 2, 3)
    assert chapter.runs[0].images.shape == (120, 2, 3)


def test_an_installation_has_all_that_the_page_is_made_of():
    folder = Path(page.__file__).parent
    settings = tomllib.loads(folder.parents[1].joinpath("pyproject.toml").read_text())
    shipped = settings["tool"]["setuptools"]["package-data"]["training.report"]
    assert {f.name for f in folder.iterdir() if f.is_file() and f.suffix != ".py"} == {*shipped}
