"""Estimators that are fitted in a moment."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from training import CurvatureAutoencoder
from training.data import SyntheticGaussians

X = SyntheticGaussians(k=2, per_cloud=60, D=6, seed=0).load().points
SMALL = {"widths": (8,), "max_epochs": 2, "batch_size": 40, "random_state": 0}
IMAGES = load_digits().data[:60].reshape(60, 1, 8, 8)


def fitted(X=X, d=2, terms="curvature", **options):
    return CurvatureAutoencoder(d, terms, **(SMALL | options)).fit(X)


def networks(d=2):
    """An encoder and a decoder of images (1, 8, 8)."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(64, d))
    decoder = nn.Sequential(
        nn.Linear(d, 64), nn.SiLU(), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 4, 2, 1)
    )
    return {"encoder": encoder, "decoder": decoder}
