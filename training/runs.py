"""Run folders: config.yaml, checkpoints/, metrics.csv, metrics.json."""

import csv
import json
import os
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from training.datamodule import DataModule
from training.errors import TrainingError
from training.module import RegularizedAutoEncoder

CONFIG, CHECKPOINTS, METRICS = "config.yaml", "checkpoints", "metrics.json"
LOG = "metrics.csv"
LAST = f"{CHECKPOINTS}/last.ckpt"


def check_new(folder, resume):
    """Raise unless a run may be written to this folder."""
    folder = Path(folder)
    if resume and not (folder / LAST).is_file():
        raise TrainingError(f"Cannot resume: there is no {folder / LAST}.")
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file, not a folder; choose another --run.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise TrainingError(
            f"{folder} is not empty, and nothing is written over. Choose another --run, or "
            "continue it with --resume."
        )


def check_same(folder, module, config):
    """Raise unless the run has the parameters of this module and the settings of ``config``."""
    saved = yaml.safe_load((Path(folder) / CONFIG).read_text())
    for section in ("model", "data"):
        if saved[section] != yaml.safe_load(config)[section]:
            raise TrainingError(
                f"Cannot resume: the options under {section} are not those of the run. Resume with "
                f"--config {Path(folder) / CONFIG}, or start a new run."
            )
    found, wanted = _last(folder)["state_dict"], module.state_dict()
    other = [n for n in found | wanted if _shape(found.get(n)) != _shape(wanted.get(n))]
    if other:
        raise TrainingError(
            f"Cannot resume: {Path(folder) / LAST} is of another model; {other[0]} differs. "
            f"Resume with --config {Path(folder) / CONFIG}."
        )


def _shape(tensor):
    return None if tensor is None else tensor.shape


def _last(folder):
    return torch.load(Path(folder) / LAST, map_location="cpu", weights_only=True)


def loggers(folder, resume):
    """Every term, as CSV and for TensorBoard."""
    folder = Path(folder)
    options = {"save_dir": folder.parent, "name": folder.name, "version": ""}
    table = CSVLogger(**options, flush_logs_every_n_steps=1)
    if resume:
        _keep_rows(table, folder)
    return [table, TensorBoardLogger(**options)]


@rank_zero_only
def _keep_rows(table, folder):
    """The log up to the checkpoint, which Lightning's logger would delete."""
    steps = _last(folder)["global_step"]
    rows = []
    if (folder / LOG).is_file():
        with (folder / LOG).open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) < steps]
    table.experiment.metrics.extend(rows)
    table.save()


def checkpointing():
    """checkpoints/last.ckpt, in the folder of the first logger, after every epoch."""
    return ModelCheckpoint(filename=Path(LAST).stem, enable_version_counter=False)


def load(folder):
    """The trained module, in eval mode, and the data module of a run.

    Raises:
        TrainingError: the folder holds no finished run.
    """
    folder = Path(folder)
    for name in (CONFIG, LAST):
        if not (folder / name).is_file():
            raise TrainingError(f"{folder} is no run: there is no {folder / name}.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RegularizedAutoEncoder, "model")
    parser.add_class_arguments(DataModule, "data")
    config = yaml.safe_load((folder / CONFIG).read_text())
    objects = parser.instantiate_classes(
        parser.parse_object({key: config[key] for key in ("model", "data")})
    )
    state = _last(folder)["state_dict"]
    objects.model.autoencoder.to(next(iter(state.values())).dtype)
    objects.model.load_state_dict(state)
    return objects.model.eval(), objects.data


def write_json(path, record):
    """Write ``record`` whole or not at all; what is not finite becomes null."""
    path = Path(path)
    text = json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and value - value != 0:
        return None
    return value
