"""How the latents moved while a run was trained."""

from dataclasses import dataclass

import numpy as np
import torch

from training import runs
from training.checkpoints import load_weights
from training.snapshots import snapshots

MOST = 3  # times the extent of the last latents that a picture shows


@dataclass(frozen=True, eq=False)
class Movement:
    """Latents in the plane at some epochs, the run's checkpoint last.

    Attributes:
        epochs: how many were over, (k,), ascending.
        latents: (k, n, 2), as the view's ``plane`` shows them; NaN where an encoder gave that.
    """

    epochs: np.ndarray
    latents: np.ndarray

    @property
    def box(self):
        """((x0, x1), (y0, y1)) around the latents of all epochs, wide enough to be drawn.

        No more than three times as wide as those of the last: one wild epoch must not hide it.
        """
        low, high = np.nanmin(self.latents, axis=(0, 1)), np.nanmax(self.latents, axis=(0, 1))
        first, last = self.latents[-1].min(axis=0), self.latents[-1].max(axis=0)
        reach = MOST * (last - first).max() / 2
        if reach > 0:
            low = np.maximum(low, np.minimum(first, (first + last) / 2 - reach))
            high = np.minimum(high, np.maximum(last, (first + last) / 2 + reach))
        margin = 0.05 * (high - low).max() + 1e-6 * (1 + np.abs(high).max())
        return np.stack([low - margin, high + margin], axis=1)


@torch.no_grad()
def movement_of(folder, module, view, checkpoint):
    """The Movement of a run; the module ends with the weights that it came with."""
    latents = {runs.epochs_of(folder, checkpoint): view.latents}
    last, state = max(latents), {name: t.clone() for name, t in module.state_dict().items()}
    points = torch.from_numpy(view.data.points)
    for epoch, path in snapshots(folder).items():
        if epoch < last:
            load_weights(module, path)
            latents[epoch] = module.encode(points).double().numpy()
    module.load_state_dict(state)
    epochs = sorted(latents)
    return Movement(np.array(epochs), np.stack([view.plane(latents[e]) for e in epochs]))
