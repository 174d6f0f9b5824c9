"""Runs of ``fit``: each once, several at a time, in processes of their own."""

import contextlib
import copy
import io
import json
import math
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch
import yaml

from training.ablation.ledger import METRICS, VALIDATION, Ledger
from training.errors import TrainingError
from training.evaluation.clusters import KMEANS
from training.evaluation.held_out import DOWNSTREAM
from training.log import log_of
from training.runs import CONFIG
from training.runs import METRICS as METRICS_FILE
from training.snapshots import snapshots
from training.writing import write_text

FINISHED = "finished.txt"  # in a run that is trained to the end
BAD_INPUT = 2  # the exit code of fit where the loss is not finite or the latents have collapsed
RUNS_OF_A_PROCESS = 100  # before it is replaced


class Fits:
    """Where runs are, and the processes that fit them; a context manager.

    Args:
        folder: of the runs ``<design>/<row>/<weights>/seed_<n>``.
        jobs: how many are fitted at once, each with its share of the cores.
        ledger: JSON file of the numbers of runs, those made elsewhere among them; or None.
    """

    def __init__(self, folder, jobs, ledger=None):
        self.folder, self.jobs, self._ledger = Path(folder), jobs, Ledger(ledger)
        # With more tasks at once than processes a pool may forget to replace those that retire.
        self._turns = threading.Semaphore(jobs)

    def __enter__(self):
        threads = max(1, _cores() // self.jobs)
        self._pool = ProcessPoolExecutor(
            self.jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,),
            max_tasks_per_child=RUNS_OF_A_PROCESS,
        )  # fmt: skip
        return self

    def __exit__(self, *error):
        self._pool.shutdown(cancel_futures=True)

    def each(self, function, cases):
        """Yields ``function`` of each case, in order; ``jobs`` are asked for at a time."""
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(function, cases)

    def all(self, function, cases):
        """The same as a list. ``function`` may ask for more: ``jobs`` processes share it all."""
        return [*self.each(function, cases)]

    def validation_error(self, design, row, weights, seed):
        """The last ``val/mse`` of a run; infinite where it diverged."""

        def make():
            return validation_error(self.fitted(design, row, weights, seed))

        return self._ledger.known(VALIDATION, configuration(design, row, weights), seed, make)

    def metrics(self, design, row, weights, seed):
        """The metrics on held-out points; None of a run that diverged."""

        def make():
            return metrics_of(self.fitted(design, row, weights, seed, evaluate=True))

        return self._ledger.known(METRICS, configuration(design, row, weights), seed, make)

    def here(self, design, row, weights, seed):
        """The folder of a run, or None where it diverged or its numbers are from elsewhere."""
        is_known = self._ledger.has_metrics(configuration(design, row, weights), seed)
        if is_known and not (self._place(design, row, weights) / f"seed_{seed}").is_dir():
            return None
        return self.fitted(design, row, weights, seed)

    def fitted(self, design, row, weights, seed, evaluate=False):
        """The folder of a run that is finished, or None where its loss diverged.

        Of its checkpoints the last is kept.

        Args:
            design: Design.
            row: its name.
            weights: of each of its terms, in order.
            seed: of weights, split, order and samples.
            evaluate: whether its metrics are wanted too, all that the design asks for.

        Raises:
            TrainingError: it ended for another reason, or the design has changed since.
        """
        place = self._place(design, row, weights)
        run, failed = place / f"seed_{seed}", place / f"seed_{seed}.failed"
        _keep(place / "row.yaml", configuration(design, row, weights))
        if failed.is_file() or not self._fit(place / "row.yaml", run, seed, failed):
            return None
        if evaluate:
            self._evaluate(run, design)
        return run

    def _place(self, design, row, weights):
        return self.folder / design.name / _as_path(row) / _as_path("_".join(map(_short, weights)))

    def _fit(self, config, run, seed, failed):
        """Whether a run is finished, made if it is not there; False where it diverged."""
        finished = run / FINISHED
        if finished.is_file() or (run / METRICS_FILE).is_file():
            return True
        seeds = ("--seed_everything", "--data.seed", "--model.seed")
        command = [
            *("fit", "--config", str(config), "--run", str(run)),
            *(part for option in seeds for part in (option, str(seed))),
            *("--trainer.enable_progress_bar", "false", "--evaluate", "false"),
            *["--resume"] * (run / CONFIG).is_file(),
        ]
        code, reason = self._done(command)
        if code == BAD_INPUT and _is_divergence(reason):
            write_text(failed, reason + "\n")
            return False
        if code:
            raise _ended(run, code, reason)
        write_text(finished, "Trained to the end.\n")
        for path in (*snapshots(run).values(), run / "checkpoints" / "best.ckpt"):
            path.unlink(missing_ok=True)
        return True

    def _evaluate(self, run, design):
        """Writes the metrics of a run that are not there."""
        wanted = {METRICS_FILE: ["evaluate"]}
        wanted |= {DOWNSTREAM: ["evaluate", "--downstream"]} if design.downstream else {}
        wanted |= {KMEANS: ["kmeans"]} if design.clusters else {}
        for name, command in wanted.items():
            if not (run / name).is_file():
                code, reason = self._done([*command, "--trust", "--", str(run)])
                if code:
                    raise _ended(run, code, reason)

    def apart(self, function, argument, what):
        """``function(argument)`` in one of the processes; ``what`` names it, for an error."""
        try:
            with self._turns:
                return self._pool.submit(function, argument).result()
        except BrokenProcessPool as error:
            raise TrainingError(
                f"A process that ran {what} was killed, for want of memory perhaps. "
                "The same command goes on."
            ) from error

    def _done(self, command):
        """The exit code of a command, and the last line that it says of an error."""
        code, message = self.apart(_run, command, " ".join(command))
        return code, message.strip().rpartition("\n")[2]


def _run(command):
    from training.__main__ import main

    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = main(command)
        except SystemExit as stop:
            code = stop.code
    return code, errors.getvalue()


def _ended(run, code, reason):
    return TrainingError(f"{run} ended with exit code {code}: {reason}")


def _is_divergence(reason):
    return any(words in reason for words in ("not finite", "has collapsed", "hyperplane"))


def _cores():
    """How many this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    return _last(run).get("val/mse", float("inf")) if run else float("inf")


def metrics_of(run):
    """The metrics on held-out points, and the last means in training; None if it diverged."""
    if run is None:
        return None
    prefixes, metrics = {METRICS_FILE: "", DOWNSTREAM: "", KMEANS: "kmeans_f1_"}, {}
    for name, prefix in prefixes.items():
        if (run / name).is_file():
            found = json.loads((run / name).read_text(encoding="utf-8"))
            metrics |= {prefix + key: value for key, value in found.items()}
    means = {name: x for name, x in _last(run).items() if name.startswith("train/")}
    return metrics | {name.replace("/", "_"): x for name, x in means.items() if math.isfinite(x)}


def _last(run):
    """The last number in each column of a run's log."""
    return {key: float(x) for row in log_of(run) for key, x in row.items() if x}


def _keep(path, text):
    """Write a YAML file whose content must not change."""
    if path.is_file() and yaml.safe_load(path.read_text(encoding="utf-8")) != yaml.safe_load(text):
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
