"""Ablations: weights by a rule, rows with and without each term, paired intervals."""

import math
import threading
from pathlib import Path

import pytest
import yaml

import training
from tests.support.small_designs import DESIGN, ISOMETRY, R2
from tests.support.small_runs import one_line
from training.__main__ import main
from training.ablation.design import read_design
from training.ablation.fits import Fits, configuration
from training.ablation.tables import against_table, earned_table, rows_table
from training.ablation.weights import chosen_weights
from training.errors import TrainingError

STUDIES = sorted(Path(training.__file__).parent.glob("studies/*.yaml"))


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
        ({"terms": {"x": {"like": ["R2"]}}}, r"term x is like \['R2'\], which is no term"),
        ({"terms": {"x": 5}}, r"terms are name: {part: options}; got 5"),
        ({"terms": None}, r"terms are name: {part: options}; got None"),
        ({"seeds": [0, 0]}, r"seeds \[0, 0\] must differ"),
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


def test_a_design_elsewhere_has_the_configuration_of_the_one_it_is_like(written, tmp_path):
    (tmp_path / "own.yaml").write_text("trainer: {max_epochs: 4}\n")
    design = read_design(written(config="own.yaml"))
    path = tmp_path / "mine" / "like.yaml"
    path.parent.mkdir()
    path.write_text("like: ../small.yaml\n")
    assert read_design(path).config == design.config


def test_a_term_is_like_one_before_it_but_for_what_it_says(written, tmp_path):
    written()
    path = tmp_path / "like.yaml"
    path.write_text(
        "like: small.yaml\n"
        "terms:\n"
        "  R2: {like: R2, R2: {weight: 0.5}}\n"
        "  late: {like: R2, R2: {start: 3, measure: {class_path: A, init_args: {n: 1, m: 2}}}}\n"
        "  later: {like: late, R2: {start: 5, measure: {init_args: {n: 3}}}}\n"
        "  other: {like: late, R2: {measure: {class_path: B}}}\n"
        "  number: {like: late, R2: {measure: 7}}\n"
        "rows: {none: [], late: [late], isometry: [isometry]}\n"
    )
    terms = read_design(path).terms
    assert terms["isometry"] == ISOMETRY
    assert terms["R2"] == {"R2": R2["R2"] | {"weight": 0.5}}
    late = R2["R2"] | {"weight": 0.5, "start": 3}
    a, b = ({"class_path": "A", "init_args": {"n": n, "m": 2}} for n in (1, 3))
    assert terms["late"] == {"R2": late | {"measure": a}}
    assert terms["later"] == {"R2": late | {"start": 5, "measure": b}}
    assert terms["other"] == {"R2": late | {"measure": {"class_path": "B"}}}
    assert terms["number"] == {"R2": late | {"measure": 7}}


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
