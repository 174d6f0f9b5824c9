"""The linear normalisation: what it does, what it leaves alone, and which points it is made of."""

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from tests.support.immersions import RandomImmersion, random_points
from tests.support.tolerance import assert_close
from tests.training.exact_autoencoders import (
    CHART_KEYS,
    KEYS,
    agree,
    fold,
    identity,
    network,
    plane,
    trained,
)
from training.cli import _show
from training.errors import TrainingError
from training.evaluation import Normalised, evaluate, held_out, linear_normalisation
from training.evaluation.held_out import held_out_metrics
from training.evaluation.normalisation import INVARIANT
from training.models import AutoEncoder, MLPAutoEncoder
from training.study import table

# --- the linear map -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_linear_normalisation_makes_the_mean_metric_the_identity(d):
    skew = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64)).R
    immersion, z = RandomImmersion(4, d, 6), random_points(21, d, batch=50)
    A, inverse = linear_normalisation(lambda z: immersion(z @ skew), z)
    assert_close(A, A.mT, factor=1)
    assert_close(A @ inverse, torch.eye(d, dtype=A.dtype), factor=1e4)
    pair = Normalised(identity, lambda z: immersion(z @ skew), A, inverse)
    geometry = curvcore.pullback(pair.decode, pair.encode(z))
    assert_close(geometry.metric.mean(0), torch.eye(d, dtype=A.dtype), factor=1e5)
    expected = curvcore.scalar_curvature(lambda z: immersion(z @ skew), z)
    assert_close(geometry.scalar, expected, scale=1.0, factor=1e5)


@pytest.mark.filterwarnings("error::curvcore.FallbackWarning")
def test_normalised_autoencoders_reconstruct_the_same():
    encoder, decoder, x = network()
    pair = Normalised.of(encoder, decoder, x)
    assert_close(pair(x), decoder(encoder(x)), factor=1e3)


def test_linear_normalisation_undoes_a_linear_distortion():
    encoder, decoder = plane(2)
    distortion = torch.tensor([[3.0, 1.0], [0.0, 0.2]], dtype=torch.float64)
    z = random_points(22, 2, batch=50)
    distorted = (lambda x: encoder(x) @ distortion.inverse(), lambda z: decoder(z @ distortion))
    options = {"points": decoder(z), "chart": z.numpy()}
    assert evaluate(*distorted, **options)["procrustes_disparity"] > 0.1
    pair = Normalised.of(*distorted, decoder(z))
    metrics = evaluate(pair.encode, pair.decode, **options)
    agree(metrics["mcn"], 1, factor=1e4)
    agree(metrics["procrustes_disparity"], 0, scale=1.0)
    agree(metrics["stress"], 0, scale=1.0, factor=1e4)


def test_linear_normalisation_follows_dtype_and_refuses_singular_means():
    z = random_points(23, 2, batch=30, dtype=torch.float32)
    assert {matrix.dtype for matrix in linear_normalisation(fold, z)} == {torch.float32}
    with pytest.raises(TrainingError, match="degenerate at all 30 points"):
        linear_normalisation(lambda z: torch.cat([z[:, :1], z[:, :1]], 1), z)
    with pytest.raises(TrainingError, match="singular"):
        linear_normalisation(lambda z: z * z.new_tensor([1.0, 1e-9]), z)


def test_what_a_linear_map_of_the_latents_changes():
    """All metrics but the INVARIANT ones, and those stay; the decoder collapses where v > 1/2."""
    encoder, decoder, x = network()
    map_ = torch.tensor([[3.0, 1.0], [0.5, 0.4]], dtype=torch.float64)
    options = {"chart": x[:, :2].numpy(), "groups": np.arange(len(x)) % 3, "scale": 2.0}

    def collapsing(z):
        return torch.where(z[:, 1:] > 0.5, z.new_zeros(1), decoder(z))

    before = evaluate(encoder, collapsing, x, **options)
    pair = Normalised(encoder, collapsing, map_, map_.inverse())
    after = evaluate(pair.encode, pair.decode, x, **options)
    assert 0 < before["degenerate_points"] < len(x)
    same = {key for key in before if after[key] == pytest.approx(before[key], rel=1e-6)}
    assert same == INVARIANT


# --- on held-out points ---------------------------------------------------------------------------


@pytest.fixture
def plain():
    """(module, data), of a plane."""
    torch.manual_seed(0)
    return trained(MLPAutoEncoder(4, 2, (8,)))


def test_the_normalisation_is_made_of_training_points(plain):
    module, data = plain
    found = held_out_metrics(module, data)
    auto, (train, _, test) = module.autoencoder, data.parts
    to_train, to_test = (module.scale(torch.from_numpy(part.points)) for part in (train, test))
    pair = Normalised.of(auto.encoder, auto.decoder, to_train)
    options = {"chart": test.chart, "scale": module.scale.scale.item()}
    expected = evaluate(pair.encode, pair.decode, to_test, **options)
    for key in expected.keys() - INVARIANT:
        assert found[f"normalised_{key}"] == pytest.approx(expected[key], rel=1e-9), key
    pair = Normalised.of(auto.encoder, auto.decoder, to_test)
    other = evaluate(pair.encode, pair.decode, to_test)["mcn"]
    assert other != pytest.approx(expected["mcn"], rel=1e-4)


def test_so_many_training_points_and_the_same_ones_every_time(plain, monkeypatch):
    found = []
    for most in (30, 30, 2):
        monkeypatch.setattr(held_out, "MOST_POINTS", most)
        found.append(held_out_metrics(*plain)["normalised_mcn"])
    assert found[0] == found[1] != found[2]


def test_keys_of_held_out_metrics(plain):
    metrics = held_out_metrics(*plain)
    keys = KEYS | CHART_KEYS
    assert metrics.keys() == keys | {f"normalised_{key}" for key in keys - INVARIANT}


def test_held_out_metrics_of_a_collapsed_autoencoder():
    """The metrics as trained are there; the normalised ones are undefined."""
    torch.manual_seed(0)
    collapsed = AutoEncoder(nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 4)))
    module, data = trained(collapsed)
    metrics = held_out_metrics(module, data)
    assert metrics["degenerate_points"] == len(data.parts[2])
    assert np.isfinite(metrics["mse"])
    normalised = [metrics[key] for key in metrics if key.startswith("normalised_")]
    assert normalised
    assert np.isnan(normalised).all()


# --- in tables ------------------------------------------------------------------------------------

METRICS = {"mse": 0.125, "mse_raw": 0.5, "mcn": 4.0, "normalised_mcn": 2.0}
ON_A_TORUS = {"mse": 0.125, "mse_raw": 0.5, "mcn": 4.0}


def test_the_table_of_a_run_repeats_what_is_invariant(capsys):
    _show("run", METRICS)
    shown = capsys.readouterr().out
    rows = [[word for word in line.split() if word != "│"] for line in shown.splitlines()]
    assert ["mse", "0.125", "0.125"] in rows
    assert ["mcn", "4", "2"] in rows


def test_the_table_of_a_torus_has_one_column(capsys):
    _show("run", ON_A_TORUS)
    shown = capsys.readouterr().out
    assert "as trained" in shown
    assert "normalisation" not in shown
    assert "0.125" in shown


def test_the_table_of_a_study_repeats_what_is_invariant():
    plain, normalised = table({"a": {"0": METRICS, "1": METRICS}}).splitlines()[2:]
    assert plain.startswith("| a | 2 | 0.5 ± 0 |")
    assert normalised.startswith("| a, normalised | 2 | 0.5 ± 0 |")
    assert "| 4 ± 0 |" in plain
    assert "| 2 ± 0 |" in normalised
    assert len(table({"a": {"0": ON_A_TORUS}}).splitlines()) == 3
