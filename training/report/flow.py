"""R and the potential f over the latent box while a run with an F or W term was trained."""

from dataclasses import dataclass

import numpy as np
import torch

from training import runs
from training.checkpoints import load_weights
from training.densities import KernelMixture
from training.errors import TrainingError
from training.flows.monitor import first_term
from training.functionals import FixedMeasure, LatentSample, SampledGeometry
from training.measures import EncodedPoints, Mixtures, SmoothedPoints
from training.models import is_periodic
from training.pictures.curves import flow_curves
from training.pictures.views import latent_box
from training.snapshots import snapshots

NODES = 40  # along each side
OF_DATA = (EncodedPoints, Mixtures, SmoothedPoints)  # measures whose dm is the distribution of data


@dataclass(frozen=True, eq=False)
class Flow:
    """What is to be seen of a flow.

    Attributes:
        epochs: how many were over, (k,), ascending; empty for d ≠ 2.
        x, y: nodes of the box of the last latents.
        maps: R and f, (k, 2, y, x), in raw units; NaN where g is degenerate.
        curves: name -> (epochs, values) of the numbers in the log.
    """

    epochs: np.ndarray
    x: np.ndarray
    y: np.ndarray
    maps: np.ndarray
    curves: dict


@torch.no_grad()
def flow_of(folder, module, view, checkpoint):
    """The Flow of a run; None if it has no such term. The module ends with its own weights."""
    term = first_term(module)
    if term is None:
        return None
    curves = flow_curves(folder)
    if view.latents.shape[1] != 2:
        none = np.empty(0)
        return Flow(none, none, none, np.empty((0, 2, 0, 0)), curves)
    box = latent_box(torch.from_numpy(view.latents), is_periodic(module.autoencoder))
    x, y = (torch.linspace(*side.tolist(), NODES, dtype=torch.float64) for side in box)
    z = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    points = torch.from_numpy(view.data.points)
    last = runs.epochs_of(folder, checkpoint)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    maps = {last: _maps(module, term, z, points)}
    for epoch, path in snapshots(folder).items():
        if epoch < last:
            load_weights(module, path)
            maps[epoch] = _maps(module, term, z, points)
    module.load_state_dict(state)
    epochs = sorted(maps)
    return Flow(np.array(epochs), x.numpy(), y.numpy(), np.stack([maps[e] for e in epochs]), curves)


def _law(measure, latents):
    """The distribution whose points the measure draws, if these are all the data."""
    is_known = isinstance(measure, SmoothedPoints)
    return measure.law(latents) if is_known else KernelMixture.of_points(latents)


def _maps(module, term, z, points):
    """R and f at the nodes z: (2, y, x)."""
    found = np.full((2, len(z)), np.nan)
    potential = term.functional.potential
    if isinstance(potential, FixedMeasure) and isinstance(term.measure, OF_DATA):
        potential = FixedMeasure(_law(term.measure, module.encode(points)))
    sample = LatentSample.weighted(z, torch.ones_like(z[:, 0]) / len(z))
    try:
        on = SampledGeometry(module.decode, sample)
        f = potential.on(on, torch.zeros_like(z[:1, 0])).value
    except TrainingError:
        return found.reshape(2, NODES, NODES)
    found[:, on.regular] = torch.stack([on.geometry.scalar, f]).numpy()
    return found.reshape(2, NODES, NODES)
