"""``python -m training kmeans RUN``: in which space do clusters find the classes?"""

import numpy as np
import torch

import curvcore
from training.errors import TrainingError
from training.evaluation.downstream import f1_of_clusters, has_classes, kmeans_f1
from training.models import is_periodic

KMEANS = "kmeans.json"  # in the folder of a run
RAW, LATENT, DECODED, RIEMANNIAN = "data", "latents", "decoded", "riemannian"
STARTS = 5  # of Riemannian k-means; the best is taken


@torch.no_grad()
def clusters(module, data, seed=0):
    """F1 of k-means clusters of the test points, k the number of classes, in four spaces.

    ``data``: the points themselves; ``latents``; ``decoded``: what decoder and encoder make of
    them; ``riemannian``: latents, with distances and means of the pullback metric
    (:func:`curvcore.riemannian_kmeans`), from the start with the least objective of five; NaN where
    none of them converged. F1 as of :func:`training.evaluation.downstream.kmeans_f1`.

    Args:
        module: the trained RegularizedAutoEncoder.
        data: its DataModule.
        seed: of all starts.

    Returns:
        dict name -> float.

    Raises:
        TrainingError: on a torus, and where the data have no classes.
    """
    if is_periodic(module.autoencoder):
        raise TrainingError("Clusters of latents are of a plane; these are on a torus.")
    part, module = data.parts[2], module.double()
    if not has_classes(part.labels):
        raise TrainingError("There are no classes to find: labels must be two integers or more.")
    points = module.scale(torch.from_numpy(part.points))
    encoder, decoder = module.autoencoder.encoder, module.autoencoder.decoder
    z = encoder(points)
    spaces = {RAW: points.flatten(1), LATENT: z, DECODED: decoder(z).flatten(1)}
    found = {name: kmeans_f1(x.numpy(), part.labels, seed) for name, x in spaces.items()}
    labels = _riemannian(decoder, z, len(np.unique(part.labels)), seed)
    score = float("nan") if labels is None else f1_of_clusters(labels, part.labels)
    return {name: float(value) for name, value in found.items()} | {RIEMANNIAN: float(score)}


def _riemannian(decoder, z, k, seed):
    """Labels (n,) of the best start, or None."""
    generator = torch.Generator().manual_seed(seed)
    starts = [curvcore.riemannian_kmeans(decoder, z, k, generator=generator) for _ in range(STARTS)]
    known = [start for start in starts if start.converged]
    if not known:
        return None
    return min(known, key=lambda start: start.objective[-1]).labels.numpy()
