"""Runs of ``python -m training fit``: each once, several at a time, in processes of their own."""

import copy
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from training.errors import TrainingError
from training.log import log_of
from training.runs import CONFIG, METRICS
from training.writing import write_text

BAD_INPUT = 2  # the exit code of fit where the loss is not finite or the latents have collapsed


@dataclass(frozen=True)
class Fits:
    """Where runs are, and how many are fitted at once."""

    folder: Path
    jobs: int

    def all(self, function, cases):
        """``function`` of each case, ``jobs`` at a time, in order."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return [*pool.map(function, cases)]

    def fitted(self, design, row, weights, seed):
        """The folder of a run that is finished, or None where its loss diverged.

        Args:
            design: Design.
            row: its name.
            weights: of each of its terms, in order.
            seed: of weights, split, order and samples.

        Raises:
            TrainingError: it ended for another reason, or the design has changed since.
        """
        place = self.folder / design.name / _as_path(row) / _as_path("_".join(map(_short, weights)))
        run, failed = place / f"seed_{seed}", place / f"seed_{seed}.failed"
        config = place / "row.yaml"
        _keep(config, configuration(design, row, weights))
        if failed.is_file():
            return None
        if not (run / METRICS).is_file():
            self._fit(config, run, seed, failed)
        return run if (run / METRICS).is_file() else None

    def _fit(self, config, run, seed, failed):
        seeds = ("--seed_everything", "--data.seed", "--model.seed")
        command = [
            *(sys.executable, "-m", "training", "fit", "--config", config, "--run", run),
            *(part for option in seeds for part in (option, seed)),
            *("--trainer.enable_progress_bar", "false"),
            *["--resume"] * (run / CONFIG).is_file(),
        ]
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        done = subprocess.run(
            [*map(str, command)], env=os.environ | {"OMP_NUM_THREADS": threads},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        reason = done.stderr.strip().rpartition("\n")[2]
        if done.returncode == BAD_INPUT and _is_divergence(reason):
            write_text(failed, reason + "\n")
        elif done.returncode:
            raise TrainingError(f"{run} ended with exit code {done.returncode}: {reason}")


def _is_divergence(reason):
    return any(words in reason for words in ("not finite", "has collapsed", "hyperplane"))


def configuration(design, row, weights):
    """The YAML of ``fit`` of a row at these weights."""
    config = copy.deepcopy(design.config)
    config.pop("run", None)
    terms = {}
    for name, weight in zip(design.rows[row], weights, strict=True):
        for part, options in design.terms[name].items():
            terms[part] = {**options, "weight": float(weight) * float(options.get("weight", 1))}
    config["model"]["terms"] = terms
    return yaml.safe_dump(config, sort_keys=False)


def validation_error(run):
    """The last ``val/mse`` of a run; infinite where there is none."""
    errors = [row["val/mse"] for row in log_of(run or "") if row.get("val/mse")] if run else []
    return float(errors[-1]) if errors else float("inf")


def metrics_of(run):
    """The metrics on held-out points; none of a run that diverged."""
    return json.loads((run / METRICS).read_text(encoding="utf-8")) if run else None


def _keep(path, text):
    """Write a file that must not change."""
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise TrainingError(
            f"{path} was made by another design. Remove that folder, or choose another --runs."
        )
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def _short(weight):
    return f"{weight:g}"


def _as_path(name):
    return "".join(c if c.isalnum() or c in "-+._" else "_" for c in name) or "none"
