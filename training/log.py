"""metrics.csv: the mean of every term over every epoch."""

import csv
import io
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from training.writing import write_text

LOG = "metrics.csv"
PLACE = ("epoch", "step")  # columns of every row


class Log(Logger):
    """Writes the whole file at every epoch: Lightning's would be cut off where a run is killed.

    Args:
        folder: of the run.
        rows: dicts that stand there already.
    """

    def __init__(self, folder, rows=()):
        super().__init__()
        self._folder, self._rows = Path(folder), [*rows]

    save_dir = property(lambda self: str(self._folder.parent))
    name = property(lambda self: self._folder.name)
    version = property(lambda self: "")

    @rank_zero_only
    def log_metrics(self, metrics, step=None):
        """One more row."""
        numbers = {k: x.item() if torch.is_tensor(x) else x for k, x in metrics.items()}
        self._rows.append({"step": step, **numbers})
        self._folder.mkdir(parents=True, exist_ok=True)
        write_text(self._folder / LOG, as_csv(self._rows))

    @rank_zero_only
    def log_hyperparams(self, *params, **options):
        """They are in the run's configuration."""


class History(Logger):
    """Keeps the mean of every term over every epoch in memory.

    Attributes:
        rows: dicts, one an epoch: ``"epoch"`` and the names of the log.
    """

    def __init__(self):
        super().__init__()
        self.rows = []

    name = property(lambda self: "history")
    version = property(lambda self: "")

    def log_metrics(self, metrics, step=None):
        """One more row."""
        self.rows.append({**metrics, "epoch": int(metrics["epoch"])})

    def log_hyperparams(self, *params, **options):
        """They are those of the model."""


def as_csv(rows):
    """The text of rows that need not have the same columns."""
    columns = [*PLACE, *sorted(set().union(*rows) - {*PLACE})]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def log_of(folder):
    """Rows of metrics.csv, if there is one, but for a last one that was not written to its end."""
    path = Path(folder) / LOG
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        lines = [*file]
    return [*csv.DictReader(line for line in lines if line.endswith("\n"))]
