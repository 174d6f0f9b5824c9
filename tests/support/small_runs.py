"""Runs that are trained in a second or two."""

import numpy as np
import yaml

from training.__main__ import main
from training.data import SyntheticGaussians

CURVATURE = {
    "curvature": {
        "functional": {"class_path": "training.functionals.TotalSquaredCurvature"},
        "weight": 1e-3,
    }
}


def clouds(D=5, d=2, per_cloud=12):
    """Three clouds in R^D: a Dataset."""
    return SyntheticGaussians(k=3, per_cloud=per_cloud, D=D, d=d, seed=1).load()


def gaussians(D=5, per_cloud=40, **options):
    """The configuration of such clouds as a source."""
    settings = {"k": 3, "per_cloud": per_cloud, "D": D, **options}
    return {"class_path": "training.data.SyntheticGaussians", "init_args": settings}


def of_file(folder, points, **options):
    """The configuration of points (n, D), written to a file, as a source."""
    path = folder / "points.npy"
    np.save(path, points)
    settings = {"path": str(path), **options}
    return {"class_path": "training.data.UserFile", "init_args": settings}


def write_config(path, source, D=5, d=2, epochs=2, terms=None, latent="plane", **model):
    """The file of a configuration of ``fit``."""
    options = {"data_dimension": D, "latent_dimension": d, "widths": [6], "latent": latent}
    auto = {"class_path": "training.models.MLPAutoEncoder", "init_args": options}
    config = {
        "trainer": {"max_epochs": epochs, "accelerator": "cpu", "enable_progress_bar": False},
        "data": {"source": source, "batch_size": 16, "fractions": [0.5, 0.1, 0.4]},
        "model": {"autoencoder": auto, "terms": terms or {}} | model,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def fit(folder, source, **options):
    """The folder of a run, made new; options as of ``write_config``."""
    path = write_config(folder.with_suffix(".yaml"), source, **options)
    assert main(["fit", "--config", str(path), "--run", str(folder)]) == 0
    return folder


def one_line(capsys):
    """The message of a command that failed, which must be one line."""
    message = capsys.readouterr().err.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    return message
