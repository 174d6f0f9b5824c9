"""Checkpoints of a run: checkpoints/best.ckpt, last.ckpt and the snapshots.

They are read as numbers alone, never as objects, so that those of others run no code; and written
whole or not at all, so that a run that is killed can go on.
"""

import io
import pickle
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from training.errors import TrainingError
from training.snapshots import FOLDER, Snapshots
from training.writing import whole

LAST = f"{FOLDER}/last.ckpt"
KEPT = ("last", "best")  # by name
# What reading a checkpoint, or a configuration, raises where they are not what they should be.
DAMAGED = (
    OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, EOFError,
    pickle.UnpicklingError, yaml.YAMLError, ArgumentError,
)  # fmt: skip


def checkpoint_file(checkpoint):
    """Where in a run's folder the checkpoint ``"last"`` or ``"best"`` is."""
    if checkpoint not in KEPT:
        raise TrainingError(f"checkpoint must be one of {KEPT}; got {checkpoint!r}.")
    return f"{FOLDER}/{checkpoint}.ckpt"


def read(path):
    """The numbers of a checkpoint, on the CPU.

    Raises:
        TrainingError: it holds objects, or is no checkpoint of a run.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        whole_numbers = isinstance(saved["epoch"], int) and isinstance(saved["global_step"], int)
        tensors = [*saved["state_dict"].values()]
    except DAMAGED as error:
        raise damaged(path, error) from error
    if not (whole_numbers and tensors and all(map(torch.is_tensor, tensors))):
        raise damaged(path, "it has no weights or no epoch")
    return saved


def load_weights(module, path):
    """Give the module the weights of a checkpoint of the same run, in the module's own dtype."""
    saved = read(path)
    try:
        module.load_state_dict(saved["state_dict"])
    except DAMAGED as error:
        raise damaged(path, error) from error


def damaged(path, reason):
    """What to raise where a file of a run is not what it should be; reason: an error or a text."""
    if isinstance(reason, pickle.UnpicklingError):  # torch would advise to read the objects
        reason = "it does not hold numbers alone"
    reason = " ".join(str(reason).split())[:400] or type(reason).__name__
    return TrainingError(f"{path} is damaged, or no file of this run: {reason}")


def checkpointing():
    """checkpoints/best.ckpt, of the lowest val/loss, last.ckpt, after every epoch, and snapshots.

    In the folder of the first logger; in this order, so that the last one knows the best one.
    """
    best = ModelCheckpoint(filename="best", monitor="val/loss", enable_version_counter=False)
    last = ModelCheckpoint(
        filename=Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True
    )
    return [best, last, Snapshots()]


class Started(Callback):
    """Whether the training has begun: until then a checkpoint was restored."""

    has_begun = False

    def on_train_start(self, trainer, module):
        """The first step comes next."""
        self.has_begun = True


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning writes, reads and removes the checkpoints of one run."""

    def __init__(self, run):
        super().__init__()
        self.folder = Path(run, FOLDER)

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        """Written whole or not at all."""
        buffer = io.BytesIO()  # torch's own writer does not tell of a full disk what it is
        torch.save(checkpoint, buffer)
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    def load_checkpoint(self, path, map_location=None, weights_only=True):
        """As numbers, whatever Lightning asks for."""
        return read(path)

    def remove_checkpoint(self, path):
        """Of this folder only: which file is to go stands in the checkpoint of a resumed run."""
        path = Path(path).resolve()
        if path.parent == self.folder.resolve():
            path.unlink(missing_ok=True)
