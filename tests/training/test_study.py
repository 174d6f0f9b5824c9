"""Studies: every configuration with every seed, once."""

import json
from pathlib import Path

import pytest
import yaml

from training.errors import TrainingError
from training.runs import difference
from training.study import study, table


def settings(arguments):
    """The options of the configuration file and those after it."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    saved = yaml.safe_load(Path(options.pop("--config")).read_text()) or {}
    return saved | {name.removeprefix("--"): value for name, value in options.items()}


def change(path, arguments):
    """What a run's configuration and the arguments do not share."""
    return difference(yaml.safe_load(path.read_text()), settings(arguments))


def fake_fit(calls):
    """Writes the configuration and the metrics that a run would have."""

    def fit(arguments):
        resume = arguments[-1] == "--resume"
        arguments = arguments[: len(arguments) - resume]
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        calls.append(options | {"resume": resume})
        run = Path(options["--run"])
        run.mkdir(parents=True, exist_ok=True)
        seed = int(options["--seed_everything"])
        assert options["--data.seed"] == options["--model.seed"] == str(seed)
        metrics = {"mcn": 1.0 + seed, "normalised_mcn": 1.0, "vor": None}
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "config.yaml").write_text(yaml.safe_dump(settings(arguments)))

    return fit


def test_a_study_runs_what_is_missing_and_writes_mean_and_deviation(tmp_path, capsys):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0, 1], out, runs, ["--x", "1"], fake_fit(calls), change)
    study([config], [0, 1, 2], out, runs, ["--x", "1"], fake_fit(calls), change)
    assert [call["--seed_everything"] for call in calls] == ["0", "1", "2"]
    assert calls[2]["--x"] == "1"
    written = json.loads((out / "a.json").read_text())
    assert {seed: metrics["mcn"] for seed, metrics in written.items()} == {"0": 1, "1": 2, "2": 3}
    command, _, *rows = (out / "table.md").read_text().splitlines()
    assert command.startswith("`python -m training study --configs")
    assert "--seeds 0 1 2 -- --x 1`" in command
    assert "| a | 3 |" in rows[2]
    assert "2 ± 1 |" in rows[2]
    assert "1 ± 0 |" in rows[3]
    assert rows[3].startswith("| a, normalised | 3 |")
    assert "a" in capsys.readouterr().out


def test_other_seeds_are_added_and_an_interrupted_run_goes_on(tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0], out, runs, [], fake_fit(calls), change)
    started = ["config.yaml"], ["config.yaml", "checkpoints/last.ckpt"]
    for seed, left in enumerate(([], *started), start=1):
        run = runs / "a" / f"seed_{seed}"
        (run / "checkpoints").mkdir(parents=True)
        arguments = ["--config", str(config), "--run", str(run)]
        names = ("seed_everything", "data.seed", "model.seed")
        seeds = [x for name in names for x in (f"--{name}", str(seed))]
        for name in left:
            (run / name).write_text(yaml.safe_dump(settings(arguments + seeds)))
    study([config], [1, 2, 3], out, runs, [], fake_fit(calls), change)
    assert [call["resume"] for call in calls] == [False, False, True, True]
    assert sorted(json.loads((out / "a.json").read_text())) == ["0", "1", "2", "3"]


def test_a_metric_that_some_run_lacks_is_left_empty():
    text = table({"a": {"0": {"mcn": 1.0}, "1": {"mcn": None}}})
    assert "±" not in text


def test_a_missing_configuration_starts_nothing(tmp_path):
    with pytest.raises(TrainingError, match=r"no file .*b\.yaml"):
        study([tmp_path / "b.yaml"], [0], tmp_path / "out", tmp_path, [], None, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changed", ["file", "overrides"])
@pytest.mark.parametrize("left", ["metrics.json", "checkpoints/last.ckpt"])
def test_runs_of_other_options_are_neither_reused_nor_continued(changed, left, tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("rate: 1")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [1], out, runs, ["--x", "1"], fake_fit(calls), change)
    run = runs / "a" / "seed_1"
    (run / "checkpoints").mkdir()
    (run / "metrics.json").rename(run / left)
    before = (out / "a.json").read_text()
    if changed == "file":
        config.write_text("rate: 2")
    overrides = ["--x", "2" if changed == "overrides" else "1"]
    name, was, now = ("rate", 1, 2) if changed == "file" else ("x", "1", "2")
    with pytest.raises(
        TrainingError, match=f"seed_1 was made with other options: {name} was {was} and is {now}"
    ):
        study([config], [2, 1], out, runs, overrides, fake_fit(calls), change)
    assert len(calls) == 1
    assert (out / "a.json").read_text() == before


def test_what_changes_no_number_may_differ(tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("trainer: {enable_progress_bar: true, devices: 1}")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0], out, runs, [], fake_fit(calls), change)
    config.write_text("trainer: {enable_progress_bar: false, devices: 2}")
    study([config], [0], out, runs, [], fake_fit(calls), change)
    assert len(calls) == 1


def test_results_of_a_seed_that_is_not_asked_for_may_not_be_stale(tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("rate: 1")
    out, runs = tmp_path / "results", tmp_path / "runs"
    study([config], [0], out, runs, [], fake_fit(calls), change)
    config.write_text("rate: 2")
    with pytest.raises(TrainingError, match="seed_0 was made with other options"):
        study([config], [1], out, runs, [], fake_fit(calls), change)


def test_two_configurations_of_one_name_start_nothing(tmp_path):
    configs = [tmp_path / folder / "a.yaml" for folder in ("one", "other")]
    for config in configs:
        config.parent.mkdir()
        config.write_text("")
    with pytest.raises(TrainingError, match=r"the same runs and results, named a\. Rename"):
        study(configs, [0], tmp_path / "out", tmp_path / "runs", [], None, None)
    assert not (tmp_path / "out").exists()


def test_damaged_results_are_one_line(tmp_path):
    config, calls = tmp_path / "a.yaml", []
    config.write_text("")
    (tmp_path / "a.json").write_text('{"0":')
    with pytest.raises(TrainingError, match=r"a\.json is damaged: remove it"):
        study([config], [0], tmp_path, tmp_path / "runs", [], fake_fit(calls), change)
    assert calls == []
