"""``python -m training kmeans``: clusters of data, latents, decoded points, and in the metric."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.support.small_runs import fit, gaussians, of_file, one_line
from training.__main__ import main
from training.errors import TrainingError
from training.evaluation.clusters import (
    CONVERGED,
    DECODED,
    KMEANS,
    LATENT,
    RAW,
    RIEMANNIAN,
    clusters,
)

rng = np.random.default_rng(0)
NAMES = {RAW, LATENT, DECODED, RIEMANNIAN, CONVERGED}


def exact(encode, decode):
    """A module, encoder and decoder inverse to each other, on data in units of one."""
    parts = SimpleNamespace(encoder=encode, decoder=decode)
    module = SimpleNamespace(autoencoder=parts, scale=lambda x: x)
    module.double = lambda: module
    return module


def data_of(points, labels):
    part = SimpleNamespace(points=points, labels=labels)
    return SimpleNamespace(parts=(part, None, part))


def two_rows(n=40):
    """Latents (2n, 2) with classes that lie apart by little in z_2, and spread in z_1."""
    labels = np.repeat([0, 1], n)
    z = np.stack([rng.uniform(-1, 1, 2 * n), 0.2 * labels + 0.02 * rng.normal(size=2 * n)], 1)
    return z, labels


@pytest.mark.slow
def test_the_metric_tells_classes_apart_that_latents_do_not():
    """g = diag(1, 400): the rows are far apart in it, and in what is decoded."""
    z, labels = two_rows()
    stretch = torch.tensor([1.0, 20.0], dtype=torch.float64)
    module = exact(lambda x: x / stretch, lambda z: z * stretch)
    found = clusters(module, data_of(z * stretch.numpy(), labels))
    assert found.keys() == NAMES
    assert found[RAW] == found[DECODED] == found[RIEMANNIAN] == found[CONVERGED] == 1
    assert found[LATENT] < 0.7


@pytest.mark.slow
def test_a_rolled_sheet_needs_the_metric():
    """Classes at both ends of a spiral whose ends lie side by side in space."""
    own = np.random.default_rng(2)
    angle = np.concatenate([own.uniform(0, 1.0, 40), own.uniform(5.3, 6.2, 40)])
    z, labels = np.stack([angle, own.uniform(0, 6, 80)], 1), np.repeat([0, 1], 40)

    def decode(z):
        radius = 1 + 0.02 * z[:, 0]
        return torch.stack([radius * z[:, 0].cos(), radius * z[:, 0].sin(), z[:, 1] / 3], 1)

    module = exact(lambda x: torch.from_numpy(z), decode)
    found = clusters(module, data_of(decode(torch.from_numpy(z)).numpy(), labels))
    assert found[RIEMANNIAN] == 1
    assert found[RAW] < 0.9


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    run = fit(tmp_path / "run", gaussians())
    assert main(["kmeans", str(run)]) == 0
    found = json.loads((run / KMEANS).read_text())
    assert found.keys() == NAMES
    assert all(0 <= value <= 1 for value in found.values())
    assert "F1 of k-means" in capsys.readouterr().out
    again = json.loads((run / KMEANS).read_text())
    assert main(["kmeans", str(run)]) == 0
    assert json.loads((run / KMEANS).read_text()) == again


def test_no_classes(tmp_path, capsys):
    run = fit(tmp_path / "run", of_file(tmp_path, rng.normal(size=(80, 5))), epochs=1)
    assert main(["kmeans", str(run)]) == 2
    assert "no classes to find" in one_line(capsys)


def test_a_torus():
    module = SimpleNamespace(autoencoder=SimpleNamespace(latent="torus"))
    with pytest.raises(TrainingError, match="these are on a torus"):
        clusters(module, data_of(*two_rows()))


def test_clusters_that_have_not_converged(monkeypatch):
    """They are told as they are, with a flag."""
    z, labels = two_rows(4)
    lost = SimpleNamespace(converged=torch.tensor(False), labels=torch.from_numpy(labels))
    monkeypatch.setattr("curvcore.riemannian_kmeans", lambda *_, **__: lost)
    found = clusters(exact(lambda x: x, lambda z: z), data_of(z, labels))
    assert found[RIEMANNIAN] == 1
    assert found[CONVERGED] == 0
