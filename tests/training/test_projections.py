"""How many dimensions are seen in three: planes of all pieces are open."""

import numpy as np
import pytest
import torch

from tests.support.pictures import make_module, make_view
from tests.support.small_runs import clouds
from training.data import Dataset, SyntheticGaussians
from training.pictures import figures_of, projections


def pieces_of(data):
    return [data.points[data.groups == group] for group in np.unique(data.groups)]


def kept(space, data):
    """Singular values of Aᵀ Q_i of the planes Q_i of all pieces, (k, 2)."""
    planes = [projections.principal_axes(piece, 2) for piece in pieces_of(data)]
    return np.array([np.linalg.svd(space.axes.T @ plane, compute_uv=False) for plane in planes])


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_plane_is_seen_open(k, noise):
    """Its circles are ellipses of axes in a ratio below 1.5; by PCA some are lines."""
    data = SyntheticGaussians(k=k, per_cloud=60, D=300, noise=noise).load()
    space = projections.space_of(data)
    longer, shorter = kept(space, data).T
    assert (longer < 1.5 * shorter).all()
    assert shorter.min() > 0.4
    assert kept(projections.by_pca(data.points, 3), data)[:, 1].min() < 0.3
    assert space.opens
    assert "PC" not in "".join(space.names)


def test_planes_are_open_from_the_line_of_sight():
    """Along (1, 1, 1) no disc is seen at less than 20° from edge-on."""
    data = SyntheticGaussians(k=3, per_cloud=60, D=300).load()
    space = projections.space_of(data)
    for piece in pieces_of(data):
        normal = np.linalg.svd(space(piece) - space(piece).mean(0))[2][2]
        assert abs(normal @ projections.SIGHT) > np.sin(np.radians(20))


def test_pieces_are_seen_apart():
    """In the picture's plane, as they are in R^D."""
    data = SyntheticGaussians(k=3, per_cloud=60, D=300).load()
    seen = projections.space_of(data)(data.points) @ projections.ACROSS.T
    middles = np.stack([seen[data.groups == group].mean(0) for group in range(3)])
    nearest = np.linalg.norm(seen[:, None] - middles, axis=2).argmin(1)
    np.testing.assert_array_equal(nearest, data.groups)


def test_it_is_an_orthogonal_projection():
    data = SyntheticGaussians(k=3, per_cloud=30, D=50).load()
    axes = projections.space_of(data).axes
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("k", [3, 4, 7])
def test_tilted_frames_are_tight(k):
    """Σ R_i R_iᵀ = 2k/3 I, and each normal has cosine 1/√3 with the line of sight."""
    frames = [projections.tilted_frame(2 * np.pi * j / k) for j in range(k)]
    np.testing.assert_allclose(sum(f @ f.T for f in frames), 2 * k / 3 * np.eye(3), atol=1e-12)
    for frame in frames:
        np.testing.assert_allclose(frame.T @ frame, np.eye(2), atol=1e-12)
        assert abs(np.cross(*frame.T) @ projections.SIGHT) == pytest.approx(1 / np.sqrt(3))


def test_orthogonal_planes_with_one_middle_are_discs_of_two_thirds():
    """P/√2 shows each plane with singular values 1 of 2, halved: 1/√2 both."""
    t = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    points = np.zeros((36, 6))
    for i in range(3):
        points[12 * i : 12 * i + 12, 2 * i : 2 * i + 2] = circle
    data = Dataset(points, chart=np.tile(circle, (3, 1)), groups=np.repeat(range(3), 12))
    planes = [np.eye(6)[:, 2 * i : 2 * i + 2] for i in range(3)]
    total = sum(
        projections.tilted_frame(2 * np.pi * i / 3) @ plane.T for i, plane in enumerate(planes)
    )
    np.testing.assert_allclose(total @ total.T, 2 * np.eye(3), atol=1e-12)
    assert np.isfinite(projections.space_of(data)(points)).all()


def test_all_that_is_decoded_is_seen_by_the_projection_of_the_data():
    """In pictures and report: data, reconstructions and the decoded box."""
    view = make_view(far_apart(50))
    with torch.no_grad():
        decoded = make_module(view.data)(torch.from_numpy(view.data.points)).numpy()
    assert view.space.opens
    np.testing.assert_array_equal(view.ambient, view.space(view.data.points))
    np.testing.assert_array_equal(view.surface, view.space(view.map.value))
    np.testing.assert_allclose(view.reconstruction, view.space(decoded))
    figures = figures_of(view)
    assert figures["data"].axes[0].get_title() == "data (projection that opens the planes)"
    (surface, _) = figures["surface"].axes
    assert "(projection that opens the planes)" in surface.get_title()
    assert (surface.get_xlabel(), surface.azim) == ("y1", 45)


def far_apart(D):
    return SyntheticGaussians(k=3, per_cloud=20, D=D).load()


@pytest.mark.parametrize(
    "data",
    [
        far_apart(3),
        Dataset(far_apart(50).points),
        Dataset(far_apart(50).points, chart=far_apart(50).chart),  # one piece
        SyntheticGaussians(k=3, per_cloud=20, D=50, d=1).load(),  # lines
        Dataset(far_apart(50).points[::20], groups=np.arange(3)),  # points
        clouds(D=5),  # open as it is
    ],
    ids=["three", "no pieces", "one piece", "lines", "points", "open"],
)
def test_all_else_keeps_its_pca(data):
    space, pca = projections.space_of(data), projections.by_pca(data.points, 3)
    assert not space.opens
    np.testing.assert_array_equal(space(data.points), pca(data.points))
    assert space.names == (["PC 1", "PC 2", "PC 3"] if data.dimension > 3 else ["x1", "x2", "x3"])
