"""The report of runs: its data, its figures as plotly holds them, and the command."""

import base64
import json
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from plotly.offline import get_plotlyjs

import curvcore
from tests.support.small_runs import CURVATURE, clouds, fit, gaussians, of_file
from training import runs
from training.__main__ import main
from training.errors import TrainingError
from training.report import chapters_of, comparison, figures, numbers, page, paths, words
from training.report.chapters import pictures
from training.report.colours import own_limits
from training.report.movement import Movement
from training.snapshots import MOST, snapshots

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("report"),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("runs") / "plain", gaussians(), epochs=3)


@pytest.fixture(scope="module")
def regularised(plain):
    return fit(plain.parent / "regularised", gaussians(), epochs=2, terms=CURVATURE)


@pytest.fixture(scope="module")
def chapter(plain, regularised):
    (chapter,) = chapters_of([plain, regularised])
    return chapter


@pytest.fixture(scope="module")
def solid(plain):
    """The chapter of a run with d = 3."""
    (chapter,) = chapters_of([fit(plain.parent / "solid", gaussians(), d=3)])
    return chapter


def trace(figure, name):
    (found,) = [t for t in figure.data if t.name == name]
    return found


def one_line(capsys):
    message = capsys.readouterr().err.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    return message


# --- snapshots ------------------------------------------------------------------------------------


def test_snapshots_begin_before_the_training_and_follow_it(plain):
    assert list(snapshots(plain)) == [0, 1, 2, 3]
    states = [torch.load(path, weights_only=True) for path in snapshots(plain).values()]
    assert all("optimizer_states" not in state for state in states)
    last = torch.load(plain / runs.LAST, weights_only=True)["state_dict"]
    assert all(torch.equal(states[-1]["state_dict"][name], last[name]) for name in last)
    assert not torch.equal(*(s["state_dict"]["autoencoder.decoder.0.weight"] for s in states[:2]))


def test_snapshots_thin_out_evenly(tmp_path):
    folder = fit(tmp_path / "long", gaussians(per_cloud=20), epochs=2 * MOST + 3)
    assert list(snapshots(folder)) == [*range(0, 2 * MOST + 3, 4)]


def test_movement_ends_with_the_latents_of_the_checkpoint(chapter):
    for run, epochs in zip(chapter.runs, ([0, 1, 2, 3], [0, 1, 2]), strict=True):
        assert run.movement.epochs.tolist() == epochs
        np.testing.assert_array_equal(run.movement.latents[-1], run.view.latents)
        assert np.abs(np.diff(run.movement.latents, axis=0)).max(axis=(1, 2)).min() > 1e-4


def test_the_box_of_a_movement_holds_all_of_it(chapter):
    for run in chapter.runs:
        low, high = run.movement.box.T
        assert (low < run.movement.latents).all()
        assert (run.movement.latents < high).all()
    wild = np.concatenate([[[[-100.0, 0], [0, 90]]], [[[0.0, 0], [2, 1]]]])
    np.testing.assert_allclose(
        Movement(np.arange(2), wild).box, [[-2.2, 2.2], [-0.2, 3.7]], atol=1e-3
    )
    still = Movement(np.array([3]), np.zeros((1, 4, 2)))
    assert (np.diff(still.box) > 0).all()


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


# --- chapters -------------------------------------------------------------------------------------


def test_runs_of_one_data_set_are_seen_at_the_same_points(chapter):
    first, second = (run.view for run in chapter.runs)
    np.testing.assert_array_equal(first.data.points, chapter.data.points)
    np.testing.assert_array_equal(first.ambient, second.ambient)
    assert (first.name, second.name) == ("plain", "regularised")
    assert chapter.total == 120


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


# --- figures --------------------------------------------------------------------------------------


def test_the_latent_figure_shows_every_point(chapter):
    run = chapter.runs[0]
    figure = figures.latent_figure(chapter, run)
    points = trace(figure, "points")
    np.testing.assert_allclose(np.stack([points.x, points.y], 1), run.view.latents, rtol=1e-6)
    np.testing.assert_allclose(points.customdata[:, 0], run.view.scalar, rtol=1e-6)
    assert "R = %{customdata[0]" in points.hovertemplate
    assert figure.layout.yaxis.scaleanchor == "x"
    np.testing.assert_allclose(figure.layout.xaxis.range, run.movement.box[0])
    assert len(set(points.marker.color)) == 3  # clouds
    assert list(points.marker.colorbar.ticktext) == ["0", "1", "2"]
    landmarks = trace(figure, "landmarks")
    assert list(landmarks.text) == list("ABCDEFGH")
    np.testing.assert_allclose(landmarks.x, run.view.latents[chapter.landmarks, 0], rtol=1e-6)


def test_surfaces_share_the_colours_of_curvature(chapter):
    surfaces = [trace(figures.space_figure(chapter, run), "surface") for run in chapter.runs]
    assert [(s.cmin, s.cmax) for s in surfaces] == [(-chapter.limit, chapter.limit)] * 2
    assert chapter.limit == max(run.view.limit for run in chapter.runs)
    drawn = chapter.runs[0].view.map
    np.testing.assert_allclose(surfaces[0].intensity, drawn.scalar.ravel(), rtol=1e-6)
    assert len(surfaces[0].i) == 2 * (len(drawn.x) - 1) * (len(drawn.y) - 1)


def test_triangles_tile_a_grid():
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    nodes = np.stack([x, y], axis=-1).reshape(-1, 2)
    sides = np.diff(nodes[figures.triangles(3, 4)], axis=1)
    areas = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    np.testing.assert_array_equal(areas, np.ones(12))  # twice; all turn the same way


def test_degenerate_parts_of_the_surface_are_grey(chapter):
    run = chapter.runs[0]
    scalar = run.view.map.scalar.copy()
    scalar[0, 0] = np.nan  # the corner of one triangle
    view = replace(run.view, map=replace(run.view.map, scalar=scalar))
    figure = figures.space_figure(chapter, replace(run, view=view))
    grey = trace(figure, "degenerate")
    assert len(grey.i) == 1
    assert np.isfinite(trace(figure, "surface").intensity).all()


def test_space_has_one_unit_of_length(chapter):
    scene = figures.space_figure(chapter, chapter.runs[0]).layout.scene
    sides = [np.ptp(scene[f"{axis}axis"].range) for axis in "xyz"]
    ratio = [scene.aspectratio[axis] for axis in "xyz"]
    np.testing.assert_allclose(np.divide(sides, sides[0]), np.divide(ratio, ratio[0]))


def test_maps_have_the_ellipses_of_the_metric(chapter):
    run = chapter.runs[0]
    figure = figures.map_figure(chapter, run)
    heat, ellipses = trace(figure, "map"), trace(figure, "ellipses")
    assert (heat.zmin, heat.zmax) == (-chapter.limit, chapter.limit)
    np.testing.assert_allclose(heat.z, run.view.map.scalar, rtol=1e-6)
    gap = ellipses.x.index(None)
    around = np.stack([ellipses.x[:gap], ellipses.y[:gap]], 1)
    fits = run.view.map._fitting >= run.view.map.radius
    centre, g = run.view.map.centres[fits][0], run.view.map.metric[fits][0]
    v = around - centre
    norm = np.sqrt(np.einsum("ni,ij,nj->n", v, g, v))
    np.testing.assert_allclose(norm, run.view.map.radius, rtol=1e-3)  # drawn to six decimals


def test_the_histogram_counts_every_point_of_every_run(chapter):
    figure = figures.histogram_figure(chapter)
    assert [t.name for t in figure.data] == ["plain", "regularised"]
    for drawn, run in zip(figure.data, chapter.runs, strict=True):
        assert sum(drawn.y) == np.isfinite(run.view.scalar).sum()


def test_the_history_has_every_term_of_every_run(chapter):
    assert figures.terms_of(chapter) == ["loss", "mse", "curvature"]
    drawn = figures.history_figure(chapter, "curvature")
    assert [t.name for t in drawn.data] == ["regularised, train", "regularised, val"]
    assert drawn.layout.yaxis.type == "log"
    loss = figures.history_figure(chapter, "loss")
    assert len(loss.data) == 4
    epochs, values = chapter.runs[0].view.curves["loss"]["train"]
    np.testing.assert_array_equal(loss.data[0].x, epochs)
    np.testing.assert_array_equal(loss.data[0].y, values)


@pytest.mark.parametrize(
    ("values", "kind", "dtick"),
    [([1, -2, 3], None, None), ([0.5, 0.6], "log", None), ([1e-9, 1.0], "log", 3)],
)
def test_histories_are_logarithmic_where_they_can_be(chapter, values, kind, dtick):
    series = np.arange(len(values)), np.array(values, dtype=float)
    view = replace(chapter.runs[0].view, curves={"term": {"train": series}})
    alone = replace(chapter, runs=[replace(chapter.runs[0], view=view)])
    axis = figures.history_figure(alone, "term").layout.yaxis
    assert (axis.type, axis.dtick) == (kind, dtick)


def test_without_a_log_there_is_no_history(chapter):
    silent = replace(chapter.runs[0], view=replace(chapter.runs[0].view, curves={}))
    assert figures.terms_of(replace(chapter, runs=[silent])) == []
    assert "History of the training" not in page.rendered([replace(chapter, runs=[silent])], "a")


def test_maps_can_have_a_scale_of_their_own(chapter):
    for run in chapter.runs:
        (low, high), *sizes = own_limits(run)
        assert (low, high) == (-run.view.limit, run.view.limit)
        for quantity, limits in zip(chapter.maps[1:], sizes, strict=True):
            expected = np.quantile(quantity.values(run), [0.02, 0.98])
            np.testing.assert_allclose(limits, expected)


def test_quantities_have_one_scale_for_all_runs(chapter):
    for quantity in (*chapter.colours, *chapter.maps):
        assert quantity.limits[0] < quantity.limits[1]
    n, nodes = len(chapter.data), chapter.runs[0].view.map.scalar.shape
    assert {q.values(chapter.runs[0]).shape for q in chapter.colours} == {(n,)}
    assert {q.values(chapter.runs[0]).shape for q in chapter.maps} == {nodes}


def test_three_latent_dimensions_have_pairs_and_a_projection(solid):
    (run,) = solid.runs
    assert run.view.map is None
    figure = figures.latent_figure(solid, run)
    assert figure.layout.xaxis.title.text == "PC 1"
    pairs = figures.pairs_figure(solid, run)
    np.testing.assert_allclose(pairs.data[2].y, run.view.latents[:, 2], rtol=1e-6)
    assert len(pairs.data) == 3
    space = figures.space_figure(solid, run)
    assert space.data[0].name == "points"
    shown = words.chapter_in_words(0, solid)
    assert shown["has_pairs"]
    assert not shown["has_maps"]
    assert any("PCA" in note for note in shown["runs"][0]["notes"])


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
