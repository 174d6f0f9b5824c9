"""``python -m training study``: configurations × seeds, and their table."""

import itertools
import json
import statistics
from pathlib import Path

from training.checkpoints import LAST
from training.errors import TrainingError
from training.evaluation.held_out import after_normalisation, is_normalised
from training.runs import CONFIG, METRICS
from training.writing import write_json, write_text

COLUMNS = (
    "mse_raw", "mean_R2_sqrt_det_g_raw", "median_abs_R_raw", "mcn", "vor", "procrustes_disparity",
    "continuity", "trustworthiness", "knn_recall_at_10",
)  # fmt: skip


def study(configs, seeds, out, runs, overrides, fit, change):
    """Fit every configuration with every seed, and write results and a table.

    A run that is finished is not run again and an interrupted one is resumed, so that a study can
    be continued; other seeds are added to the results. Seeds decide weights, split, order and
    samples.

    Args:
        configs: YAML files; names of configurations are theirs.
        seeds: integers.
        out: folder of ``<config>.json``, one a configuration, and ``table.md``.
        runs: folder of the run folders ``<config>/seed_<n>``.
        overrides: further options of ``fit``.
        fit: called with the arguments of ``fit``.
        change: called with the configuration that a run has kept and such arguments; what to call
            the first option that they do not share, or None.

    Raises:
        TrainingError: before anything is run, where a file is missing, two have the same name, or
            a run that is there was made with other options.
    """
    configs, out, runs = [Path(config) for config in configs], Path(out), Path(runs)
    _check_names(configs)
    files = {config: out / f"{config.stem}.json" for config in configs}
    results = {config: _read(file) if file.is_file() else {} for config, file in files.items()}
    for config in configs:
        for seed in {*map(int, results[config]), *seeds}:
            _check_unchanged(config, seed, runs, overrides, change)
    out.mkdir(parents=True, exist_ok=True)
    for config in configs:
        for seed in seeds:
            results[config][str(seed)] = _metrics(config, seed, runs, overrides, fit)
            write_json(files[config], results[config])
    names = " ".join(map(str, configs))
    command = f"python -m training study --configs {names} --seeds {' '.join(map(str, seeds))}"
    command = " ".join([command, *(["--", *overrides] if overrides else [])])
    rows = table({config.stem: by_seed for config, by_seed in results.items()})
    text = f"`{command}`: mean ± standard deviation on held-out points.\n\n{rows}"
    write_text(out / "table.md", text)
    print(text)


def _check_names(configs):
    for config in configs:
        if not config.is_file():
            raise TrainingError(f"There is no file {config}.")
    for one, other in itertools.combinations(configs, 2):
        if one.stem == other.stem:
            raise TrainingError(
                f"{one} and {other} would have the same runs and results, named {one.stem}. Rename "
                "one of them."
            )


def _check_unchanged(config, seed, runs, overrides, change):
    """Raise if there is a run that was made with other options: its numbers would be stale."""
    run = runs / config.stem / f"seed_{seed}"
    if not any((run / name).is_file() for name in (LAST, METRICS)):
        return
    changed = change(run / CONFIG, _arguments(config, seed, run, overrides))
    if changed:
        raise TrainingError(
            f"{run} was made with other options: {changed}. Remove that folder, or choose other "
            "--runs and --out."
        )


def _arguments(config, seed, run, overrides):
    """The arguments of ``fit``."""
    seeds = ("--seed_everything", "--data.seed", "--model.seed")
    return [
        *("--config", str(config), "--run", str(run)),
        *(part for option in seeds for part in (option, str(seed))),
        *overrides,
        *("--evaluate", "true"),
    ]


def _metrics(config, seed, runs, overrides, fit):
    run = runs / config.stem / f"seed_{seed}"
    if not (run / METRICS).is_file():
        started = (run / CONFIG).is_file()
        fit(_arguments(config, seed, run, overrides) + ["--resume"] * started)
    return _read(run / METRICS)


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path} is damaged: remove it. {error}") from error


def table(results):
    """Markdown: mean ± standard deviation over the seeds, of the metrics on held-out points.

    Two rows a configuration, as trained and after the linear normalisation; on a torus only one.
    """
    lines = ["| run | seeds | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, by_seed in results.items():
        runs, kinds = by_seed.values(), [(name, dict.get)]
        if any(is_normalised(metrics) for metrics in runs):
            kinds.append((f"{name}, normalised", after_normalisation))
        for label, value in kinds:
            rows = [[value(metrics, column) for metrics in runs] for column in COLUMNS]
            cells = " | ".join(_mean_and_deviation(row) for row in rows)
            lines.append(f"| {label} | {len(runs)} | {cells} |")
    return "\n".join(lines) + "\n"


def _mean_and_deviation(values):
    if any(value is None for value in values):
        return ""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3g} ± {deviation:.1g}"
