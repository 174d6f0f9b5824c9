"""Encoders and decoders whose metrics are known, the names of metrics, how to compare numbers."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from tests.support.immersions import RandomImmersion, random_rotation, stereographic_sphere
from tests.support.tolerance import assert_close
from training.data import Dataset
from training.data.scaling import CommonScale
from training.evaluation import evaluate
from training.module import RegularizedAutoEncoder

UNITS = (
    "mean_abs_R", "median_abs_R", "p95_abs_R", "mean_R2", "mean_R2_sqrt_det_g",
    "integral_R2_dmu",
)  # fmt: skip
RAW = {f"{key}_raw" for key in UNITS}
ISOMETRY = {"mcn", "vor", "relaxed_distortion", "var_log_det_g"}
NEAR = {"trustworthiness", "continuity", "knn_recall_at_10"}
COUNTS = {"degenerate_points", "degenerate_quadrature_points"}
KEYS = {"mse", "mse_raw", "r2", *UNITS, *RAW, *ISOMETRY, *NEAR, *COUNTS}
CHART_KEYS = {
    "spearman",
    "stress",
    "procrustes_disparity",
    "procrustes_disparity_worst",
    "tear_score",
    "tear_score_of_isometry",
}


def identity(z):
    return z


def agree(actual, expected, **options):
    """:func:`assert_close` for numbers."""
    __tracebackhide__ = True
    actual, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (actual, expected))
    assert_close(actual, expected, **options)


def plane(d, ambient=7, dtype=torch.float64):
    """(encoder, decoder) of an isometric d-plane in R^ambient that misses the origin."""
    frame = random_rotation(0, ambient)[:, :d].to(dtype)
    return lambda x: (x - 1) @ frame, lambda z: 1 + z @ frame.mT


def sphere(radius):
    """(encoder, decoder) of the sphere in stereographic coordinates."""
    return lambda x: x[:, :-1] / (radius - x[:, -1:]), stereographic_sphere(radius)


def latents_only(decoder, z, **options):
    """Metrics of a decoder at given latents: the points are its own values."""
    values = decoder(z).flatten(1)
    rows = {tuple(x.tolist()): row for x, row in zip(values, z, strict=True)}
    return evaluate(
        lambda x: torch.stack([rows[tuple(r.tolist())] for r in x]), decoder, values, **options
    )


def network(n=150):
    """(encoder, decoder, points (n, 4)): an ordinary network with two latents, untrained."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        encoder = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2)).double()
        points = torch.randn(n, 4, dtype=torch.float64)
    return encoder, RandomImmersion(3, 2, 4), points


def fold(z):
    """(u, v) -> (u², v): degenerate at u = 0, else flat."""
    return torch.cat([z[:, :1].square(), z[:, 1:]], 1)


def trained(autoencoder):
    """A module and its data: 120 training and 40 test points, with a chart, far from zero."""
    points = 5 + 3 * np.random.default_rng(0).normal(size=(200, 4))
    data = Dataset(points, chart=points[:, :2])
    train, val, test = (data.subset(rows) for rows in np.split(np.arange(200), [120, 160]))
    module = RegularizedAutoEncoder(autoencoder, data_dimension=4)
    module.scale = CommonScale.fit(train.points)
    return module.eval(), SimpleNamespace(parts=(train, val, test))
