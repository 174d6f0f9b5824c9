"""``python -m training kmeans RUN``: in which space do clusters find the classes?"""

import numpy as np
import torch

import curvcore
from training.errors import TrainingError
from training.evaluation.downstream import f1_of_clusters, has_classes, kmeans_f1
from training.models import is_periodic

KMEANS = "kmeans.json"  # in the folder of a run
RAW, LATENT, DECODED, RIEMANNIAN = "data", "latents", "decoded", "riemannian"
CONVERGED = "riemannian_converged"
STARTS = 5  # of Riemannian k-means; the best is taken


@torch.no_grad()
def clusters(module, data, seed=0):
    """F1 of k-means clusters of the test points, k the number of classes, in four spaces.

    ``data``: the points themselves; ``latents``; ``decoded``: what decoder and encoder make of
    them; ``riemannian``: latents, with distances and means of the pullback metric
    (:func:`curvcore.riemannian_kmeans`), from the best start of five. F1 as of
    :func:`training.evaluation.downstream.kmeans_f1`. ``riemannian_converged`` is 1 or 0: what
    its ``converged`` says, which asks for Fréchet means to 1e-8. Where it is 0 labels are by the
    shortest curves to the last centres.

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
    k, generator = len(np.unique(part.labels)), torch.Generator().manual_seed(seed)
    by_metric = curvcore.riemannian_kmeans(decoder, z, k, generator=generator, starts=STARTS)
    found[RIEMANNIAN] = f1_of_clusters(by_metric.labels.numpy(), part.labels)
    found[CONVERGED] = by_metric.converged
    return {name: float(value) for name, value in found.items()}
