"""Run folders: config.yaml, checkpoints/, metrics.csv, metrics.json."""

import csv
import json
import os
import pickle
import shutil
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from training.datamodule import DataModule
from training.errors import TrainingError
from training.module import DATA, RegularizedAutoEncoder
from training.snapshots import FOLDER as CHECKPOINTS
from training.snapshots import Snapshots
from training.trust import check_trusted_file

CONFIG, METRICS = "config.yaml", "metrics.json"
LOG = "metrics.csv"
LAST = f"{CHECKPOINTS}/last.ckpt"
NO_NUMBER = {
    "run", "resume", "trainer.accelerator", "trainer.devices", "trainer.num_nodes",
    "trainer.strategy", "trainer.enable_progress_bar", "trainer.enable_model_summary",
}  # fmt: skip
METRICS_OF = {"last": METRICS, "best": "metrics_best.json"}
# What reading a checkpoint, or a configuration, raises where they are not what they should be.
DAMAGED = (
    OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, EOFError,
    pickle.UnpicklingError, yaml.YAMLError, ArgumentError,
)  # fmt: skip
KEPT = tuple(METRICS_OF)  # checkpoints of a run, by name


def check_new(folder, resume):
    """Raise unless a run may be written to this folder."""
    folder = Path(folder)
    if resume and not (folder / LAST).is_file():
        raise TrainingError(f"Cannot resume: there is no {folder / LAST}.")
    if any(parent.is_file() for parent in folder.absolute().parents):
        raise TrainingError(f"{folder} lies in a file, not in a folder; choose another --run.")
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file, not a folder; choose another --run.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise TrainingError(
            f"{folder} is not empty, and nothing is written over. Choose another --run, or "
            "continue it with --resume."
        )


def check_same(folder, module, parser, config):
    """Raise unless the run has the parameters of this module and the settings of ``config``."""
    saved, wanted = plain(parser, parser.parse_path(Path(folder) / CONFIG)), plain(parser, config)
    for section in ("model", "data"):
        if change := difference(saved[section], wanted[section]):
            raise TrainingError(
                f"Cannot resume: the options under {section} are not those of the run: {change}. "
                f"Resume with --config {Path(folder) / CONFIG}, or start a new run."
            )
    try:
        found, wanted = _checkpoint(folder)["state_dict"], module.state_dict()
    except DAMAGED as error:
        raise _damaged(Path(folder) / LAST, error) from error
    other = [n for n in found | wanted if _shape(found.get(n)) != _shape(wanted.get(n))]
    if other:
        raise TrainingError(
            f"Cannot resume: {Path(folder) / LAST} is of another model; {other[0]} differs. "
            f"Resume with --config {Path(folder) / CONFIG}."
        )


def plain(parser, config):
    """A parsed configuration as nested dicts, defaults filled in: older ones lack newer options."""
    return yaml.safe_load(parser.dump(config, skip_none=False))


def difference(saved, wanted):
    """What to call the first option that two configurations do not share; None if they are equal.

    Options that change no number do not count.
    """
    saved, wanted = (dict(_options(config)) for config in (saved, wanted))
    for name in saved | wanted:
        if name not in NO_NUMBER and saved.get(name) != wanted.get(name):
            return f"{name} was {saved.get(name)} and is {wanted.get(name)}"
    return None


def _options(config, prefix=""):
    """Pairs of a dotted name and a value."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _options(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shape(tensor):
    return None if tensor is None else tensor.shape


def _checkpoint(folder, file=LAST):
    return torch.load(Path(folder) / file, map_location="cpu", weights_only=True)


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
    steps = _checkpoint(folder)["global_step"]
    rows = []
    if (folder / LOG).is_file():
        with (folder / LOG).open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) < steps]
    table.experiment.metrics.extend(rows)
    table.save()


def checkpointing():
    """checkpoints/best.ckpt, of the lowest val/loss, last.ckpt, after every epoch, and snapshots.

    In the folder of the first logger; in this order, so that the last one knows the best one.
    """
    best = ModelCheckpoint(filename="best", monitor="val/loss", enable_version_counter=False)
    last = ModelCheckpoint(
        filename=Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True
    )
    return [best, last, Snapshots()]


def discard_unless_resumable(folder):
    """Remove the folder of a new run that failed before there was anything to go on from."""
    if not (Path(folder) / LAST).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def checkpoint_file(checkpoint):
    """Where in a run's folder the checkpoint ``"last"`` or ``"best"`` is."""
    if checkpoint not in KEPT:
        raise TrainingError(f"checkpoint must be one of {KEPT}; got {checkpoint!r}.")
    return f"{CHECKPOINTS}/{checkpoint}.ckpt"


def load(folder, checkpoint="last", trust=False):
    """The trained module, in eval mode, and the data module of a run.

    Args:
        folder: of the run.
        checkpoint: ``"last"``, or ``"best"``: where val/loss was lowest.
        trust: whether classes that its configuration names may be imported from anywhere
            (:mod:`training.trust`). Checkpoints are read as numbers alone, never as objects.

    Raises:
        TrainingError: the folder holds no finished run, or one that would import foreign code.
    """
    folder, file = Path(folder), checkpoint_file(checkpoint)
    for name in (CONFIG, file):
        if not (folder / name).is_file():
            raise TrainingError(f"{folder} is no run: there is no {folder / name}.")
    if not trust:
        check_trusted_file(folder / CONFIG)
    try:
        objects = _objects(folder)
    except DAMAGED as error:
        raise _damaged(folder / CONFIG, error) from error
    try:
        saved = _checkpoint(folder, file)
        state = saved["state_dict"]
        objects.model.autoencoder.to(next(iter(state.values())).dtype)
        objects.model.load_state_dict(state)
    except DAMAGED as error:
        raise _damaged(folder / file, error) from error
    objects.data.expect(saved.get(DATA))
    return objects.model.eval(), objects.data


def epochs_of(folder, checkpoint="last"):
    """How many epochs a run's checkpoint has been trained for."""
    return _checkpoint(folder, checkpoint_file(checkpoint))["epoch"] + 1


def load_weights(module, path):
    """Give the module the weights of a checkpoint of the same run, in the module's own dtype."""
    try:
        module.load_state_dict(_checkpoint(path.parent, path.name)["state_dict"])
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path, error):
    reason = " ".join(str(error).split())[:400] or type(error).__name__
    return TrainingError(f"{path} is damaged, or no file of this run: {reason}")


def _objects(folder):
    """The module, as yet untrained, and the data module of a run's configuration."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RegularizedAutoEncoder, "model")
    parser.add_class_arguments(DataModule, "data")
    config = yaml.safe_load((folder / CONFIG).read_text())
    return parser.instantiate_classes(
        parser.parse_object({key: config[key] for key in ("model", "data")})
    )


def write_json(path, record):
    """Write ``record`` whole or not at all; what is not finite becomes null."""
    write_text(path, json.dumps(finite(record), indent=1, allow_nan=False) + "\n")


def write_text(path, text):
    """Write the file whole or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def finite(value):
    """A record with None for the numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
