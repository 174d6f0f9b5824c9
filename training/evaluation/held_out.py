"""The metrics of a trained module on the part of the data that it has not seen."""

import math

import numpy as np
import torch

from training.errors import TrainingError
from training.evaluation import Normalised, evaluate
from training.evaluation.downstream import Part, downstream
from training.evaluation.normalisation import INVARIANT
from training.models import is_periodic

PREFIX = "normalised_"
DOWNSTREAM = "downstream.json"  # of a run: what its latents are good for
MOST_POINTS = 5000


def held_out_metrics(module, data):
    """Metrics on the test part, in float64, as trained and after the linear normalisation.

    The normalisation A = Ḡ^{1/2} is fitted, so it is made from training points, as the rest of the
    model is. Keys ``normalised_...`` are those of the metrics that it can change; the INVARIANT
    ones are the same before and after. On a torus no linear map but those of GL(d, Z) makes sense:
    there are no such keys.

    Args:
        module: RegularizedAutoEncoder in evaluation mode; it is converted to float64.
        data: DataModule, whose ``parts`` are train, validation and test.

    Returns:
        dict[str, float], as :func:`evaluate`; the normalised ones NaN where Ḡ is singular.
    """
    module = module.double()
    auto, test = module.autoencoder, data.parts[2]
    points = module.scale(torch.from_numpy(test.points))
    options = {"scale": module.scale.scale.item(), "chart": test.chart, "groups": test.groups}
    if is_periodic(auto):
        return evaluate(auto.encoder, auto.decoder, points, periodic=True, **options)
    metrics = evaluate(auto.encoder, auto.decoder, points, **options)
    try:
        pair = Normalised.of(auto.encoder, auto.decoder, module.scale(_some_training_points(data)))
    except TrainingError:  # a collapsed autoencoder has metrics as trained, and they are wanted
        normalised = dict.fromkeys(metrics, math.nan)
    else:
        normalised = evaluate(pair.encode, pair.decode, points, **options)
    return metrics | {
        PREFIX + key: value for key, value in normalised.items() if key not in INVARIANT
    }


def downstream_metrics(module, data):
    """What the latents of the test part are good for (:mod:`training.evaluation.downstream`)."""
    if is_periodic(module.autoencoder):
        raise TrainingError("Ways and clusters of latents are of a plane; these are on a torus.")
    module = module.double()
    parts = [
        Part(module.scale(torch.from_numpy(part.points)), part.labels)
        for part in (data.parts[0], data.parts[2])
    ]
    return downstream(module.autoencoder.encoder, module.autoencoder.decoder, *parts)


def normalised(module, data):
    """The module in coordinates w = A z, A = Ḡ^{1/2} in raw units: a Normalised."""
    if is_periodic(module.autoencoder):
        raise TrainingError("There is no linear normalisation of a torus: A z is no map of it.")
    return Normalised.of(module.encode, module.decode, _some_training_points(data))


def _some_training_points(data):
    """At most MOST_POINTS of them, in raw units, chosen at random."""
    points = torch.from_numpy(data.parts[0].points)
    return points[np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]]


def after_normalisation(metrics, key):
    """The metric ``key`` after the linear normalisation; None if there is none."""
    return metrics.get(PREFIX + key, metrics.get(key))


def is_normalised(metrics):
    """Whether these metrics tell of a linear normalisation: not on a torus."""
    return any(key.startswith(PREFIX) for key in metrics)
