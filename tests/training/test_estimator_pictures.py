"""CurvatureAutoencoder: geometry in raw units, pictures, one's own networks."""

import json
import re

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

import curvcore
from tests.support.estimators import IMAGES, X, fitted, networks
from training.data import SwissRoll
from training.errors import TrainingError


@pytest.fixture(scope="module")
def model():
    """Fitted to X; do not change it."""
    return fitted()


# --- geometry and pictures ------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_geometry_is_in_the_units_of_the_data(d):
    """g = JᵀJ of the inverse transform, by central differences."""
    model = fitted(1000 + 50 * X, d=d)
    z, step = model.transform(1000 + 50 * X)[:7], 1e-4
    columns = [
        (model.inverse_transform(z + e) - model.inverse_transform(z - e)) / (2 * step)
        for e in step * np.eye(d)
    ]
    J = np.stack(columns, -1)
    geometry = model.geometry(z)
    assert isinstance(geometry, curvcore.PullbackGeometry)
    np.testing.assert_allclose(geometry.metric.numpy(), J.swapaxes(1, 2) @ J, rtol=1e-5)
    as_tensor = model.geometry(torch.tensor(z))
    assert torch.equal(as_tensor.metric, geometry.metric)


def test_geometry_is_differentiable_in_z(model):
    z = torch.tensor(model.transform(X)[:5], requires_grad=True)
    model.geometry(z, formula="intrinsic").volume_density.sum().backward()
    assert z.grad.isfinite().all()
    assert z.grad.any()


def test_the_picture_is_a_figure_of_latents_on_the_map(model, tmp_path):
    figure = model.plot()
    assert "latent space" in figure.axes[0].get_title()
    assert 120 in shown(figure)
    figure.savefig(tmp_path / "latents.png")
    assert 30 in shown(model.plot(X[:30]))


def shown(figure):
    """How many points each collection of the first axes has."""
    return [len(collection.get_offsets()) for collection in figure.axes[0].collections]


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions_have_pairs(d):
    assert len(fitted(d=d).plot().axes) >= d


@pytest.mark.slow
def test_the_report_is_a_page(model, tmp_path):
    path = tmp_path / "report.html"
    model.report(path, X[:40], np.array(["a", "b"])[np.arange(40) % 2])
    text = path.read_text(encoding="utf-8")
    assert "Metrics of given points" in text
    assert "40 points in ℝ⁶." in text
    assert "model.report(&#39;report.html&#39;, X, y)" in text
    assert "TotalSquaredCurvature × 0.01" in text
    with pytest.raises(TrainingError, match=r"report\.html exists"):
        model.report(path)
    own = fitted(IMAGES.reshape(60, 64), **networks(), input_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="give both"):
        own.report(tmp_path / "images.html", y=np.arange(60))
    own.report(tmp_path / "images.html")
    text = (tmp_path / "images.html").read_text(encoding="utf-8")
    assert "Metrics of training points" in text
    assert "model.report(&#39;images.html&#39;)" in text
    assert "decoder=Sequential(" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])[0]
    assert data["images"]["shape"] == data["runs"][0]["images"]["shape"] == [60, 8, 8]
    assert len(data["history"]) == 3  # loss, mse, curvature


# --- networks of one's own ------------------------------------------------------------------------


def test_images_are_taken_and_given():
    model = fitted(IMAGES, **networks())
    z = model.transform(IMAGES)
    assert z.shape == (60, 2)
    assert model.inverse_transform(z).shape == IMAGES.shape
    assert model.score(IMAGES) == pytest.approx(
        -np.mean((model.inverse_transform(z) - IMAGES) ** 2)
    )
    assert model.n_features_in_ == 64
    assert model.geometry(z).scalar.isfinite().all()
    np.testing.assert_array_equal(model.transform(torch.tensor(IMAGES)), z)
    with pytest.raises(ValueError, match=r"X must be \(n, \*\(1, 8, 8\)\); got \(60, 8, 8, 1\)"):
        model.transform(np.moveaxis(IMAGES, 1, -1))


def test_rows_are_shown_to_a_network_as_images():
    rows = IMAGES.reshape(60, 64)
    model = fitted(rows, input_shape=(1, 8, 8), **networks())
    images = fitted(IMAGES, **networks())
    np.testing.assert_array_equal(model.transform(rows), images.transform(IMAGES))
    assert model.inverse_transform(model.transform(rows)).shape == rows.shape


def test_images_are_rows_to_perceptrons():
    assert fitted(IMAGES).inverse_transform([[0, 0]]).shape == (1, 1, 8, 8)


def test_training_starts_with_the_numbers_that_the_networks_have():
    own = networks()
    model = fitted(IMAGES, learning_rate=1e-12, terms=None, **own)
    x = torch.tensor((IMAGES - IMAGES.mean(0)) / np.sqrt(IMAGES.var(0).mean())).float()
    with torch.no_grad():
        np.testing.assert_allclose(model.transform(IMAGES), own["encoder"](x).numpy(), atol=1e-4)


@pytest.mark.slow
def test_isomap_unrolls_a_swiss_roll():
    roll = SwissRoll(n=1200).load()
    options = {"terms": None, "max_epochs": 1, "widths": (64, 64)}
    disparity = {}
    for init in ("random", "isomap"):
        z = fitted(roll.points, init=init, **options).transform(roll.points)
        disparity[init] = procrustes(roll.chart, z)[2]
    assert disparity["isomap"] < 0.005 < 0.5 < disparity["random"]
