"""The coordinates that a warm start begins with, alone: a row without an autoencoder."""

import numpy as np

from training.evaluation.charts import charts
from training.evaluation.neighbourhoods import neighbourhoods
from training.runs import data_of
from training.warm_start import embed

NEIGHBOURS = 10
LANDMARKS = 5000
MOST_POINTS = 2000


def isomap_metrics(design, seed):
    """Charts and neighbourhoods of Isomap's coordinates of the test points.

    Isomap is fitted to at most LANDMARKS training points, and places the test points by their
    geodesic distances to them.
    """
    train, _, test = data_of({**design.config["data"], "seed": seed}).parts
    rng = np.random.default_rng(seed)
    points = train.points[rng.permutation(len(train))[:LANDMARKS]]
    latents = embed(points, design.latent_dimension, NEIGHBOURS, seed).transform(test.points)
    few = np.sort(rng.permutation(len(test))[:MOST_POINTS])
    metrics = neighbourhoods(test.points[few], latents[few], NEIGHBOURS)
    if test.chart is not None:
        metrics |= charts(latents, test.chart, test.groups, few, NEIGHBOURS)
    return {key: float(value) for key, value in metrics.items()}
