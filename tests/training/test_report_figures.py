"""Figures of the report, as plotly holds them."""

from dataclasses import replace

import numpy as np
import pytest

from training.report import figures, page, words
from training.report.colours import own_limits

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("report"),
]


def trace(figure, name):
    (found,) = [t for t in figure.data if t.name == name]
    return found


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
    fits = run.view.map._fitting >= chapter.radius
    centre, g = run.view.map.centres[fits][0], run.view.map.metric[fits][0]
    v = around - centre
    norm = np.sqrt(np.einsum("ni,ij,nj->n", v, g, v))
    np.testing.assert_allclose(norm, chapter.radius, rtol=1e-3)  # drawn to six decimals
    radii = [run.view.map.radius for run in chapter.runs]
    assert chapter.radius == min(radii) < max(radii)
    titles = {figures.map_figure(chapter, run).layout.title.text for run in chapter.runs}
    assert titles == {f"r = {chapter.radius:.2g}"}


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


def test_the_floor_of_relaxed_distortion_is_marked(chapter):
    views = [replace(run.view, floors={"curvature": 0.5}) for run in chapter.runs]
    runs = [replace(run, view=view) for run, view in zip(chapter.runs, views, strict=True)]
    layout = figures.history_figure(replace(chapter, runs=runs), "curvature").layout
    assert [shape.y0 for shape in layout.shapes] == [0.5]
    assert [note.text for note in layout.annotations] == ["1/d, an isometry up to scale"]
    assert not figures.history_figure(chapter, "curvature").layout.shapes


def test_space_says_how_it_is_seen(chapter):
    view = chapter.runs[0].view
    assert words.chapter_in_words(0, chapter)["space"] == ", and seen by the PCA"
    opened = replace(view.space, how="projection", letter="y")
    other = replace(chapter, runs=[replace(chapter.runs[0], view=replace(view, space=opened))])
    assert words.chapter_in_words(0, other)["space"] == ", and seen by a projection"
    scene = figures.space_figure(other, other.runs[0]).layout.scene
    assert scene.xaxis.title.text == "y1"


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
