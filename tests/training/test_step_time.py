"""``python -m training.step_time``: one optimiser step with every functional."""

import json

import pytest
import torch
import typer
from typer.testing import CliRunner

from training import step_time

SMALL = ("--batch", "8", "--width", "4", "--repeats", "2")


def run(*arguments):
    app = typer.Typer()
    app.command()(step_time.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_functional_is_timed_against_none(tmp_path):
    file = tmp_path / "step_time.json"
    outcome = run(*SMALL, "--json", file)
    assert outcome.exit_code == 0, outcome.output
    record = json.loads(file.read_text())
    assert (record["device"], record["batch"], record["width"]) == ("cpu", 8, 4)
    assert [line["functional"] for line in record["results"]] == [*step_time.FUNCTIONALS]
    none = record["results"][0]["median_seconds"]
    for line in record["results"]:
        assert line["min_seconds"] <= line["median_seconds"] <= line["max_seconds"]
        assert line["over_none"] == pytest.approx(line["median_seconds"] / none)
        assert line["functional"] in outcome.output


@pytest.mark.slow
def test_estimates_of_many_latent_dimensions_are_timed(tmp_path):
    file = tmp_path / "step_time.json"
    outcome = run(
        *SMALL, "--latent", 9, "--points", 2, "--batch", 12, "--width", 16, "--json", file
    )
    assert outcome.exit_code == 0, outcome.output
    record = json.loads(file.read_text())
    assert (record["latent"], record["points"], record["probes"]) == (9, 2, 4)
    assert len(record["results"]) == 5


def test_the_first_steps_warm_up(monkeypatch):
    now = 0.0

    class Step:
        def __init__(self, *_):
            self.turn = 0

        def __call__(self):
            nonlocal now
            self.turn += 1
            now += 1.0 if self.turn > step_time.WARM_UPS else 60.0

    monkeypatch.setattr(step_time, "_Step", Step)
    monkeypatch.setattr(step_time.time, "perf_counter", lambda: now)
    found = step_time.measure(torch.ones(8, step_time.D), 4, 2)
    assert {(t.min_seconds, t.max_seconds) for t in found} == {(1.0, 1.0)}


def test_steps_train(monkeypatch):
    taken = []

    class Step(step_time._Step):
        def __call__(self):
            before = [parameter.clone() for parameter in self.model.parameters()]
            super().__call__()
            after = self.model.parameters()
            taken.append(any((a != b).any() for a, b in zip(after, before, strict=True)))

    monkeypatch.setattr(step_time, "_Step", Step)
    step_time.measure(step_time._data(8, "cpu"), 4, 2)
    assert len(taken) == (2 + step_time.WARM_UPS) * len(step_time.FUNCTIONALS)
    assert all(taken)


@pytest.mark.parametrize("option", [("--device", "nonsense"), ("--json", "/no/such/folder/x")])
def test_bad_usage_is_one_line_and_exit_code_2(option):
    outcome = run(*SMALL, *option)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Error: ")
    assert outcome.stderr.count("\n") == 1
