"""Figures of runs: what is drawn, looked at as matplotlib's artists; and ``training plot``."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

from tests.support.pictures import colour_bar_of, make_view, mesh_of, panels_of, points_of
from tests.support.small_runs import clouds, fit, gaussians, one_line
from training.__main__ import main
from training.data import Dataset
from training.errors import TrainingError
from training.models import AutoEncoder
from training.module import RegularizedAutoEncoder
from training.pictures import figures_of, palette, projections, side_by_side, views
from training.pictures.curves import curves

# jsonargparse 4.49 and later, which Lightning asks to be older than 5
pytestmark = pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning")

NAMES = {"data", "latent", "surface", "curvature", "training"}


def with_scalar(view, scalar):
    """The View as if R were this."""
    return replace(view, geometry=replace(view.geometry, scalar=torch.from_numpy(scalar)))


@pytest.fixture(scope="module")
def plane_view():
    return make_view(clouds())


@pytest.fixture(scope="module")
def space_view():
    return make_view(clouds(), d=3)


# --- data preparation -----------------------------------------------------------------------------


def test_space_is_the_data_themselves_in_three_dimensions():
    points = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_array_equal(projections.by_pca(points, 3)(points), points)


def test_space_of_more_dimensions_is_an_orthogonal_projection():
    data = clouds(D=7)
    seen = projections.by_pca(data.points, 3)(data.points)
    spread = np.linalg.svd(data.points - data.points.mean(0), compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(seen, axis=0), spread)


def test_held_out_points_come_first_and_are_thinned():
    data = Dataset(np.arange(60.0).reshape(30, 2), labels=np.arange(30))
    parts = data.subset(range(20)), data.subset(range(20, 25)), data.subset(range(25, 30))
    assert views.some_points(parts, 12).labels.tolist() == [*range(25, 30), *range(20, 25), 0, 1]


def test_pieces_of_the_chart_stand_side_by_side():
    data = clouds()
    chart = views.side_by_side_chart(data)
    pieces = [chart[data.groups == group] for group in range(3)]
    for left, right in itertools.pairwise(pieces):
        assert left[:, 0].max() < right[:, 0].min()
    for group, piece in enumerate(pieces):  # moved, no more
        moved = piece - data.chart[data.groups == group]
        np.testing.assert_allclose(moved, moved[:1].repeat(12, 0), atol=1e-12)


def test_embedding_is_seeded():
    points = clouds().points
    np.testing.assert_array_equal(views.embedded(points), views.embedded(points))
    assert views.embedded(points).shape == (36, 2)


@pytest.mark.parametrize("points", [np.zeros((9, 4)), np.eye(3)])
def test_embedding_of_hardly_anything(points):
    assert np.isfinite(views.embedded(points)).all()


def test_colours_by_label_or_arc_length():
    points, length = np.random.default_rng(0).normal(size=(20, 2)), np.linspace(0, 1, 20)
    assert views.colour_of(Dataset(points)) is None
    assert views.colour_of(Dataset(points, labels=np.arange(20) % 10)).discrete
    assert not views.colour_of(Dataset(points, labels=np.arange(20))).discrete
    chart = np.stack([length, 0 * length], 1)
    colour = views.colour_of(Dataset(points, labels=length * 7, chart=chart))
    assert colour.name == "arc length"
    np.testing.assert_array_equal(colour.values, length)


def test_the_limit_is_robust_and_never_zero():
    scalar, points = np.full(100, np.nan), np.eye(3)
    scalar[:51] = [-2.0] * 50 + [1e9]
    assert views.colour_limit(scalar, points) == pytest.approx(2)
    assert views.colour_limit(np.zeros(5), points) > 0
    assert views.colour_limit(np.full(5, np.nan), np.zeros((3, 3))) > 0


def test_curves_are_read_from_the_log(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,train/degenerate_points,train/loss,train/mse,train/a,val/loss,val/a\n"
        "0,8,,,,,5.0,nan\n0,8,0.0,3.0,1.0,7.0,,\n1,17,,,,,4.0,2.0\n1,17,0.0,2.0,0.5,6.0,,\n"
    )
    found = curves(tmp_path)
    assert list(found) == ["loss", "mse", "a"]
    assert [series.tolist() for series in found["loss"]["train"]] == [[0, 1], [3, 2]]
    assert [series.tolist() for series in found["a"]["val"]] == [[1], [2]]
    assert curves(tmp_path / "nowhere") == {}


def test_a_torus_is_drawn_whole():
    z = torch.tensor([[0.2, 0.3], [0.4, 0.5]])
    assert views.latent_box(z, True).tolist() == [[0, 1], [0, 1]]
    low, high = views.latent_box(z, False).T
    assert (low < z.amin(0)).all()
    assert (high > z.amax(0)).all()


def test_all_encoded_to_one_point_has_a_box():
    low, high = views.latent_box(torch.ones(5, 2), False).T
    assert (low < 1).all()
    assert (high > 1).all()


# --- drawing --------------------------------------------------------------------------------------


def test_the_four_panels(plane_view):
    figure = figures_of(plane_view)["data"]
    titles = ["data (PCA)", "t-SNE", "autoencoder latents", "ideal chart (pieces side by side)"]
    drawn = panels_of(figure)
    assert list(drawn) == titles
    for title, expected in zip(
        titles[1:], (plane_view.embedding, plane_view.latents, plane_view.chart), strict=True
    ):
        np.testing.assert_allclose(points_of(drawn[title]).get_offsets(), expected, rtol=1e-6)
        assert drawn[title].get_aspect() == 1
    assert drawn["data (PCA)"].name == "3d"


def test_points_are_coloured_by_label_in_every_panel(plane_view):
    figure = figures_of(plane_view)["data"]
    for ax in list(panels_of(figure).values())[1:]:  # in space they are sorted by depth
        colours = np.array([to_hex(c).upper() for c in points_of(ax).get_facecolors()])
        for label in range(3):
            here = colours[plane_view.data.labels == label]
            assert set(here) == {palette.OKABE_ITO[label]}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2"]


def test_many_classes_have_as_many_colours():
    colour = views.Colour(np.arange(10), "label", True)
    assert len(set(palette.class_colours(colour).values())) == 10


def test_without_a_chart_there_is_no_empty_panel(plane_view):
    figure = figures_of(replace(plane_view, chart=None))["data"]
    assert len(panels_of(figure)) == 3


def test_arc_length_has_a_colour_bar(plane_view):
    colour = views.Colour(np.linspace(2, 5, 36), "arc length", False)
    figure = figures_of(replace(plane_view, colour=colour))["data"]
    bar = colour_bar_of(figure)
    assert bar.get_ylabel() == "arc length"
    assert bar.get_ylim() == pytest.approx((2, 5))
    latents = panels_of(figure)["autoencoder latents"]
    np.testing.assert_array_equal(points_of(latents).get_array(), colour.values)


def test_latents_stand_on_the_map(plane_view):
    (ax,) = figures_of(plane_view)["latent"].axes
    np.testing.assert_allclose(points_of(ax).get_offsets(), plane_view.latents)
    assert mesh_of(ax).get_clim() == (-plane_view.limit, plane_view.limit)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert (plane_view.latents > (x0, y0)).all()
    assert (plane_view.latents < (x1, y1)).all()
    assert ax.get_aspect() == 1
    assert points_of(ax).get_zorder() > mesh_of(ax).get_zorder()


def test_the_surface_is_coloured_by_curvature(plane_view):
    figure = figures_of(plane_view)["surface"]
    (ax,) = [ax for ax in figure.axes if ax.name == "3d"]
    (surface,) = ax.collections
    rows, columns = plane_view.map.scalar.shape
    faces = surface.get_facecolor()
    assert len(faces) == (rows - 1) * (columns - 1)
    reddest = np.abs(plane_view.map.scalar[:-1, :-1] / plane_view.limit).max()
    assert reddest > 0.5
    assert len(np.unique(faces, axis=0)) > 20
    assert colour_bar_of(figure).get_ylim() == (-plane_view.limit, plane_view.limit)
    assert "1/length²" in colour_bar_of(figure).get_ylabel()
    assert ax.get_zlabel() == "PC 3"


def test_boxes_in_space_have_one_unit_of_length(plane_view):
    (ax, _) = figures_of(plane_view)["surface"].axes
    lengths = np.array([np.ptp(limits) for limits in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())])
    ratio = ax._box_aspect  # matplotlib has no getter
    np.testing.assert_allclose(lengths / lengths[0], ratio / ratio[0], rtol=1e-6)


def test_the_histogram_counts_every_point_once(plane_view):
    scalar = plane_view.scalar.copy()
    scalar[:3], scalar[3] = np.nan, 1e6 * plane_view.limit
    (ax,) = figures_of(with_scalar(plane_view, scalar))["curvature"].axes
    heights = [bar.get_height() for bar in ax.patches]
    assert sum(heights) == len(scalar) - 3
    assert heights[-1] >= 1
    assert "3 degenerate points left out" in ax.get_xlabel()
    assert "points beyond" in ax.get_xlabel()
    left, right = ax.get_xlim()
    assert left == -right
    expected = np.median(scalar[3:])
    assert ax.get_legend().get_texts()[0].get_text() == f"median {expected:.2g}"


def test_constant_curvature_is_drawn(plane_view):
    flat = replace(with_scalar(plane_view, 0 * plane_view.scalar), limit=1e-3)
    (ax,) = figures_of(flat)["curvature"].axes
    assert max(bar.get_height() for bar in ax.patches) == len(flat.scalar)


def test_every_term_has_its_curve(plane_view):
    figure = figures_of(plane_view)["training"]
    loss, entropy = panels_of(figure)["loss"], panels_of(figure)["entropy"]
    assert (loss.get_yscale(), entropy.get_yscale()) == ("log", "linear")
    assert [line.get_label() for line in loss.lines] == ["train", "val"]
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [3.0, 0.2, 0.1])
    assert len(entropy.lines) == 1


@pytest.mark.slow
def test_without_a_log_there_is_no_figure_of_it(plane_view):
    assert set(figures_of(plane_view)) == NAMES
    assert set(figures_of(replace(plane_view, curves={}))) == NAMES - {"training"}


def test_other_dimensions_have_pair_plots(space_view):
    figures = figures_of(space_view)
    assert space_view.map is None
    drawn = [ax for ax in figures["latent"].axes if ax.collections]
    shown = {(ax.get_xlabel(), ax.get_ylabel()) for ax in drawn}
    assert shown == {("$z_1$", "$z_2$"), ("$z_1$", "$z_3$"), ("$z_2$", "$z_3$")}
    assert all(ax.get_aspect() == 1 for ax in drawn)
    np.testing.assert_allclose(points_of(drawn[0]).get_offsets(), space_view.latents[:, :2])
    assert "autoencoder latents (PCA of 3)" in panels_of(figures["data"])
    points = points_of(figures["surface"].axes[0])
    assert points.get_clim() == (-space_view.limit, space_view.limit)


@pytest.mark.slow
@pytest.mark.parametrize(("D", "d"), [(2, 1), (5, 1), (2, 2), (9, 7)])
def test_every_dimension_can_be_drawn(D, d, tmp_path):
    for name, figure in figures_of(make_view(clouds(D, 1), d)).items():
        figure.savefig(tmp_path / name, format="png", dpi=20)


def test_two_runs_share_their_colours(plane_view):
    louder = replace(plane_view, name="louder", limit=3 * plane_view.limit)
    figure = side_by_side(plane_view, louder)
    meshes = [mesh_of(ax) for ax in figure.axes if "√det g" in ax.get_title()]
    assert [mesh.get_clim() for mesh in meshes] == [(-louder.limit, louder.limit)] * 2
    first, second = (ax.get_title().partition("\n")[0] for ax in (figure.axes[0], figure.axes[3]))
    assert (first, second) == ("mine", "louder")
    assert colour_bar_of(figure).get_ylim() == (-louder.limit, louder.limit)


def test_two_runs_of_other_dimensions(space_view, plane_view):
    assert len(side_by_side(space_view, plane_view).axes) == 7


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("runs") / "one", gaussians())


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*.*")}


@pytest.mark.slow
def test_plot_writes_all_figures(run, tmp_path):
    assert main(["plot", str(run), "--out", str(tmp_path / "a" / "b")]) == 0
    assert names_in(tmp_path / "a" / "b") == {f"{name}.png" for name in NAMES}


@pytest.mark.slow
def test_plot_of_two_runs_as_pdf(run, tmp_path, capsys):
    assert main(["plot", str(run), str(run), "--out", str(tmp_path), "--format", "pdf"]) == 0
    each = {f"{folder}/{name}.pdf" for folder in ("first", "second") for name in NAMES}
    assert names_in(tmp_path) == each | {"side_by_side.pdf"}
    assert all(path.read_bytes().startswith(b"%PDF") for path in tmp_path.rglob("*.pdf"))
    assert len(capsys.readouterr().out.splitlines()) == 11


def test_plot_writes_nothing_over(run, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["plot", str(run), "--out", str(tmp_path)]) == 2
    assert "not empty" in one_line(capsys)
    assert names_in(tmp_path) == {"mine.txt"}
    assert main(["plot", str(run), "--out", str(tmp_path / "mine.txt")]) == 2
    assert "file" in one_line(capsys)
    assert main(["plot", str(run), "--out", str(tmp_path / "mine.txt" / "below")]) == 2
    assert "file" in one_line(capsys)


def test_plot_of_a_run_without_a_checkpoint(tmp_path, capsys):
    assert main(["plot", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no run" in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_plot_of_runs_of_different_data(run, tmp_path, capsys):
    other = fit(tmp_path / "other", gaussians(seed=1))
    assert main(["plot", str(run), str(other), "--out", str(tmp_path / "out")]) == 2
    assert "different data" in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_plot_of_three_runs(run, tmp_path, capsys):
    assert main(["plot", *[str(run)] * 3, "--out", str(tmp_path / "out")]) == 2
    assert "one run or two" in one_line(capsys)


def test_an_encoder_without_numbers_is_an_error():
    module = RegularizedAutoEncoder(AutoEncoder(nn.Linear(5, 2), nn.Linear(2, 5)).double())
    nn.init.constant_(module.autoencoder.encoder.weight, float("nan"))
    with pytest.raises(TrainingError, match="NaN"):
        views.arrays(module, clouds())
