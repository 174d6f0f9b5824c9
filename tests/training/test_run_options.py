"""Early stopping, the best checkpoint, what encode can be asked for, runs that fail early."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import curvcore
from tests.training.test_commands import D, N, fit, write_config
from training import cli, runs
from training.__main__ import main
from training.errors import TrainingError
from training.evaluation.held_out import normalised
from training.models import MLPAutoEncoder
from training.module import RegularizedAutoEncoder

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
BEST = ["--checkpoint", "best"]
STOP = {
    "class_path": "lightning.pytorch.callbacks.EarlyStopping",
    "init_args": {"monitor": "val/loss", "patience": 2, "verbose": False},
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(folder, run): a learning rate at which the loss soon rises, stopped early."""
    folder = tmp_path_factory.mktemp("stopped")
    config = yaml.safe_load(write_config(folder, terms={}).read_text())
    config["trainer"] |= {"max_epochs": 30, "callbacks": [STOP]}
    config["model"]["learning_rate"] = 1.0
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert fit(folder / "config.yaml", folder / "run") == 0
    return folder, folder / "run"


def validation_losses(run):
    with (run / "metrics.csv").open() as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


def checkpoint(run, name):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def encode(stopped, out, *options, data="points.npy"):
    """What ``encode`` writes."""
    folder, run = stopped
    arguments = ["--data", str(folder / data), "--out", str(out), *options]
    assert main(["encode", str(run), *arguments]) == 0
    with np.load(out) as file:
        return dict(file)


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_run_stops_early_and_keeps_its_best_epoch(stopped):
    losses = validation_losses(stopped[1])
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    assert checkpoint(stopped[1], "best")["epoch"] == best
    assert checkpoint(stopped[1], "last")["epoch"] == len(losses) - 1


def test_the_last_checkpoint_is_used_unless_the_best_is_asked_for(stopped, tmp_path):
    last, best = (checkpoint(stopped[1], name)["state_dict"] for name in ("last", "best"))
    for options, expected in (((), last), (("last",), last), (("best",), best)):
        found = runs.load(stopped[1], *options)[0].state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    found = [
        encode(stopped, tmp_path / f"{name}.npz", "--checkpoint", name)["reconstruction"]
        for name in ("last", "best")
    ]
    points = np.load(stopped[0] / "points.npy")
    errors = [np.square(values - points).mean() for values in found]
    assert errors[1] < errors[0]


def test_a_checkpoint_that_is_not_there_is_an_error(stopped, tmp_path):
    with pytest.raises(TrainingError, match=r"must be one of .*got 'first'"):
        runs.load(stopped[1], "first")
    (tmp_path / "checkpoints").mkdir()
    for name in ("config.yaml", "checkpoints/last.ckpt"):
        (tmp_path / name).touch()
    with pytest.raises(TrainingError, match=r"there is no .*best\.ckpt"):
        runs.load(tmp_path, "best")


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_a_run_of_before_an_option_was_there_can_be_resumed(stopped, tmp_path):
    """What its configuration does not say has the default."""
    saved = yaml.safe_load((stopped[1] / "config.yaml").read_text())
    del saved["model"]["warm_start_epochs"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    options = ["--config", str(stopped[1] / "config.yaml")]
    now, then = cli._settings(options), cli._settings(["--config", str(tmp_path / "config.yaml")])
    assert runs.difference(then, now) is None
    other = cli._settings([*options, "--model.warm_start_epochs", "7"])
    assert runs.difference(now, other) == "model.warm_start_epochs was 30 and is 7"


# --- encode ---------------------------------------------------------------------------------------


def test_encode_copies_labels_and_takes_them_for_no_feature(stopped, tmp_path, capfd):
    points = np.load(stopped[0] / "points.npy")
    kinds = ["b" if x[0] > 0 else "a" for x in points]
    rows = [
        ",".join([*map(repr, map(float, x)), kind]) for x, kind in zip(points, kinds, strict=True)
    ]
    names = ",".join([*(f"x{i}" for i in range(D)), "kind"])
    (stopped[0] / "table.csv").write_text("\n".join([names, *rows]))
    found = encode(stopped, tmp_path / "a.npz", "--labels", "kind", data="table.csv")
    np.testing.assert_array_equal(found.pop("labels"), points[:, 0] > 0)
    plain = encode(stopped, tmp_path / "b.npz")
    assert found.keys() == plain.keys()
    np.testing.assert_array_equal(found["z"], plain["z"])
    arguments = ["--data", str(stopped[0] / "points.npy"), "--labels", "kind"]
    assert main(["encode", str(stopped[1]), *arguments, "--out", str(tmp_path / "c.npz")]) == 2
    assert "no file 'kind'" in capfd.readouterr().err


def test_normalised_latents_have_the_mean_metric_one_over_the_training_points(stopped, tmp_path):
    np.save(stopped[0] / "train.npy", runs.load(stopped[1])[1].parts[0].points)
    found, plain = (
        encode(stopped, tmp_path / f"{len(options)}.npz", *options, data="train.npy")
        for options in (["--normalised", *BEST], BEST)
    )
    assert np.isfinite(found["R"]).all()
    np.testing.assert_allclose(found["metric"].mean(0), np.eye(2), atol=1e-9)
    linear, *_ = np.linalg.lstsq(plain["z"], found["z"], rcond=None)
    np.testing.assert_allclose(plain["z"] @ linear, found["z"], rtol=1e-9)
    back = np.einsum("ia,nab,jb->nij", linear, found["metric"], linear)
    np.testing.assert_allclose(back, plain["metric"], rtol=1e-6, atol=1e-9)
    for name in ("reconstruction", "R"):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-6, atol=1e-9)


def test_latents_of_a_torus_are_not_normalised():
    torus = RegularizedAutoEncoder(MLPAutoEncoder(D, 2, (8,), latent="torus"))
    with pytest.raises(TrainingError, match="no linear normalisation of a torus"):
        normalised(torus, None)


# --- runs that fail, and warnings -----------------------------------------------------------------


def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(tmp_path, capfd):
    config = write_config(tmp_path, terms={})
    points = np.random.default_rng(0).normal(size=(N, D))
    points[: N // 2] += 100
    np.save(tmp_path / "points.npy", points)
    assert fit(config, tmp_path / "run", "--model.warm_start", "isomap") == 2
    assert "falls apart into 2 components" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_can_be_resumed_is_not_discarded(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    runs.discard_unless_resumable(tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "checkpoints" / "other.ckpt")
    runs.discard_unless_resumable(tmp_path)
    assert not tmp_path.exists()


def test_a_decoder_with_kinks_is_warned_of_once(monkeypatch):
    decoder = nn.Sequential(nn.Linear(2, 8), nn.ReLU6(), nn.Linear(8, 4)).double()
    z = torch.randn(5, 2, dtype=torch.float64)

    def steps(arguments):
        for _ in range(3):
            curvcore.pullback(decoder, z, on_degenerate="nan")

    monkeypatch.setattr(cli, "run", steps)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert main([]) == 0
    kinds = sorted(warning.category.__name__ for warning in seen)
    assert kinds == ["FallbackWarning", "PiecewiseLinearWarning"]


def test_the_best_checkpoint_has_metrics_of_its_own(stopped, tmp_path):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    before = (run / "metrics.json").read_bytes()
    assert main(["evaluate", str(run), "--checkpoint", "best"]) == 0
    best = json.loads((run / "metrics_best.json").read_text())
    assert best.keys() == json.loads(before).keys()
    assert (run / "metrics.json").read_bytes() == before


# --- what is wrong is one line --------------------------------------------------------------------


def test_a_damaged_checkpoint_is_one_line(stopped, tmp_path, capfd):
    run = shutil.copytree(stopped[1], tmp_path / "run")
    (run / runs.LAST).write_bytes((run / runs.LAST).read_bytes()[:1000])
    assert main(["evaluate", str(run)]) == 2
    assert "is damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--model.learning_rate", "-1", "must be positive"),
        ("--model.warm_start_epochs", "0", "must be positive"),
        ("--model.autoencoder.init_args.latent_dimension", "0", "must be positive"),
        ("--data.seed", "-1", "must not be negative"),
        ("--trainer.max_epochs", "0", "Nothing was trained"),
    ],
)
def test_options_out_of_range_are_one_line_and_leave_nothing(
    option, value, message, tmp_path, capfd
):
    config = write_config(tmp_path, terms={})
    assert main(["fit", "--config", str(config), "--run", str(tmp_path / "r"), option, value]) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_run_inside_a_file_is_one_line(tmp_path, capfd):
    config = write_config(tmp_path, terms={})
    (tmp_path / "file").write_text("")
    assert main(["fit", "--config", str(config), "--run", str(tmp_path / "file" / "r")]) == 2
    assert "lies in a file" in capfd.readouterr().err


def test_the_last_epoch_is_kept_whenever_validation_runs(tmp_path):
    config = write_config(tmp_path, terms={})
    options = ("--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "2")
    assert main(["fit", "--config", str(config), "--run", str(tmp_path / "r"), *options]) == 0
    assert checkpoint(tmp_path / "r", "last")["epoch"] == 2
