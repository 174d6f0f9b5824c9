"""Figures of two runs that can be compared; insets of specks; the floor of relaxed distortion."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from tests.support.pictures import make_view, mesh_of, panels_of, points_of
from tests.support.small_runs import clouds
from training.data import SyntheticGaussians
from training.functionals import RelaxedDistortion, TotalSquaredCurvature
from training.pictures import figures_of, insets, side_by_side, views, views_of
from training.pictures.curves import floors_of
from training.pictures.palette import FLOOR_LABEL
from training.pictures.spaces import seen_box
from training.terms import Term


@pytest.fixture(scope="module")
def plane_view():
    return make_view(clouds())


def scaled(view, factor):
    """The View of a decoder that is so many times as large; its map alone."""
    return replace(view, map=replace(view.map, metric=factor**2 * view.map.metric))


# --- side by side ---------------------------------------------------------------------------------


def ellipses_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, Ellipse)]


@pytest.mark.slow
def test_two_runs_share_the_radius_of_the_ellipses(plane_view):
    larger = scaled(plane_view, 3)
    assert larger.map.radius == pytest.approx(3 * plane_view.map.radius)
    for pair in ((plane_view, larger), (larger, plane_view)):
        maps = [ax for ax in side_by_side(*pair).axes if "√det g" in ax.get_title()]
        for view, ax in zip(pair, maps, strict=True):
            for ellipse in ellipses_of(ax):
                (at,) = np.flatnonzero((view.map.centres == ellipse.center).all(axis=1))
                along = np.radians(ellipse.angle)
                v = ellipse.width / 2 * np.array([np.cos(along), np.sin(along)])
                assert v @ view.map.metric[at] @ v == pytest.approx(plane_view.map.radius**2)
        assert len(ellipses_of(maps[0])) >= 30
        assert {f"r = {plane_view.map.radius:.2g}" in ax.get_title() for ax in maps} == {True}


def test_the_shared_radius_is_of_maps_that_have_one(plane_view):
    none = replace(plane_view, map=replace(plane_view.map, metric=np.empty((0, 2, 2))))
    assert views.shared_radius([none, plane_view]) == plane_view.map.radius
    assert views.shared_radius([replace(plane_view, map=None), none]) is None


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_a_box_of_a_ratio_is_the_least_around(ratio):
    box = torch.tensor([[-1.0, 3.0], [0.0, 2.0]])
    (x0, x1), (y0, y1) = views.of_ratio(box, ratio).tolist()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(ratio)
    assert min(-1 - x0, x1 - 3) >= -1e-6
    assert min(-y0, y1 - 2) >= -1e-6
    assert (x1 - x0) * (y1 - y0) == pytest.approx(max(4 * 4 * ratio, 2 * 2 / ratio))
    assert views.of_ratio(box, None) is box


class Scaling(torch.nn.Module):
    """An encoder of the first two coordinates, each times a factor."""

    def __init__(self, *factors):
        super().__init__()
        self.encode = lambda points: points[:, :2] * points.new_tensor(factors)
        self.autoencoder = torch.nn.Identity()


def test_boxes_beside_each_other_are_of_the_mean_ratio():
    data = clouds()
    own = [views.shared_ratio([Scaling(1, factor)], data) for factor in (0.5, 2)]
    assert own[1] == pytest.approx(4 * own[0])
    both = views.shared_ratio([Scaling(1, 0.5), Scaling(1, 2)], data)
    assert both == pytest.approx(np.sqrt(own[0] * own[1]))
    assert views.shared_ratio([Scaling(1, 1e5)], data) == views.LONGEST
    assert views.shared_ratio([], data) is None


def test_two_runs_have_boxes_of_one_ratio(plain, regularised):
    alone = [views_of([folder])[0].map for folder in (plain, regularised)]
    together = [view.map for view in views_of([plain, regularised])]
    own = [np.ptp(drawn.y) / np.ptp(drawn.x) for drawn in alone]
    assert own[0] != pytest.approx(own[1], rel=0.01)
    for drawn, least in zip(together, alone, strict=True):
        assert np.ptp(drawn.y) / np.ptp(drawn.x) == pytest.approx(np.sqrt(own[0] * own[1]))
        for axis in ("x", "y"):
            (low, high), (first, last) = (getattr(d, axis)[[0, -1]] for d in (drawn, least))
            assert low <= first + 1e-6 < last - 1e-6 <= high


@pytest.mark.slow
def test_maps_of_one_ratio_fill_their_places(plane_view):
    """No blank band: both are as wide as the histograms below, and as high as each other."""
    figure = side_by_side(plane_view, plane_view)
    figure.draw_without_rendering()
    maps = [ax.get_position() for ax in figure.axes if "√det g" in ax.get_title()]
    below = [ax.get_position() for ax in figure.axes if "R at encoded" in ax.get_title()]
    assert maps[0].height == pytest.approx(maps[1].height, rel=0.01)
    for above, histogram in zip(maps, below, strict=True):
        assert above.width > 0.93 * histogram.width


@pytest.mark.slow
def test_boxes_in_space_fill_their_axes(plane_view):
    """Whatever their shape: no less than three quarters of the width or height."""
    points = np.random.default_rng(0).normal(size=(50, 3))
    for shape in ((1, 1, 1), (9, 1, 1), (1, 9, 9), (1, 1, 9)):
        view = replace(plane_view, ambient=points * shape, colour=None)
        ax = figures_of(view)["data"].axes[0]
        assert np.ptp(seen_box(ax), axis=0).max() > 0.75
        assert np.ptp(seen_box(ax), axis=0).max() < 0.95


# --- insets ---------------------------------------------------------------------------------------


def specked(view, size, count=3):
    """The View of pieces on a circle, each of this extent."""
    rng, pieces = np.random.default_rng(0), np.arange(len(view.data)) % count
    middles = np.exp(2j * np.pi * np.arange(count) / count)[pieces]
    latents = np.stack([middles.real, middles.imag], 1)
    latents += rng.uniform(-size / 2, size / 2, latents.shape)
    return replace(view, latents=latents, colour=views.Colour(pieces, "label", True))


def insets_of(ax):
    return [child for child in ax.child_axes if child.get_label() != "<colorbar>"]


@pytest.mark.grid
@pytest.mark.parametrize(("count", "expected"), [(2, 2), (3, 3), (6, 4)])
def test_specks_have_insets(plane_view, count, expected):
    view = specked(plane_view, 0.05, count)
    ax = panels_of(figures_of(view)["data"])["autoencoder latents"]
    found = insets_of(ax)
    assert len(found) == expected
    for piece, inset in enumerate(found):
        inside = view.latents[view.colour.values == piece]
        low, high = np.transpose([inset.get_xlim(), inset.get_ylim()])
        assert ((inside > low) & (inside < high)).all()
        assert (high - low < 0.15).all()
        others = view.latents[view.colour.values != piece]
        assert not ((others > low) & (others < high)).all(axis=1).any()
        assert len(points_of(inset).get_facecolors()) == len(view.latents)
    places = [inset.get_position().bounds for inset in found]
    assert len(set(places)) == expected
    assert len(ax.artists) == expected  # lines to the specks


def test_specks_have_insets_on_the_map(plane_view):
    (ax,) = figures_of(specked(plane_view, 0.05))["latent"].axes
    assert mesh_of(ax)
    assert len(insets_of(ax)) == 3 + 1  # and the colour bar's axes


@pytest.mark.slow
def test_ordinary_latents_have_no_insets(plane_view):
    for view in (plane_view, specked(plane_view, 0.5)):
        ax = panels_of(figures_of(view)["data"])["autoencoder latents"]
        assert not insets_of(ax)
        assert not ax.artists


def test_the_rule_of_specks():
    """The middle 90 % on less than 8 % of the longer side of all; pieces, if there are several."""
    line = np.linspace(0, 1, 101)
    points = np.stack([np.concatenate([line * size for size in (0.08, 0.1)]), np.zeros(202)], 1)
    points[0, 0], pieces = -0.9, np.repeat([0, 1], 101)
    (box,) = insets.specks(points, pieces)  # 0.9 · 0.08 < 0.08 · 1 < 0.9 · 0.1
    assert box[0] == pytest.approx([0.05 * 0.08, 0.95 * 0.08])
    assert insets.specks(points, None) == []
    assert insets.specks(points, np.zeros(202)) == []


@pytest.mark.parametrize("free", range(4))
def test_insets_leave_the_points_free(free):
    """Of four corners the one without points is taken."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    points = np.delete(corners, free, axis=0).repeat(20, 0)
    ax = Figure((4, 4)).add_subplot(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
    ax.scatter(*points.T)
    insets.add_insets(ax, points, np.repeat([0, 1, 1], 20))
    ((inset,), whole) = insets_of(ax), ax.get_position()
    place = (inset.get_position().min + inset.get_position().max) / 2
    middle = (whole.min + whole.max) / 2
    np.testing.assert_array_equal(place > middle, corners[free] > 0.5)


# --- the floor ------------------------------------------------------------------------------------


def test_floors_are_found_by_class():
    terms = {
        "anything": Term(RelaxedDistortion(), 1.0),
        "isometry": Term(TotalSquaredCurvature(), 1.0),
    }
    assert floors_of(terms, 2) == {"anything": 0.5}
    assert floors_of(terms, 4) == {"anything": 0.25}


def test_a_run_tells_its_floors():
    data = SyntheticGaussians(k=1, per_cloud=12, D=5).load()
    view = make_view(data, terms={"mine": Term(RelaxedDistortion(), 1.0)})
    assert view.floors == {"mine": 0.5}


def test_the_floor_is_drawn_and_named(plane_view):
    figure = figures_of(replace(plane_view, floors={"entropy": 0.5}))["training"]
    term, loss = panels_of(figure)["entropy"], panels_of(figure)["loss"]
    (line,) = [line for line in term.lines if line.get_label() == FLOOR_LABEL]
    assert set(line.get_ydata()) == {0.5}
    assert line.get_linestyle() == "--"
    assert [text.get_text() for text in term.get_legend().get_texts()] == [FLOOR_LABEL]
    low, high = term.get_ylim()
    assert low < 0.5 < high
    assert FLOOR_LABEL not in [line.get_label() for line in loss.lines]
