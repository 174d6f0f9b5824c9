"""``python -m training``: run folders, bad input, resuming, several processes."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from training.__main__ import main
from training.evaluation.normalisation import INVARIANT

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
N, D = 200, 5
FUNCTIONALS, MEASURES = "training.functionals.", "training.measures."
TERMS = {
    "curvature": {
        "functional": {
            "class_path": FUNCTIONALS + "TotalSquaredCurvature",
            "init_args": {"scale_free": True},
        },
        "weight": 1e-3,
    },
    "perelman": {
        "functional": {
            "class_path": FUNCTIONALS + "PerelmanF",
            "init_args": {"potential": {"class_path": FUNCTIONALS + "LearnedPotential"}},
        },
        "weight": 1e-2,
    },
    "isometry": {
        "functional": {"class_path": FUNCTIONALS + "RelaxedDistortion"},
        "weight": 0.1,
        "measure": {"class_path": MEASURES + "Mixtures"},
    },
}
SCHEDULED = {
    "entropy": {
        "functional": {
            "class_path": FUNCTIONALS + "PerelmanW",
            "init_args": {
                "tau": {
                    "class_path": FUNCTIONALS + "Tau",
                    "init_args": {"value": 2.0, "rate": -0.25},
                }
            },
        },
        "weight": 1e-3,
        "start": 1,
        "full": 3,
    },
    "contractive": {
        "functional": {"class_path": FUNCTIONALS + "ContractiveEncoder"},
        "weight": 1e-4,
    },
}
EPOCHS = 4


class Interrupt(Callback):
    """Ctrl-C in the middle of the third epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.current_epoch == 2 and index == 0:
            raise KeyboardInterrupt


# --- helpers --------------------------------------------------------------------------------------


def write_config(folder, name="config.yaml", terms=TERMS, **data):
    """A small configuration: points of a file, unless ``data`` says otherwise."""
    points = np.random.default_rng(0).normal(size=(N, D)) @ np.diag([3, 2, 1, 0.5, 0.1])
    np.save(folder / "points.npy", points)
    source = {
        "class_path": "training.data.UserFile",
        "init_args": {"path": str(folder / "points.npy")},
    }
    config = {
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False},
        "data": {"source": source, "batch_size": 40, "fractions": [0.6, 0.2, 0.2]} | data,
        "model": {
            "autoencoder": {
                "class_path": "training.models.MLPAutoEncoder",
                "init_args": {"data_dimension": D, "widths": [8]},
            },
            "terms": terms,
        },
    }
    (folder / name).write_text(yaml.safe_dump(config))
    return folder / name


def fit(config, run, *options):
    """The exit code of ``fit``."""
    return main(["fit", "--config", str(config), "--run", str(run), *options])


def contents(folder):
    """path -> (bytes, time of the last change) of everything below."""
    return {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def assert_equal_trees(actual, expected):
    """Bit for bit, through dicts and lists."""
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key in expected:
            assert_equal_trees(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected, strict=True):
            assert_equal_trees(*pair)
    elif isinstance(expected, torch.Tensor):
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected)
    else:
        assert actual == expected


# --- a run and its folder -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, run): a run that is done; do not write there."""
    folder = tmp_path_factory.mktemp("finished")
    config = write_config(folder, terms=TERMS | SCHEDULED)
    options = ["--model.learning_rate", "0.005", "--trainer.max_epochs", "3"]
    assert fit(config, folder / "run", *options) == 0
    return folder, folder / "run"


def test_a_run_leaves_config_checkpoint_logs_and_metrics_and_no_more(finished):
    folder, run = finished
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert names - events == {
        "config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "hparams.yaml",
        "metrics.csv", "metrics.json", *(f"checkpoints/epoch_0000{i}.ckpt" for i in range(4)),
    }  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "points.npy", "run"}


def test_options_override_the_file_and_are_kept(finished):
    config = yaml.safe_load((finished[1] / "config.yaml").read_text())
    assert config["model"]["learning_rate"] == 0.005
    assert config["trainer"]["max_epochs"] == 3
    assert config["seed_everything"] == 0
    (group,) = checkpoint(finished[1])["optimizer_states"][0]["param_groups"]
    assert group["initial_lr"] == 0.005


def test_every_term_is_logged_in_every_epoch_in_which_it_works(finished):
    with (finished[1] / "metrics.csv").open() as file:
        rows = [*csv.DictReader(file)]
    names = {"loss", "mse", "degenerate_points", *TERMS, *SCHEDULED}
    assert {f"{stage}/{name}" for stage in ("train", "val") for name in names} <= rows[0].keys()
    logged = {n: "".join(r["epoch"] for r in rows if r[f"train/{n}"]) for n in names}
    assert logged == dict.fromkeys(names, "012") | {"entropy": "12"}
    losses = [float(row["val/loss"]) for row in rows if row["val/loss"]]  # with full weights
    assert losses[-1] < losses[0]


def test_tensorboard_has_the_same_terms(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished[1]))
    events.Reload()
    assert {f"val/{name}" for name in TERMS | SCHEDULED} <= {*events.Tags()["scalars"]}


def test_scheduled_tau_has_moved_by_its_rate_times_the_epochs(finished):
    log_tau = checkpoint(finished[1])["state_dict"]["terms.functionals.entropy.tau.log_value"]
    assert log_tau.exp().item() == pytest.approx(2.0 - 0.25 * 3, rel=1e-6)


def test_metrics_are_written_plain_and_normalised(finished):
    metrics = json.loads((finished[1] / "metrics.json").read_text())
    plain = {key for key in metrics if not key.startswith("normalised_")}
    assert {f"normalised_{key}" for key in plain - INVARIANT} == metrics.keys() - plain
    assert plain >= {
        "mse", "mse_raw", "r2", "mean_abs_R", "median_abs_R", "p95_abs_R", "integral_R2_dmu",
        "mean_R2_sqrt_det_g", "mcn", "vor", "relaxed_distortion", "var_log_det_g",
        "trustworthiness", "continuity", "knn_recall_at_10",
    }  # fmt: skip
    assert "procrustes_disparity" not in plain  # this file has no chart


def test_evaluating_again_gives_the_same_and_touches_nothing_else(finished, tmp_path, capsys):
    run = shutil.copytree(finished[1], tmp_path / "run")
    before = contents(run)
    (run / "metrics.json").unlink()
    assert main(["evaluate", str(run)]) == 0
    assert "trustworthiness" in capsys.readouterr().out
    after = contents(run)
    assert after.keys() == before.keys()
    assert [p.name for p in before if p.is_file() and after[p][0] != before[p][0]] == []


def test_encode_writes_latents_curvature_and_metric_of_each_point(finished, tmp_path):
    folder, run = finished
    out = tmp_path / "z.npz"
    arguments = ["--data", str(folder / "points.npy"), "--out", str(out)]
    assert main(["encode", str(run), *arguments]) == 0
    with np.load(out) as file:
        found = dict(file)
    shapes = {"z": (N, 2), "R": (N,), "metric": (N, 2, 2), "volume_density": (N,)}
    shapes |= {"reconstruction": (N, D)}
    assert {name: found[name].shape for name in found} == shapes
    density = np.sqrt(np.linalg.det(found["metric"]))
    np.testing.assert_allclose(density, found["volume_density"], rtol=1e-9)
    error = np.square(found["reconstruction"] - np.load(folder / "points.npy")).mean()
    held_out = json.loads((run / "metrics.json").read_text())["mse_raw"]
    assert 0.5 < error / held_out < 2  # both in raw units


def test_a_chart_brings_its_metrics(tmp_path):
    roll = {"class_path": "training.data.SwissRoll", "init_args": {"n": 300}}
    config = write_config(tmp_path, source=roll, terms={})
    options = ["--model.autoencoder.init_args.data_dimension", "3"]
    assert fit(config, tmp_path / "run", *options) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics.keys() >= {"spearman", "stress", "procrustes_disparity", "tear_score"}


# --- bad input ------------------------------------------------------------------------------------


@pytest.fixture
def desk(finished, tmp_path):
    """A folder with a configuration, a finished run, and files good and bad."""
    write_config(tmp_path)
    shutil.copytree(finished[1], tmp_path / "done")
    bad = np.ones((N, D))
    bad[3, 2] = np.nan
    np.save(tmp_path / "nan.npy", bad)
    np.save(tmp_path / "narrow.npy", np.ones((N, D - 1)))
    (tmp_path / "torn.yaml").write_text("trainer: {max_epochs: [1")
    (tmp_path / "empty").mkdir()
    return tmp_path


FIT = "fit --config config.yaml --run new "
PATH = "--data.source.init_args.path "
BAD = {
    "": "The commands are fit, evaluate, kmeans, encode",
    "train": "got train",
    "fit --config missing.yaml --run new": "missing.yaml",
    "fit --config torn.yaml --run new": "Problems parsing config",
    "fit --run new": "required",
    FIT + "--model.learning_rat 1": "learning_rat",
    FIT + "--model.learning_rate fast": "learning_rate",
    FIT + "--model.autoencoder.init_args.activation relu": "got 'relu'",
    FIT + "--model.autoencoder.class_path no.such.Class": "no.such.Class",
    FIT + "--model.warm_start magic": "got 'magic'",
    FIT + "--model.terms.isometry.start 2 --model.terms.isometry.full 1": "before start",
    FIT + "--model.autoencoder.init_args.data_dimension 4": "dimension 4; the data have 5",
    FIT + PATH + "missing.npy": "There is no file missing.npy",
    FIT + PATH + "nan.npy": "NaN or infinite in 1 of 200 rows (from 0: 3)",
    FIT + PATH + "narrow.npy": "dimension 5; the data have 4",
    FIT + PATH + "config.yaml": "the ending must be one of",
    FIT + "--data.batch_size 1000": "120 training points make no batch of 1000",
    FIT + "--data.batch_size 0": "batch_size 0",
    FIT + "--data.fractions [0.5,0.5,0.5]": "fractions",
    FIT + "--data.fractions [0.5,0.4,0.1]": "20 test points are too few",
    FIT + "--trainer.accelerator abacus": "abacus",
    FIT + "--resume": "there is no new/checkpoints/last.ckpt",
    FIT + "--resume true": "there is no new/checkpoints/last.ckpt",
    "fit --config config.yaml --run empty --resume": "there is no empty/checkpoints/last.ckpt",
    "fit --config config.yaml --run done --resume": "options under model are not",
    "fit --config config.yaml --run done": "done is not empty, and nothing is written over",
    "fit --config config.yaml --run config.yaml": "config.yaml is a file",
    "evaluate": "run",
    "evaluate nowhere": "nowhere is no run",
    "evaluate empty": "empty is no run",
    "evaluate done --fast": "--fast",
    "encode done --data points.npy": "out",
    "encode done --data missing.npy --out z.npz": "There is no file missing.npy",
    "encode done --data nan.npy --out z.npz": "NaN or infinite in 1 of 200 rows",
    "encode done --data narrow.npy --out z.npz": "dimension 4",
    "encode done --data points.npy --out points.npy": "must be a new .npz file",
    "encode done --data points.npy --out no/z.npz": "must be a new .npz file",
    "encode empty --data points.npy --out z.npz": "empty is no run",
}


@pytest.mark.grid
@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_exit_code_2_and_nothing_written(line, desk, capfd, monkeypatch):
    monkeypatch.chdir(desk)
    before = contents(desk)
    assert main(line.split()) == 2
    shown = capfd.readouterr()
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("\n")
    assert BAD[line] in shown.err
    assert shown.out == ""
    assert contents(desk) == before


def test_encode_writes_over_nothing(desk, capfd):
    out = desk / "old.npz"
    out.write_bytes(b"precious")
    arguments = ["--data", str(desk / "points.npy"), "--out", str(out)]
    assert main(["encode", str(desk / "done"), *arguments]) == 2
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--model.learning_rate", "1e10"], "Error: curvature, perelman: The decoder's metric"),
        (["--model.terms.isometry.weight", "1e39"], "The loss is not finite at step 0: isometry"),
    ],
)
def test_a_diverged_loss_names_the_term(options, named, tmp_path, capfd):
    run = tmp_path / "run"
    assert fit(write_config(tmp_path), run, *options, "--trainer.max_epochs", "5") == 2
    shown = capfd.readouterr().err
    assert shown.startswith("Error: ")
    assert named in shown
    assert shown.count("\n") == 1
    assert not (run / "metrics.json").exists()


# --- resuming -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_an_interrupted_run_resumes_to_the_same_bits(precision, tmp_path, capfd):
    config = write_config(tmp_path, terms=TERMS | SCHEDULED)
    options = ["--trainer.max_epochs", str(EPOCHS), "--trainer.precision", precision]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert fit(config, whole, *options) == 0
    interrupt = ["--trainer.callbacks", f"{__name__}.Interrupt"]
    assert fit(config, parts, *options, *interrupt) == 130
    assert checkpoint(parts)["epoch"] == 1
    assert not (parts / "metrics.json").exists()
    assert fit(config, parts, *options, "--resume") == 0
    resumed, expected = checkpoint(parts), checkpoint(whole)
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert_equal_trees(resumed[key], expected[key])
    dtypes = {tensor.dtype for tensor in expected["state_dict"].values()}
    assert torch.float64 in dtypes if precision == "64-true" else torch.float32 in dtypes
    assert (parts / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    with (parts / "metrics.csv").open() as a, (whole / "metrics.csv").open() as b:
        shown = ("epoch", "train/loss", "flow/F", "flow/defect", "flow/mass")
        logged = [[row[name] for name in shown] for row in csv.DictReader(a)]
        assert logged == [[row[name] for name in shown] for row in csv.DictReader(b)]


# --- several processes ----------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_give_the_parameters_of_one(tmp_path):
    config = write_config(tmp_path)
    options = ["--trainer.precision", "64-true", "--trainer.max_epochs", "2"]
    assert fit(config, tmp_path / "one", *options) == 0
    options += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    command = [sys.executable, "-m", "training", "fit", "--config", str(config)]
    done = subprocess.run(
        [*command, "--run", str(tmp_path / "two"), *options],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    one, two = (checkpoint(tmp_path / name)["state_dict"] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].dtype == torch.float64
        assert (one[name] - two[name]).abs().max() <= 1e-12, name
