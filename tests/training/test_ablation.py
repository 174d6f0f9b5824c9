"""Ablations: weights by a rule, rows with and without each term, paired intervals."""

import json
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

import training
from tests.support.small_runs import CURVATURE, fit, gaussians, one_line, write_config
from training.__main__ import main
from training.ablation.agreement import KEYS, _jackknife, agreement
from training.ablation.command import ablate
from training.ablation.design import read_design
from training.ablation.fits import Fits, configuration
from training.ablation.tables import against_table, earned_table, rows_table
from training.ablation.weights import chosen_weights
from training.errors import TrainingError

STUDIES = sorted(Path(training.__file__).parent.glob("studies/*.yaml"))
R2 = {"R2": CURVATURE["curvature"] | {"weight": 2.0}}
ISOMETRY = {
    "isometry": {"functional": {"class_path": "training.functionals.RelaxedDistortion"}},
}
DESIGN = {
    "config": "plain.yaml",
    "seeds": [0, 1],
    "tuning": {"seeds": [7], "weights": [1.0, 0.1, 0.01], "at_most": 1.1},
    "metrics": {"mse": "ratio", "knn_recall_at_10": "difference"},
    "terms": {"R2": R2, "isometry": ISOMETRY},
    "rows": {"none": [], "isometry": ["isometry"], "both": ["isometry", "R2"]},
}


@pytest.fixture
def written(tmp_path):
    """Writes a design, with changes, and returns its path."""
    write_config(tmp_path / "plain.yaml", gaussians(), epochs=1)
    (tmp_path / "own.yaml").write_text("model: {autoencoder: {class_path: networks.Own}}")

    def write(**changes):
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(DESIGN | changes, sort_keys=False))
        return path

    return write


# --- designs --------------------------------------------------------------------------------------


def test_rows_share_a_configuration_and_weights_are_relative(written):
    design = read_design(written())
    config = yaml.safe_load(configuration(design, "both", (0.1, 3.0)))
    weights = {name: term["weight"] for name, term in config["model"]["terms"].items()}
    assert weights == {"isometry": 0.1, "R2": 6.0}
    assert config["trainer"]["max_epochs"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": {"none": [], "x": ["unknown"]}}, "row x has no such term: unknown"),
        ({"rows": {"none": [], "x": ["isometry", "R2"]}}, r"compared with a row of \['isometry'\]"),
        ({"rows": {"x": ["R2"]}}, "compared with a row of"),
        ({"rows": {}}, "there must be a row without terms"),
        ({"rows": {"none": [], "x": ["isomap"]}, "config": "own.yaml"}, "needs latent_dimension"),
        ({"seeds": [0, 7]}, r"seeds \[7\] choose weights and are compared too"),
        ({"metrics": {"mse": "quotient"}}, "got quotient"),
        ({"against": [["none", "gone"]]}, "against has no such row: gone"),
        ({"against": [["none", "none"]]}, r"list of pairs of rows, .* got \['none', 'none'\]"),
        ({"against": ["none"]}, "list of pairs of rows, .* got none"),
        ({"against": 5}, "list of pairs of rows, .* got 5"),
        ({"terms": {"x": {"like": "gone"}}}, "term x is like gone, which is no term before it"),
        ({"more": 1}, "see more"),
        ({"tuning": {"seeds": [7]}}, "see at_most, weights"),
    ],
)
def test_a_wrong_design_is_one_line(written, changes, message):
    with pytest.raises(TrainingError, match=message):
        read_design(written(**changes))


def test_a_design_is_like_another_but_for_what_it_says(written, tmp_path):
    written()
    path = tmp_path / "like.yaml"
    path.write_text("like: small.yaml\nseeds: [3]\noptions: {trainer: {max_epochs: 9}}\n")
    design, other = read_design(path), read_design(tmp_path / "small.yaml")
    assert design.overlap == pytest.approx(other.overlap)
    assert (design.seeds, design.rows) == ((3,), other.rows)
    assert design.config["trainer"]["max_epochs"] == 9
    path.with_name("third.yaml").write_text("like: like.yaml\noptions: {}\n")
    third = read_design(path.with_name("third.yaml"))
    assert (third.seeds, third.rows, third.config) == ((3,), other.rows, other.config)


def test_a_term_is_like_one_before_it_but_for_what_it_says(written, tmp_path):
    written()
    path = tmp_path / "like.yaml"
    path.write_text(
        "like: small.yaml\n"
        "terms:\n"
        "  R2: {like: R2, R2: {weight: 0.5}}\n"
        "  late: {like: R2, R2: {start: 3, measure: null}}\n"
        "rows: {none: [], late: [late], isometry: [isometry]}\n"
    )
    terms = read_design(path).terms
    assert terms["isometry"] == ISOMETRY
    assert terms["R2"] == {"R2": R2["R2"] | {"weight": 0.5}}
    assert terms["late"] == {"R2": R2["R2"] | {"weight": 0.5, "start": 3, "measure": None}}
    assert read_design(tmp_path / "small.yaml").terms == DESIGN["terms"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_design_that_is_shipped_can_be_read(path):
    assert read_design(path).rows


def test_a_design_that_is_not_there(tmp_path, capsys):
    assert main(["study", "--design", str(tmp_path / "no.yaml")]) == 2
    assert "There is no file" in one_line(capsys)


# --- the rule -------------------------------------------------------------------------------------


class Errors:
    """Stands for Fits: validation errors as a function of the weights; None if it diverged."""

    def __init__(self, error):
        self.error, self.asked = error, []

    def all(self, function, cases):
        return [function(case) for case in cases]

    def validation_error(self, design, row, weights, seed):
        self.asked.append((row, weights))
        error = self.error(*weights)
        return math.inf if error is None else error


def test_the_weight_is_the_largest_that_the_reconstruction_bears(written):
    design = read_design(written())
    fits = Errors(lambda isometry=0, r2=0: 1 + 0.5 * isometry + 2 * r2)
    assert chosen_weights(design, fits) == {
        "none": (), "isometry": (0.1,), "both": (0.1, 0.01)
    }  # fmt: skip
    assert ("both", (0.1, 0.01)) in fits.asked


def test_no_weight_may_be_allowed_and_diverging_is_none(written):
    design = read_design(written())
    chosen = chosen_weights(design, Errors(lambda w=0, r2=0: None if w else 1.0))
    assert chosen == {"none": (), "isometry": None, "both": None}


def test_without_tuning_weights_are_as_written(written):
    design = read_design(written(tuning=None))
    assert chosen_weights(design, None) == {"none": (), "isometry": (1.0,), "both": (1.0, 1.0)}


def test_the_seeds_of_a_weight_run_side_by_side(written, tmp_path, monkeypatch):
    both = threading.Barrier(2)

    def validation_error(self, design, row, weights, seed):
        both.wait(timeout=20)  # raises where no other seed is asked for meanwhile
        return 1.0

    monkeypatch.setattr(Fits, "validation_error", validation_error)
    design = read_design(written(tuning=DESIGN["tuning"] | {"seeds": [7, 8]}))
    assert chosen_weights(design, Fits(tmp_path, 2))["both"] == (1, 1)


# --- tables ---------------------------------------------------------------------------------------


def test_tables_mark_what_is_no_chance_and_leave_out_what_diverged(written):
    design = read_design(written())
    results = {
        "none": {str(s): {"mse": 1.0 + 0.01 * s, "knn_recall_at_10": 0.5} for s in range(3)},
        "isometry": {
            str(s): {"mse": 2.0 + 0.02 * s, "knn_recall_at_10": 0.5 + 0.1 * (-1) ** s}
            for s in range(3)
        },
        "both": {"0": {"mse": 1.0, "knn_recall_at_10": 0.5}, "1": None, "2": None},
    }
    earned = earned_table(design, results).splitlines()
    assert earned[2].startswith("| isometry | none | 3 | **×2 [2, 2]**†‡ | +0.0333 [")
    assert earned[3] == "| R2 | isometry | 1 |  |  |"
    close = {s: {"mse": 1.00231 * m["mse"]} for s, m in results["none"].items()}
    close["0"]["mse"] *= 1.0003
    table = earned_table(design, results | {"isometry": close})
    assert "| **×1.0024 [1.002, 1.0028]**" in table
    wild = {"0": {"mse": 1.0}, "1": {"mse": 1e53}}
    assert "inf]" in earned_table(design, results | {"isometry": wild})
    assert against_table(design, results) == ""
    against = read_design(written(against=[["none", "isometry"]]))
    assert "| none | isometry | 3 | **×0.5 [0.5, 0.5]**†‡ |" in against_table(against, results)
    chosen = {"none": (), "isometry": (0.1,), "both": None}
    rows = rows_table(design, chosen, results).splitlines()
    assert "| isometry | isometry 0.1 | 3 | 2.02 ± 0.02 |" in rows[3]
    assert "| both | none allowed | 1 (2 diverged) |" in rows[4]


def test_marks_tell_what_holds_among_all_and_for_other_points(written):
    """Differences m ± s of ten seeds: t = 3 m/s, and m/s where splits overlap by 0.8."""
    ratios = {"sure": 10, "among_all": 1.6, "alone": 0.85, "nothing": 0, "train_mse": 10}
    design = read_design(written(metrics=dict.fromkeys(ratios, "difference"), rows={
        "none": [], "isometry": ["isometry"]
    }))  # fmt: skip
    assert design.overlap == pytest.approx(0.8)
    seeds = {str(seed): (-1) ** seed for seed in range(10)}
    results = {
        "none": {seed: dict.fromkeys(ratios, 0.0) for seed in seeds},
        "isometry": {s: {key: m + sign for key, m in ratios.items()} for s, sign in seeds.items()},
    }
    cells = earned_table(design, results).splitlines()[2].split(" | ")[3:]
    assert [cell.rstrip(" |").rpartition("]")[2] for cell in cells] == [
        "**†‡",
        "**†",
        "**",
        "",
        "**†",
    ]


# --- runs -----------------------------------------------------------------------------------------


def test_a_design_that_changed_is_refused(written, tmp_path, monkeypatch):
    monkeypatch.setattr(Fits, "_fit", lambda *_: False)
    fits = Fits(tmp_path / "runs", 1)
    assert fits.fitted(read_design(written()), "isometry", (0.1,), 0) is None
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
        assert fits.here(design, "isometry", (0.1,), 0) is None
    fits.metrics(design, "isometry", (1.0,), 0)  # of another weight
    changed = read_design(written(options={"trainer": {"max_epochs": 3}}))
    fits.metrics(changed, "isometry", (0.1,), 0)
    assert len(made) == 6


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is damaged"), ("[1]", "no ledger"), ('{"a": 1}', "no ledger")]
)
def test_what_is_no_ledger(text, message, tmp_path):
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(TrainingError, match=message):
        Fits(tmp_path / "runs", 1, tmp_path / "ledger.json")


def test_metrics_that_cannot_be_made_stop_the_study(written, tmp_path, monkeypatch):
    """A run is there, and its encoder gives NaN, say."""
    monkeypatch.setattr(Fits, "_fit", lambda *_: True)
    monkeypatch.setattr(Fits, "_done", lambda *_: (2, "Error: points are not finite"))
    fits, design = Fits(tmp_path / "runs", 1), read_design(written(downstream=True))
    with pytest.raises(TrainingError, match="exit code 2: Error: points are not finite"):
        fits.fitted(design, "isometry", (0.1,), 0, evaluate=True)


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
    assert [path.name for path in (kept[0].parent / "checkpoints").iterdir()] == ["last.ckpt"]
    times = [path.stat().st_mtime_ns for path in kept]
    assert main([*command, *places]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == times


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
