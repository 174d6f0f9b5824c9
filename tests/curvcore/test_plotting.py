"""plot_curvature: what is drawn, looked at as matplotlib's artists."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from tests.support.immersions import stereographic_sphere

mpl.use("Agg")
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

BOX = ((-1.0, 1.0), (-1.0, 1.0))


def stretched(z):
    """g = diag(4, 1)."""
    return torch.stack([2 * z[:, 0], z[:, 1], 0 * z[:, 0]], 1)


def eggs(z):
    """A graph with R of both signs."""
    x, y = z.unbind(1)
    return torch.stack([x, y, torch.sin(x) * torch.cos(y)], 1)


def fold(z):
    """Degenerate at x = 0."""
    return torch.stack([z[:, 0] ** 2, z[:, 1], z[:, 1] ** 2], 1)


def box(*sides):
    return torch.tensor(sides, dtype=torch.float64)


def drawn(decoder, where=BOX, **options):
    return curvcore.plot_curvature(decoder, where, ax=Figure().add_subplot(), **options)


def mesh_of(ax):
    (mesh,) = [c for c in ax.collections if type(c).__name__ == "QuadMesh"]
    return mesh


def contours_of(ax):
    return [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]


def ellipses_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, Ellipse)]


def test_the_map_shows_scalar_curvature():
    drawing = drawn(eggs, box((-3, 3), (-2, 2)), resolution=21)
    x, y = np.meshgrid(np.linspace(-3, 3, 21), np.linspace(-2, 2, 21))
    z = torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1))
    expected = curvcore.scalar_curvature(eggs, z).numpy().reshape(21, 21)
    np.testing.assert_allclose(mesh_of(drawing).get_array(), expected, rtol=1e-9, atol=1e-12)


def test_colours_are_symmetric_and_robust():
    drawing = drawn(eggs, box((-3, 3), (-2, 2)))
    mesh = mesh_of(drawing)
    low, high = mesh.get_clim()
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(mesh.get_array().data), 98))
    assert mesh.get_cmap().name in ("RdBu_r", "PuOr_r")


def test_red_is_positive():
    mesh = mesh_of(drawn(stereographic_sphere(2.0), box(*BOX)))
    red, _, blue, _ = mesh.get_cmap()(mesh.norm(0.5))
    assert red > blue
    assert mesh.get_clim() == pytest.approx((-0.5, 0.5))  # R = 2/r² everywhere


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_flat_decoder_is_drawn_without_rounding_noise(dtype):
    """Limits are not of zero width, and no rounding error fills the colours."""
    torch.manual_seed(0)
    skew, frame = torch.randn(2, 2).to(dtype), torch.linalg.qr(torch.randn(5, 5))[0].to(dtype)

    def roll(z):
        u, v = (z @ skew).unbind(1)
        return torch.stack([u.cos(), u.sin(), v, 0 * u, 0 * u], 1) @ frame

    mesh = mesh_of(drawn(roll, torch.tensor(BOX, dtype=dtype)))
    assert mesh.get_array().any()
    assert mesh.get_clim()[1] > 3 * np.abs(mesh.get_array()).max()
    assert mesh.get_clim()[1] > 0


def test_axes_are_the_box_with_aspect_one():
    drawing = drawn(eggs, ((-3, 3), (-1, 2)))
    assert drawing.get_aspect() == 1
    assert (drawing.get_xlim(), drawing.get_ylim()) == ((-3, 3), (-1, 2))
    assert (drawing.get_xlabel(), drawing.get_ylabel()) == ("$z_1$", "$z_2$")


def test_the_colour_bar_has_the_unit():
    (bar,) = drawn(eggs).child_axes
    assert bar.get_ylabel() == "R [1/length²]"


def test_ellipses_of_a_known_metric():
    """g = diag(4, 1): {v : g(v, v) = r²} has semi-axes r/2 and r."""
    ellipses = ellipses_of(drawn(stretched, ellipses=4))
    assert len(ellipses) == 16
    for ellipse in ellipses:
        width, height = np.ptp(corners(ellipse), axis=0)
        assert height == pytest.approx(2 * width, rel=1e-4)
    centres = np.unique([ellipse.center[0] for ellipse in ellipses])
    assert centres == pytest.approx([-0.75, -0.25, 0.25, 0.75])


def test_ellipses_are_level_sets_of_the_metric():
    drawing = drawn(eggs, box((-3, 3), (-2, 2)), ellipses=6)
    radii = []
    for ellipse in ellipses_of(drawing):
        v = corners(ellipse) - ellipse.center
        g = curvcore.metric(eggs, torch.tensor([ellipse.center], dtype=torch.float64))[0].numpy()
        radii.append(np.sqrt(np.einsum("ni,ij,nj->n", v, g, v)))
    radii = np.concatenate(radii)
    assert np.ptp(radii) < 1e-3 * radii.mean()
    assert f"r = {radii.mean():.2g}" in drawing.get_title()


def test_ellipses_do_not_overlap():
    ellipses = ellipses_of(drawn(eggs, ((-3, 3), (-2, 2)), ellipses=6))
    assert len(ellipses) == 6 * 4
    for ellipse in ellipses:
        reach = np.abs(corners(ellipse) - ellipse.center).max(axis=0)
        assert (reach < 0.5).all()  # cells of 1 × 1


def test_one_extreme_point_does_not_shrink_all_ellipses():
    def nearly_fold(z):
        return torch.stack([z[:, 0] ** 3 / 3 + 1e-3 * z[:, 0], z[:, 1]], 1)

    ellipses = ellipses_of(drawn(nearly_fold, box(*BOX), ellipses=5))
    assert len(ellipses) == 20  # none in the middle column
    assert max(np.ptp(corners(ellipse), axis=0)[1] for ellipse in ellipses) > 0.01


def corners(ellipse):
    """Points of an ellipse's outline, (n, 2)."""
    angles = np.linspace(0, 2 * np.pi, 721)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    return ellipse.get_patch_transform().transform(circle)


def test_contours_are_levels_of_the_volume_density():
    drawing = drawn(eggs, box((-3, 3), (-2, 2)), contours=4)
    (lines,) = contours_of(drawing)
    assert 2 <= len(lines.levels) <= 4
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        points = torch.from_numpy(path.vertices[:50].copy())
        density = curvcore.pullback(eggs, points).volume_density
        assert density.numpy() == pytest.approx(level, rel=0.01)
    assert {text.get_text() for text in lines.labelTexts} <= {f"{x:.3g}" for x in lines.levels}
    assert lines.labelTexts


def test_contours_can_be_given():
    (lines,) = contours_of(drawn(eggs, contours=[1.3, 1.1]))
    assert lines.levels.tolist() == [1.1, 1.3]
    assert not contours_of(drawn(eggs, contours=0))


def test_a_constant_density_is_told_in_words():
    drawing = drawn(stretched)
    assert not contours_of(drawing)
    assert "√det g ≈ 2" in drawing.get_title()


def test_degenerate_points_are_blank():
    drawing = drawn(fold, box(*BOX), resolution=21, ellipses=5)
    mask = np.ma.getmaskarray(mesh_of(drawing).get_array())
    assert mask[:, 10].all()
    assert mask.sum() == 21
    assert drawing.patch.get_hatch()
    assert len(ellipses_of(drawing)) == 20


def test_all_degenerate():
    drawing = drawn(lambda z: torch.stack([z.sum(1), z.sum(1)], 1))
    assert mesh_of(drawing).get_array().mask.all()
    assert "degenerate" in drawing.get_title()
    assert mesh_of(drawing).get_clim()[1] > 0


def test_a_module_is_drawn_in_its_dtype_and_left_alone():
    decoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    ax = drawn(decoder)
    assert ax.get_figure() is not None
    assert all(p.grad is None and p.dtype == torch.float64 for p in decoder.parameters())


def test_maps_can_share_limits():
    arrays = curvcore.curvature_map(eggs, BOX, resolution=11)
    ax = curvcore.draw_curvature(arrays, Figure().add_subplot(), limit=7, colour_bar=False)
    assert mesh_of(ax).get_clim() == (-7, 7)
    assert not ax.child_axes


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_maps_can_share_the_radius_of_ellipses(share):
    """{v : g(v, v) = r²} with g = diag(4, 1); those that leave their cells are left out."""
    arrays = curvcore.curvature_map(stretched, BOX, resolution=5, ellipses=4)
    radius = share * arrays.radius
    ax = curvcore.draw_curvature(arrays, Figure().add_subplot(), radius=radius)
    assert f"r = {radius:.2g}" in ax.get_title()
    assert len(ellipses_of(ax)) == (16 if share < 1 else 0)
    for ellipse in ellipses_of(ax):
        assert sorted([ellipse.width, ellipse.height]) == pytest.approx([radius, 2 * radius])
    same = curvcore.draw_curvature(arrays, Figure().add_subplot(), radius=arrays.radius)
    own = curvcore.draw_curvature(arrays, Figure().add_subplot())
    assert same.get_title() == own.get_title()
    assert len(ellipses_of(same)) == len(ellipses_of(own)) == 16


@pytest.mark.parametrize("radius", [0, -1, float("nan"), float("inf"), "large", True])
def test_bad_radii(radius):
    arrays = curvcore.curvature_map(stretched, BOX, resolution=5)
    with pytest.raises(curvcore.InputError, match="radius"):
        curvcore.draw_curvature(arrays, Figure().add_subplot(), radius=radius)


def test_without_axes_there_is_a_new_figure():
    from matplotlib import pyplot

    axes = [curvcore.plot_curvature(stretched, BOX, resolution=5) for _ in range(2)]
    assert axes[0].figure is not axes[1].figure
    pyplot.close("all")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (((0, 0), (0, 1)), "x0 < x1"),
        (((1, 0), (0, 1)), "x0 < x1"),
        (((0, float("nan")), (0, 1)), "finite"),
        (((0, 1),) * 3, "d = 2"),
        ("everywhere", "numbers"),
    ],
)
def test_bad_boxes(where, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.plot_curvature(stretched, where)


@pytest.mark.parametrize(
    "options", [{"resolution": 1}, {"ellipses": -1}, {"ellipses": 2.5}, {"contours": "many"}]
)
def test_bad_options(options):
    with pytest.raises(curvcore.InputError, match=next(iter(options))):
        drawn(stretched, **options)


def test_decoders_of_other_dimensions():
    with pytest.raises(curvcore.DecoderError, match="d = 2"):
        curvcore.plot_curvature(nn.Linear(3, 5), BOX)


def test_errors_of_decoders_are_those_of_pullback():
    with pytest.raises(curvcore.DecoderError, match="callable"):
        curvcore.plot_curvature("decoder", BOX)
    batch_norm = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(curvcore.RowsNotIndependentError, match="eval"):
        curvcore.plot_curvature(batch_norm, BOX)
