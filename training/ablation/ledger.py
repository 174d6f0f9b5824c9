"""The numbers of runs in one file, from which a study goes on where the runs are not."""

import hashlib
import json
import math
import threading
from pathlib import Path

import yaml

from training.errors import TrainingError
from training.writing import write_json

VALIDATION, METRICS = "validation", "metrics"


class Ledger:
    """Validation errors and metrics of runs, each written down as soon as it is there.

    A run is known by its seed and by what its configuration says, in whatever order, so that
    designs may change or share a file.

    Args:
        path: of the JSON file, new or to be gone on with; None keeps nothing.

    Raises:
        TrainingError: it is no such file.
    """

    def __init__(self, path):
        self._path, self._lock = path and Path(path), threading.Lock()
        self._entries = _read(self._path) if path and self._path.is_file() else {}

    def known(self, kind, configuration, seed, make):
        """The number or the metrics of that run: what was written down, else what ``make`` makes.

        Args:
            kind: VALIDATION or METRICS.
            configuration: the YAML of ``fit``.
            seed: an integer.
            make: called without arguments.
        """
        key = _key(configuration, seed)
        entry = self._entries.get(key, {})
        if kind not in entry:
            value = make()
            with self._lock:
                self._entries.setdefault(key, {})[kind] = value
                if self._path:
                    write_json(self._path, dict(sorted(self._entries.items())))
        value = self._entries[key][kind]
        return math.inf if kind == VALIDATION and value is None else value

    def has_metrics(self, configuration, seed):
        """Whether the metrics of that run are written down."""
        return METRICS in self._entries.get(_key(configuration, seed), {})


def _key(configuration, seed):
    content = json.dumps(yaml.safe_load(configuration), sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:16]}/{seed}"


def _read(path):
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path} is damaged: remove it. {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise TrainingError(f"{path} is no ledger of runs: choose another --ledger.")
    return entries
