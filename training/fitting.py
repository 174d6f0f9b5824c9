"""Training on points in memory, inside somebody's program: nothing is written, little is said."""

import contextlib

import lightning as L
import torch
from torch.utils.data import DataLoader

from training.datamodule import Rows, as_it_is, even_size
from training.log import History
from training.quiet import quiet


@contextlib.contextmanager
def seeded(seed):
    """Within this context torch draws what this seed gives; afterwards it goes on as before."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def train(module, points, *, max_epochs, batch_size, device, verbose):
    """Train a RegularizedAutoEncoder; it ends on the CPU, in float64 and evaluation mode.

    Args:
        module: the RegularizedAutoEncoder.
        points: (n, D), raw units.
        max_epochs: passes over them.
        batch_size: points a step, about: all are used in every epoch, in batches of one size.
        device: an accelerator of Lightning, such as ``"cpu"``, ``"cuda"`` or ``"auto"``.
        verbose: show a progress bar.

    Returns:
        The rows of a History.
    """
    history = History()
    loader = DataLoader(
        Rows(points), even_size(len(points), batch_size), shuffle=True, collate_fn=as_it_is
    )
    with quiet():
        trainer = L.Trainer(
            max_epochs=max_epochs, accelerator=device, devices=1, logger=history,
            enable_checkpointing=False, enable_progress_bar=verbose, enable_model_summary=False,
        )  # fmt: skip
        try:
            trainer.fit(module, loader)
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):  # which Lightning makes an exit of
                raise KeyboardInterrupt from stop
            raise
    module.trainer = None
    module.cpu().double().eval().requires_grad_(False)
    return history.rows
