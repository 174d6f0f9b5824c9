"""Pictures of an estimator that was fitted."""

from training.pictures.curves import curves_of
from training.pictures.figures import latent
from training.pictures.views import View, arrays


def figure(estimator, data):
    """The latents of points (a Dataset) on the map of their curvature."""
    return latent(view_of_fitted(estimator, data))


def view_of_fitted(estimator, data):
    """The View of a CurvatureAutoencoder at these points."""
    rows = [
        {"epoch": row["epoch"], **{f"train/{k}": str(x) for k, x in row.items() if k != "epoch"}}
        for row in estimator.history_
    ]
    name = type(estimator).__name__
    return View(name=name, curves=curves_of(rows), **arrays(estimator.module_, data))
