"""Studies: every configuration with every seed, once."""

import json
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.study import study, table


def fake_fit(calls):
    """Writes the metrics that a run would have."""

    def fit(arguments):
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        calls.append(options)
        run = Path(options["--run"])
        run.mkdir(parents=True)
        seed = int(options["--seed_everything"])
        assert options["--data.seed"] == options["--model.seed"] == str(seed)
        metrics = {"mcn": 1.0 + seed, "normalised_mcn": 1.0, "vor": None}
        (run / "metrics.json").write_text(json.dumps(metrics))

    return fit


def test_a_study_runs_what_is_missing_and_writes_mean_and_deviation(tmp_path, capsys):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0, 1], out, runs, [], fake_fit(calls))
    study([config], [0, 1, 2], out, runs, ["--x", "1"], fake_fit(calls))
    assert [call["--seed_everything"] for call in calls] == ["0", "1", "2"]
    assert calls[2]["--x"] == "1"
    written = json.loads((out / "a.json").read_text())
    assert {seed: metrics["mcn"] for seed, metrics in written.items()} == {"0": 1, "1": 2, "2": 3}
    command, _, *rows = (out / "table.md").read_text().splitlines()
    assert command.startswith("`python -m training study --configs")
    assert "--seeds 0 1 2`" in command
    assert "| a | 3 |" in rows[2]
    assert "2 ± 1 |" in rows[2]
    assert "1 ± 0 |" in rows[3]
    assert rows[3].startswith("| a, normalised | 3 |")
    assert "a" in capsys.readouterr().out


def test_other_seeds_are_added_and_an_interrupted_run_goes_on(tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0], out, runs, [], fake_fit(calls))
    (runs / "a" / "seed_1").mkdir()
    (runs / "a" / "seed_1" / "config.yaml").write_text("")
    study([config], [1], out, runs, [], fake_fit(calls))
    assert sorted(json.loads((out / "a.json").read_text())) == ["0", "1"]
    checkpoint = runs / "a" / "seed_2" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("")
    with pytest.raises(ValueError, match="shorter"):  # the odd argument out is --resume
        study([config], [2], out, runs, [], fake_fit(calls))
    assert checkpoint.is_file()


def test_a_metric_that_some_run_lacks_is_left_empty():
    text = table({"a": {"0": {"mcn": 1.0}, "1": {"mcn": None}}})
    assert "±" not in text


def test_a_missing_configuration_starts_nothing(tmp_path):
    with pytest.raises(TrainingError, match=r"no file .*b\.yaml"):
        study([tmp_path / "b.yaml"], [0], tmp_path / "out", tmp_path, [], None)
    assert not (tmp_path / "out").exists()
