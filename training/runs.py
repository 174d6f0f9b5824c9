"""Run folders: config.yaml, checkpoints/, metrics.csv, metrics.json."""

import json
import os
import tempfile
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from training.datamodule import DataModule
from training.errors import TrainingError
from training.module import RegularizedAutoEncoder

CONFIG, CHECKPOINTS, METRICS = "config.yaml", "checkpoints", "metrics.json"
LAST = f"{CHECKPOINTS}/last.ckpt"


def check_new(folder, resume):
    """Raise unless a run may be written to this folder."""
    folder = Path(folder)
    if resume and not (folder / LAST).is_file():
        raise TrainingError(f"Cannot resume: there is no {folder / LAST}.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise TrainingError(
            f"{folder} is not empty, and nothing is written over. Choose another --run, or "
            "continue it with --resume."
        )


def loggers(folder):
    """Every term, as CSV and for TensorBoard."""
    folder = Path(folder)
    options = {"save_dir": folder.parent, "name": folder.name, "version": ""}
    return [CSVLogger(**options), TensorBoardLogger(**options)]


def checkpointing(folder):
    """The last epoch's checkpoint."""
    return ModelCheckpoint(
        Path(folder) / CHECKPOINTS, filename="best", save_last=True, save_top_k=0
    )


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
    checkpoint = torch.load(folder / LAST, map_location="cpu", weights_only=False)
    dtype = next(iter(checkpoint["state_dict"].values())).dtype
    objects.model.to(dtype).load_state_dict(checkpoint["state_dict"])
    return objects.model.eval(), objects.data


def write_json(path, record):
    """Write ``record`` whole or not at all; what is not finite becomes null."""
    path = Path(path)
    text = json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and value - value != 0:
        return None
    return value
