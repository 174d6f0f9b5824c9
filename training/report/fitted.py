"""The report of an estimator that was fitted: one chapter, of points in memory."""

from types import SimpleNamespace

import numpy as np

from training.data import Dataset
from training.evaluation.held_out import held_out_metrics
from training.pictures.fitted import view_of_fitted
from training.report import page
from training.report.chapters import GIVEN, TRAINING, Chapter, Run, pictures
from training.report.movement import Movement
from training.report.paths import grid_metric, landmarks_of, paths_of, values
from training.writing import finite


def write(estimator, data, path, count):
    """Write the report of a CurvatureAutoencoder to a new .html file.

    Args:
        estimator: fitted.
        data: a Dataset of the points that are shown, and that metrics are of.
        path: of the file.
        count: how many points they were chosen from; None if they are training points.
    """
    page.check_new(path)
    page.write([chapter_of(estimator, data, count)], path)


def chapter_of(estimator, data, count):
    """The Chapter of one estimator: it has no folder, and no snapshots of its training."""
    landmarks = landmarks_of(data.points)
    return Chapter(
        source="X",
        data=data,
        total=count or estimator.n_samples_,
        kind=TRAINING if count is None else GIVEN,
        landmarks=landmarks,
        images=pictures(data.points, data),
        runs=[_run(estimator, data, landmarks)],
    )


def _run(estimator, data, landmarks):
    module = estimator.module_
    parts = Dataset(estimator.sample_), None, data
    view = view_of_fitted(estimator, data)
    decoded = None if data.image_shape is None else values(module.decode, view.latents)
    return Run(
        folder=None,
        checkpoint="last",
        again=f"model = {estimator!r}.fit(X)",
        config=_config(estimator),
        metrics=finite(held_out_metrics(module, SimpleNamespace(parts=parts))),
        parameters=sum(p.numel() for p in module.parameters()),
        same_parts=True,
        view=view,
        movement=Movement(np.array([len(estimator.history_)]), view.plane(view.latents)[None]),
        paths=paths_of(module.decode, view.latents, landmarks, view.space),
        images=None if decoded is None else pictures(decoded, data),
        grid=grid_metric(module.decode, view.map),
    )


def _config(estimator):
    """The parameters, in the order of a run's configuration."""
    terms = {
        name: {
            "functional": _class(term.functional),
            "weight": float(term.weight),
            "measure": _class(term.measure),
        }
        for name, term in estimator.module_.terms.terms.items()
    }
    return {
        "seed_everything": repr(estimator.random_state),
        "trainer": {"max_epochs": estimator.max_epochs},
        "data": {"batch_size": estimator.batch_size},
        "model": {
            "autoencoder": _class(estimator.module_.autoencoder),
            "terms": terms,
            "learning_rate": float(estimator.learning_rate),
            "warm_start": estimator.module_.warm_start,
        },
    }


def _class(thing):
    return {"class_path": f"{type(thing).__module__}.{type(thing).__qualname__}"}
