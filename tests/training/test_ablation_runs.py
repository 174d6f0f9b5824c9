"""Runs of an ablation: each once, several at a time; their numbers, tables and agreement."""

import json
import math
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.support.small_designs import DESIGN, R2
from tests.support.small_runs import fit, gaussians, write_config
from training.__main__ import main
from training.ablation.agreement import KEYS, _jackknife, agreement
from training.ablation.command import ablate
from training.ablation.design import read_design
from training.ablation.fits import Fits, metrics_of
from training.errors import TrainingError


def test_a_design_that_changed_is_refused(written, tmp_path, monkeypatch):
    monkeypatch.setattr(Fits, "_fit", lambda *_: False)
    fits = Fits(tmp_path / "runs", 1)
    assert fits.fitted(read_design(written()), "both", (0.1, 1.0), 0) is None
    turned = {name: dict(reversed(part.items())) for name, part in R2.items()}
    written(terms=DESIGN["terms"] | {"R2": turned})  # the same but for the order
    design = read_design(tmp_path / "small.yaml")
    assert fits.fitted(design, "both", (0.1, 1.0), 0) is None
    assert fits.fitted(design, "isometry", (0.1,), 0) is None
    changed = written(terms=DESIGN["terms"] | {"isometry": R2})
    with pytest.raises(TrainingError, match="made by another design"):
        fits.fitted(read_design(changed), "isometry", (0.1,), 0)


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        (2, "Error: The loss is not finite at step 3", None),
        (2, "Error: A file is missing", "exit code 2: Error: A file is missing"),
        (143, "Stopped.", "exit code 143: Stopped."),
    ],
)
def test_a_run_that_diverged_is_not_run_again_and_others_stop_the_study(
    code, message, error, written, tmp_path, monkeypatch
):
    calls = []

    def done(self, command):
        calls.append(command)
        return code, message

    monkeypatch.setattr(Fits, "_done", done)
    fits, design = Fits(tmp_path / "runs", 1), read_design(written())
    if error:
        with pytest.raises(TrainingError, match=error):
            fits.fitted(design, "isometry", (0.1,), 0)
        return
    assert [fits.fitted(design, "isometry", (0.1,), 0) for _ in range(2)] == [None, None]
    assert len(calls) == 1


def test_numbers_of_runs_that_were_made_elsewhere(written, tmp_path, monkeypatch):
    made = []

    def fitted(self, design, row, weights, seed, evaluate=False):
        made.append((row, seed))
        return None if seed == 1 else tmp_path

    monkeypatch.setattr(Fits, "fitted", fitted)
    monkeypatch.setattr("training.ablation.fits.metrics_of", lambda run: run and {"mse": 0.25})
    monkeypatch.setattr(
        "training.ablation.fits.validation_error", lambda run: 0.5 if run else math.inf
    )
    design, ledger = read_design(written()), tmp_path / "ledger.json"
    for _ in range(2):  # the second time by what the first one has written
        fits = Fits(tmp_path / "runs", 1, ledger)
        for seed, expected in ((0, (0.5, {"mse": 0.25})), (1, (math.inf, None))):
            run = design, "isometry", (0.1,), seed
            assert (fits.validation_error(*run), fits.metrics(*run)) == expected
        assert made == [("isometry", 0)] * 2 + [("isometry", 1)] * 2
        (fits._place(design, "isometry", (0.1,)) / "seed_2").mkdir(parents=True, exist_ok=True)
        assert fits.here(design, "isometry", (0.1,), 0) is None
    turned = dict(reversed(R2["R2"].items()))
    for terms in (DESIGN["terms"], DESIGN["terms"] | {"R2": {"R2": turned}}):
        fits.metrics(read_design(written(terms=terms)), "both", (0.1, 1.0), 0)
    assert made.count(("both", 0)) == 1
    fits.metrics(design, "isometry", (1.0,), 0)  # of another weight
    changed = read_design(written(options={"trainer": {"max_epochs": 3}}))
    fits.metrics(changed, "isometry", (0.1,), 0)
    assert len(made) == 7


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is damaged"), ("[1]", "no ledger"), ('{"a": 1}', "no ledger")]
)
def test_what_is_no_ledger(text, message, tmp_path):
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(TrainingError, match=message):
        Fits(tmp_path / "runs", 1, tmp_path / "ledger.json")


def test_metrics_that_cannot_be_made_stop_the_study(written, tmp_path, monkeypatch):
    monkeypatch.setattr(Fits, "_fit", lambda *_: True)
    monkeypatch.setattr(Fits, "_done", lambda *_: (2, "Error: Too few points"))
    fits, design = Fits(tmp_path / "runs", 1), read_design(written(downstream=True))
    with pytest.raises(TrainingError, match="exit code 2: Error: Too few points"):
        fits.fitted(design, "isometry", (0.1,), 0, evaluate=True)


def test_a_run_that_chooses_a_weight_is_fitted_once_and_not_evaluated(
    written, tmp_path, monkeypatch
):
    calls = []

    def done(self, command):
        calls.append(command)
        if command[0] == "fit":
            Path(command[command.index("--run") + 1]).mkdir()
        return 0, ""

    monkeypatch.setattr(Fits, "_done", done)
    fits, design = Fits(tmp_path / "runs", 1), read_design(written())
    for _ in range(2):
        fits.validation_error(design, "isometry", (0.1,), 0)
    assert [command[0] for command in calls] == ["fit"]
    assert calls[0][calls[0].index("--evaluate") + 1] == "false"
    run = fits.fitted(design, "isometry", (0.1,), 0, evaluate=True)
    assert [command[0] for command in calls] == ["fit", "evaluate"]
    shutil.rmtree(run)
    fits.fitted(design, "isometry", (0.1,), 0)
    assert [command[0] for command in calls] == ["fit", "evaluate", "fit"]


def test_a_design_may_ask_for_clusters(written, tmp_path, monkeypatch):
    def done(self, command):
        (tmp_path / "run" / f"{command[0]}.json").write_text('{"riemannian": 0.5}')
        return 0, ""

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(Fits, "_done", done)
    for asked in (False, True):
        design = read_design(written(clusters=asked))
        Fits(tmp_path / "runs", 1)._evaluate(tmp_path / "run", design)
        assert (tmp_path / "run" / "kmeans.json").is_file() == asked
    assert metrics_of(tmp_path / "run")["kmeans_f1_riemannian"] == 0.5


def end(command):
    os._exit(9)


@pytest.mark.slow
def test_a_process_that_is_killed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("training.ablation.fits._run", end)
    with Fits(tmp_path, 1) as fits, pytest.raises(TrainingError, match="fit x was killed, for"):
        fits._done(["fit", "x"])


def test_options_change_a_configuration_in_places(written):
    design = read_design(written(options={"trainer": {"max_epochs": 3}}))
    assert design.config["trainer"]["max_epochs"] == 3
    assert design.config["trainer"]["accelerator"] == "cpu"


@pytest.mark.slow
def test_a_study_by_design(written, tmp_path, capsys):
    rows = DESIGN["rows"] | {"isomap": ["isomap"]}
    # One cloud, whose graph of neighbours is connected.
    write_config(tmp_path / "plain.yaml", gaussians(offset=0.0), epochs=1)
    tuning = DESIGN["tuning"] | {"weights": [0.1, 0.01], "at_most": 2.0}
    design = written(rows=rows, tuning=tuning, downstream=True, seeds=[0, 1, 2])
    command = ["study", "--design", str(design), "--jobs", "2"]
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    assert main([*command, *places]) == 0
    found = json.loads((tmp_path / "out" / "small.json").read_text())
    assert set(found["metrics"]) == {"none", "isometry", "both", "isomap"}
    assert all(set(by_seed) == {"0", "1", "2"} for by_seed in found["metrics"].values())
    assert 0 < found["metrics"]["both"]["1"]["kmeans_f1"] <= 1
    assert found["metrics"]["both"]["1"].keys() >= {"train_mse", "train_R2", "train_isometry"}
    assert set(found["agreement"]) == {"none", "isometry", "both"}
    text = (tmp_path / "out" / "small.md").read_text()
    assert text.startswith("`python -m training study --design")
    assert "| R2 | isometry | 3 | " in text
    assert "jackknife" in text
    assert text in capsys.readouterr().out
    kept = sorted((tmp_path / "runs").rglob("metrics.json"))
    assert len(kept) == 3 * 3  # none of runs that chose a weight
    configs = [path.read_text() for path in (tmp_path / "runs").rglob("config.yaml")]
    assert len(configs) > len(kept)
    assert all("\nevaluate: true\n" in config for config in configs)
    assert [path.name for path in (kept[0].parent / "checkpoints").iterdir()] == ["last.ckpt"]
    times = [path.stat().st_mtime_ns for path in kept]
    assert main([*command, *places]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_as_many_tasks_at_a_time_as_processes(tmp_path):
    """A pool with more of them may lose its processes, as these retire."""
    fits, lock, now, most = Fits(tmp_path, 2), threading.Lock(), [0], [0]

    class Pool:
        def submit(self, function, argument):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            return self

        def result(self):
            time.sleep(0.02)
            with lock:
                now[0] -= 1

    fits._pool = Pool()
    fits.all(lambda _: fits.all(lambda seed: fits.apart(abs, seed, "x"), range(4)), range(4))
    assert most == [2]


def test_tables_are_there_after_each_seed(written, tmp_path, monkeypatch):
    table = tmp_path / "out" / "small.json"

    def metrics(self, design, row, weights, seed):
        end = time.monotonic() + 20
        while seed > 0 and not table.is_file() and time.monotonic() < end:
            time.sleep(0.01)
        return {"mse": 1.0, "there": float(table.is_file())}

    monkeypatch.setattr(Fits, "metrics", metrics)
    ablate(written(tuning=None), tmp_path / "out", tmp_path / "runs", jobs=2)
    found = json.loads(table.read_text())["metrics"]
    assert {row: [by_seed[s]["there"] for s in "01"] for row, by_seed in found.items()} == {
        row: [0, 1] for row in DESIGN["rows"]
    }


def test_a_full_disk_ends_a_study(written, tmp_path, monkeypatch):
    asked = []

    def full(*_):
        raise TrainingError("No space left.")

    def metrics(self, design, row, weights, seed):
        asked.append(seed)
        time.sleep(0.05)
        return {"mse": 1.0}

    monkeypatch.setattr(Fits, "metrics", metrics)
    monkeypatch.setattr("training.ablation.command.write_json", full)
    design = written(tuning=None, seeds=[*range(9)])
    with pytest.raises(TrainingError, match="No space left") as _held:  # and its frames with it
        ablate(design, tmp_path / "out", tmp_path / "runs", jobs=1)
    asked_until_then = len(asked)
    time.sleep(0.3)
    assert len(asked) == asked_until_then < 27


# --- agreement ------------------------------------------------------------------------------------


def test_a_run_agrees_with_itself_and_a_turned_one(tmp_path):
    run = fit(tmp_path / "run", gaussians(), epochs=1)
    found = agreement([run, run, None])
    assert {key: value[0] for key, value in found.items()} == pytest.approx(dict.fromkeys(KEYS, 1))


def test_rows_of_too_few_runs_have_no_agreement(written, tmp_path, monkeypatch):
    """A study of two seeds, or of numbers from a ledger, ends with its tables."""
    numbers = {"R": (math.nan,) * 3, "latents": (0.5, 0.4, 0.6)}
    monkeypatch.setattr(Fits, "apart", lambda self, function, argument, what: numbers)
    here = {("isometry", 2): None, ("both", 1): None}
    monkeypatch.setattr(Fits, "here", lambda self, d, row, w, seed: here.get((row, seed), tmp_path))
    monkeypatch.setattr(Fits, "metrics", lambda *case: {"mse": 1.0})
    design = written(tuning=None, downstream=True, seeds=[0, 1, 2])
    ablate(design, tmp_path / "out", tmp_path / "runs", jobs=1)
    found = json.loads((tmp_path / "out" / "small.json").read_text())["agreement"]
    assert found == {"none": {"R": [None] * 3, "latents": [0.5, 0.4, 0.6]}}
    assert "| none |  | 0.5 [0.4, 0.6] |" in (tmp_path / "out" / "small.md").read_text()


def test_the_jackknife_of_independent_means_is_the_standard_error():
    """Entries (x_i + x_j)/2: the mean of x, whose jackknife is its standard error."""
    x = np.random.default_rng(0).normal(size=8)
    table = (x[:, None] + x) / 2
    np.fill_diagonal(table, math.nan)
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert np.allclose(_jackknife(table), (x.mean(), low, high))
