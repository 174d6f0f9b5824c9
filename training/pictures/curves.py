"""The history of every term of a run, and what it cannot fall below."""

import csv
from pathlib import Path

import numpy as np

from training.errors import TrainingError
from training.functionals import RelaxedDistortion
from training.log import LOG, log_of

STAGES = ("train", "val")
FLOW = "flow/"
FLOW_NUMBERS = ("F", "W", "defect", "mass", "total_curvature", "volume", "tau")


def curves(folder):
    """name -> stage -> (epochs, values), from metrics.csv; empty if there is none.

    ``loss`` and ``mse`` come first. The number of degenerate points is left out where it is 0
    throughout, as are values that are not finite.
    """
    path = Path(folder) / LOG
    if not path.is_file():
        return {}
    try:
        return curves_of(log_of(folder))
    except (ValueError, UnicodeError, csv.Error) as error:
        raise TrainingError(f"{path} is damaged: {error}. Remove it to go without.") from error


def flow_curves(folder):
    """name -> (epochs, values) of what :mod:`training.flows.monitor` logged; empty without it."""
    path = Path(folder) / LOG
    try:
        rows = log_of(folder)
        series = {name: _series(rows, FLOW + name) for name in FLOW_NUMBERS}
    except (ValueError, UnicodeError, csv.Error) as error:
        raise TrainingError(f"{path} is damaged: {error}. Remove it to go without.") from error
    return {name: pair for name, pair in series.items() if len(pair[0])}


def curves_of(rows):
    """The same from the rows of a log, whose values are texts."""
    names = {key.partition("/")[2] for row in rows for key in row if key.startswith("train/")}
    order = sorted(names, key=lambda name: (name != "loss", name != "mse", name))
    history = {
        name: {stage: _series(rows, f"{stage}/{name}") for stage in STAGES} for name in order
    }
    return {name: stages for name, stages in history.items() if _is_shown(name, stages)}


def _series(rows, key):
    pairs = np.array([(int(row["epoch"]), float(row[key])) for row in rows if row.get(key)])
    pairs = pairs.reshape(-1, 2)
    return tuple(pairs[np.isfinite(pairs).all(axis=1)].T)


def _is_shown(name, stages):
    values = np.concatenate([values for _, values in stages.values()])
    return values.size > 0 and (name != "degenerate_points" or values.any())


def floors_of(terms, d):
    """name -> what the term cannot fall below: 1/d for relaxed distortion of d latents."""
    distortions = [n for n, term in terms.items() if isinstance(term.functional, RelaxedDistortion)]
    return dict.fromkeys(distortions, 1 / d)
