"""Weights kept during training, for looking at how a latent space moved."""

import re
from pathlib import Path

from lightning.pytorch import Callback

FOLDER = "checkpoints"
MOST = 16


class Snapshots(Callback):
    """checkpoints/epoch_….ckpt: weights before the first epoch and after every s-th.

    s is 1, and doubles, and every second snapshot goes, whenever there would be more than 16 after
    the first: they are evenly spaced, however long a run turns out to be.
    """

    def __init__(self):
        self._stride = 1

    def state_dict(self):
        """A run goes on with the stride that it had."""
        return {"stride": self._stride}

    def load_state_dict(self, state):
        """See ``state_dict``."""
        stride = state["stride"]
        if not isinstance(stride, int) or stride < 1:
            raise ValueError(f"a stride of {stride!r} epochs")
        self._stride = stride

    def on_train_start(self, trainer, module):
        """After a warm start, before the first step."""
        if trainer.ckpt_path is None:
            self._keep(trainer, 0)

    def on_train_epoch_end(self, trainer, module):
        """Every ``stride`` epochs, unless the run has diverged."""
        module.check_divergence()
        if (trainer.current_epoch + 1) % self._stride == 0:
            self._keep(trainer, trainer.current_epoch + 1)

    def _keep(self, trainer, epoch):
        folder = Path(trainer.checkpoint_callback.dirpath)
        trainer.save_checkpoint(folder / f"epoch_{epoch:05d}.ckpt", weights_only=True)
        if epoch // self._stride > MOST:
            self._stride *= 2
            if trainer.is_global_zero:
                self._drop(folder)

    def _drop(self, folder):
        for epoch, path in snapshots(folder.parent).items():
            if epoch % self._stride:
                path.unlink()


def snapshots(folder):
    """epoch -> path of the snapshots of a run, in order; empty if there are none."""
    paths = sorted((Path(folder) / FOLDER).glob("epoch_*.ckpt"))
    matches = [(re.fullmatch(r"epoch_(\d+)", path.stem), path) for path in paths]
    return dict(sorted((int(match[1]), path) for match, path in matches if match))
