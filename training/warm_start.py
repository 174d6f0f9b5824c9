"""Warm start: an autoencoder that begins at Isomap's coordinates.

Curvature is blind to the choice of coordinates, and a swiss roll is flat already: from a random
start no curvature functional unrolls it. Isomap's coordinates u do: their distances are geodesic
distances of the points, so a decoder with dec(u) = x has a metric near the identity.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError
from sklearn.manifold import Isomap
from sklearn.neighbors import kneighbors_graph
from torch.nn import functional as F

from training.errors import TrainingError

CHUNK = 1024  # rows that Isomap places at once: it holds their distances to all landmarks
FLAT = 1e-6  # a coordinate that spreads less, relative to the first, is none


def isomap_coordinates(points, d, neighbours=10, landmarks=5000, seed=0):
    """u (n, d) whose distances are as near as may be to the geodesic distances of the points.

    Isomap (Tenenbaum, de Silva & Langford, Science 290, 2000): geodesic distances are shortest
    paths in the graph of nearest neighbours, and u the leading eigenvectors of their centred
    squares. Of more than ``landmarks`` points that many, at random, are embedded so, and the others
    placed by their distances to them (Bengio et al., NIPS 2003). u has mean about zero, and the
    units of the points. Time grows as landmarks² log(landmarks): 2000, 3000 and 5000 landmarks of
    a swiss roll of 18000 take 1.5, 3 and 7 s on one core, and 5000 of them less than 1 GB.

    Args:
        points: (n, D), numpy array or tensor, in the units that the autoencoder sees.
        d: latent dimension.
        neighbours: of each point in the graph. Too few, and it falls apart; too many, and edges
            leap across gaps that the manifold has.
        landmarks: how many points at most are embedded with all their distances.
        seed: of the choice of landmarks. Same seed, same coordinates.
    """
    points = np.asarray(points, dtype=np.float64)
    chosen = np.random.default_rng(seed).permutation(len(points))[:landmarks]
    if len(chosen) == len(points):
        return embed(points, d, neighbours, seed).embedding_
    isomap = embed(points[chosen], d, neighbours, seed)
    starts = range(0, len(points), CHUNK)
    return np.concatenate([isomap.transform(points[i : i + CHUNK]) for i in starts])


class WarmStartLosses(NamedTuple):
    """Means over the last epoch, per coordinate."""

    encoder: float  # MSE(enc(x), u)
    decoder: float  # MSE(dec(u), x)


def fit_to_coordinates(
    autoencoder, points, coordinates, *, epochs=50, batch_size=256, learning_rate=2e-3, seed=0
):
    """Trains encoder and decoder, each by itself, to map points to coordinates and back::

        loss = MSE(enc(x), u) + MSE(dec(u), x)

    by Adam, with a learning rate that falls to zero along a cosine. The coordinates are centred
    and otherwise as they are: in the units of the points, so that the decoder's metric is about
    the identity. Latents are meant to be a plane R^d: on a torus, coordinates would have to stay
    within one period. torch's global random numbers are not used.

    Args:
        autoencoder: a module with modules ``encoder``, (B, D) -> (B, d), and ``decoder``,
            (B, d) -> (B, ...) of D entries, in the dtype and on the device of their parameters.
        points: (n, D), numpy array or tensor, in the units that the encoder sees.
        coordinates: (n, d), of ``isomap_coordinates`` or of any other chart.
        epochs, batch_size, learning_rate: passes, points a step, and the first rate.
        seed: of the order of the points.
    """
    modules = autoencoder.encoder, autoencoder.decoder
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    x, u = tensors(points, coordinates, like=parameters[0])
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        batches = torch.randperm(len(x), generator=order).to(x.device).split(batch_size)
        losses = one_epoch(autoencoder, x, u, batches, optimiser)
        schedule.step()
    optimiser.zero_grad()
    return losses


def one_epoch(autoencoder, x, u, batches, optimiser):
    """A step for each batch of rows; the mean losses on the way."""
    totals = torch.zeros(2, dtype=torch.float64, device=x.device)
    for rows in batches:
        encoder = F.mse_loss(autoencoder.encoder(x[rows]), u[rows])
        decoder = F.mse_loss(autoencoder.decoder(u[rows]).flatten(1), x[rows])
        optimiser.zero_grad()
        (encoder + decoder).backward()
        optimiser.step()
        totals += len(rows) * torch.stack([encoder, decoder]).detach()
    losses = WarmStartLosses(*(totals / len(x)).tolist())
    if not np.isfinite(losses).all():
        raise TrainingError(f"The warm start diverged: {losses}. Lower its learning rate.")
    return losses


def tensors(points, coordinates, like):
    """x and the centred u, in the dtype and on the device of a parameter."""
    x, u = (torch.as_tensor(a).to(like.device, like.dtype) for a in (points, coordinates))
    if x.ndim != 2 or u.ndim != 2 or len(x) != len(u):
        raise TrainingError(
            f"A warm start takes points (n, D) and coordinates (n, d), as many; got "
            f"{tuple(x.shape)} and {tuple(u.shape)}."
        )
    return x, u - u.mean(dim=0)


def embed(points, d, neighbours, seed):
    """Isomap, fitted to these points, if it can be."""
    check_graph(points, d, neighbours)
    state = np.random.get_state()  # noqa: NPY002  (where the eigensolver's start comes from)
    np.random.seed(seed)  # noqa: NPY002  (Isomap has no random_state)
    try:
        isomap = Isomap(n_neighbors=neighbours, n_components=d).fit(points)
    except ArpackError as error:
        reason = f"nearly all of them may be equal ({error})"
        raise TrainingError(f"Isomap finds no {d} dimensions in these points: {reason}") from error
    except ValueError as error:  # the d-th eigenvalue is negative
        raise TrainingError(f"Isomap finds no {d} dimensions in these points: {error}") from error
    finally:
        np.random.set_state(state)  # noqa: NPY002
    spread = isomap.embedding_.std(axis=0)
    if not spread.min() > FLAT * spread.max():
        raise TrainingError(f"Isomap finds no {d} dimensions: they spread {spread.tolist()}.")
    return isomap


def check_graph(points, d, neighbours):
    """Raise an error where the graph of nearest neighbours has several components.

    scikit-learn would warn and join them by their shortest gaps, which are no geodesics.
    """
    n = len(points)
    if not (1 <= d < n and 1 <= neighbours < n):
        raise TrainingError(f"Isomap of {n} points in {d} dimensions by {neighbours} neighbours.")
    count, labels = connected_components(kneighbors_graph(points, neighbours))
    if count > 1:
        sizes = ", ".join(map(str, np.sort(np.bincount(labels))[::-1][:5]))
        raise TrainingError(
            f"The graph of {neighbours} nearest neighbours of {n} points falls apart into {count} "
            f"components, the largest of {sizes} points: there are no geodesics between them. "
            "Raise neighbours, or do without a warm start (none)."
        )
