"""``python -m training study``: configurations × seeds, and their table."""

import json
import shutil
import statistics
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from training.errors import TrainingError
from training.runs import LAST, METRICS, write_json

COLUMNS = (
    "mse_raw", "mean_R2_sqrt_det_g_raw", "median_abs_R_raw", "mcn", "vor", "procrustes_disparity",
    "continuity", "trustworthiness", "knn_recall_at_10",
)  # fmt: skip


def study(configs, seeds, out, runs, overrides, fit):
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
    """
    for config in configs:
        if not Path(config).is_file():
            raise TrainingError(f"There is no file {config}.")
    out, results = Path(out), {}
    out.mkdir(parents=True, exist_ok=True)
    for config in map(Path, configs):
        file = out / f"{config.stem}.json"
        results[config.stem] = json.loads(file.read_text()) if file.is_file() else {}
        for seed in seeds:
            metrics = _metrics(config, seed, Path(runs), overrides, fit)
            results[config.stem][str(seed)] = metrics
            write_json(file, results[config.stem])
    names = " ".join(str(config) for config in configs)
    command = f"`python -m training study --configs {names} --seeds {' '.join(map(str, seeds))}`"
    text = f"{command}: mean ± standard deviation on held-out points.\n\n{table(results)}"
    (out / "table.md").write_text(text)
    Console().print(Markdown(text))


def _metrics(config, seed, runs, overrides, fit):
    run = runs / config.stem / f"seed_{seed}"
    if not (run / METRICS).is_file():
        started = (run / LAST).is_file()
        if run.exists() and not started:
            shutil.rmtree(run)  # it was interrupted before there was anything to keep
        seeds = ("--seed_everything", "--data.seed", "--model.seed")
        fit(
            ["--config", str(config), "--run", str(run)]
            + [part for option in seeds for part in (option, str(seed))]
            + list(overrides)
            + ["--resume"] * started
        )
    return json.loads((run / METRICS).read_text())


def table(results):
    """Markdown: mean ± standard deviation over the seeds, of the metrics on held-out points."""
    lines = ["| run | seeds | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, by_seed in results.items():
        for prefix, label in (("", name), ("normalised_", f"{name}, normalised")):
            rows = [[m.get(prefix + column) for m in by_seed.values()] for column in COLUMNS]
            cells = " | ".join(_mean_and_deviation(row) for row in rows)
            lines.append(f"| {label} | {len(by_seed)} | {cells} |")
    return "\n".join(lines) + "\n"


def _mean_and_deviation(values):
    if any(value is None for value in values):
        return ""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3g} ± {deviation:.1g}"
