"""Latent points, R and the metric of every point of a file, in a .npz."""

import io
from pathlib import Path

import numpy as np
import torch

import curvcore
from training import runs
from training.data import UserFile
from training.errors import TrainingError
from training.evaluation.held_out import normalised
from training.writing import whole


def encode(options):
    """Write the file that options of the command ``encode`` ask for; what to say of it.

    Raises:
        TrainingError: before anything is written, where the points do not fit the model, or the
            file is no new one.
    """
    out = Path(options.out)
    if out.exists() or not out.absolute().parent.is_dir() or out.suffix != ".npz":
        raise TrainingError(f"--out {out} must be a new .npz file in a folder that exists.")
    module, data = runs.load(options.run, options.checkpoint, options.trust)
    file = UserFile(
        options.data, options.labels, separator=options.separator, decimal=options.decimal
    ).load()
    if file.dimension != len(module.scale.mean):
        raise TrainingError(
            f"--data {options.data} holds points of dimension {file.dimension}; the model of "
            f"{options.run} takes {len(module.scale.mean)}. Name a column of labels by --labels."
        )
    module = module.double()
    pair = normalised(module, data) if options.normalised else module
    arrays = _geometry(pair, torch.from_numpy(file.points))
    if file.labels is not None:
        arrays["labels"] = file.labels
    buffer = io.BytesIO()  # numpy does not close its archive on a full disk
    np.savez(buffer, **arrays)
    with whole(out) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return f"{len(file)} points: {', '.join(arrays)} in raw units -> {out}"


@torch.no_grad()
def _geometry(pair, points):
    """Arrays of what is to be known about each point, in raw units, by name."""
    z = pair.encode(points)
    options = {"on_degenerate": "nan", "chunk_size": 4096}
    geometry = curvcore.pullback(pair.decode, z, order=1, **options)
    arrays = {
        "z": z,
        "R": curvcore.scalar_curvature(pair.decode, z, **options),
        "metric": geometry.metric,
        "volume_density": geometry.volume_density,
        "reconstruction": geometry.value,
    }
    return {name: array.numpy() for name, array in arrays.items()}
