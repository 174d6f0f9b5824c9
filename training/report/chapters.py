"""Runs of one data set, seen at the same points: all that a chapter of the report shows."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml

import curvcore
from training import runs
from training.data import Dataset
from training.errors import TrainingError
from training.evaluation.held_out import held_out_metrics
from training.pictures.files import names_of, same_source
from training.pictures.views import View, some_points, view_of
from training.report.colours import colours_of, maps_of
from training.report.movement import Movement, movement_of
from training.report.paths import Paths, landmarks_of, paths_of

PIXELS = 2_000_000  # of one run's images, at most: they are most of the page


@dataclass(frozen=True, eq=False)
class Run:
    """One run in a chapter.

    Attributes:
        folder, checkpoint: what was loaded.
        config: the run's configuration, as in its YAML.
        metrics: of held-out points, None where not finite.
        parameters: how many numbers were trained.
        view: at the chapter's points.
        movement: of these points during training.
        condition: λmax/λmin of g at the nodes of ``view.map``; None if d ≠ 2.
        paths: between the chapter's landmarks.
        images: decoded images of the first points, (k, height, width[, 3]) uint8, or None.
    """

    folder: Path
    checkpoint: str
    config: dict
    metrics: dict
    parameters: int
    view: View
    movement: Movement
    condition: np.ndarray | None
    paths: Paths
    images: np.ndarray | None

    @cached_property
    def eigenvalues(self):
        """Of g at the encoded points, ascending: (n, d)."""
        return np.linalg.eigvalsh(self.view.geometry.metric.numpy())


@dataclass(frozen=True, eq=False)
class Chapter:
    """One data set and the runs on it.

    Attributes:
        source: where the data come from, in words.
        data: the points that are shown.
        total: how many points the data set has.
        landmarks: which points the geodesics join.
        images: the points as images, as ``Run.images``.
        runs: in the order in which they were named.
    """

    source: str
    data: Dataset
    total: int
    landmarks: np.ndarray
    images: np.ndarray | None
    runs: list[Run]

    @property
    def limit(self):
        """Where the colours of R end, the same for all runs."""
        return max(run.view.limit for run in self.runs)

    @cached_property
    def colours(self):
        """The quantities that points can be coloured by."""
        return colours_of(self)

    @cached_property
    def maps(self):
        """The quantities that a map over the latent box can show."""
        return maps_of(self)


def chapters_of(folders, checkpoint="last"):
    """The chapters of these runs, by data set, both in the order in which they were named.

    Raises:
        TrainingError: a folder that holds no run, one that is named twice, an encoder of NaN.
    """
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise TrainingError("A run is named twice: name each once.")
    loaded = [(Path(folder), *runs.load(folder, checkpoint)) for folder in folders]
    groups = []
    for name, (folder, module, parts) in zip(names_of(folders), loaded, strict=True):
        for group in groups:
            if same_source(group[0][3].source, parts.source):
                group.append((name, folder, module, parts))
                break
        else:
            groups.append([(name, folder, module, parts)])
    return [_chapter(group, checkpoint) for group in groups]


def _chapter(group, checkpoint):
    parts = group[0][3].parts
    data = some_points(parts)
    landmarks = landmarks_of(data.points)
    return Chapter(
        str(group[0][3].source),
        data,
        sum(map(len, parts)),
        landmarks,
        pictures(data.points, data),
        [_run(*member, checkpoint, data, landmarks) for member in group],
    )


@torch.no_grad()
def _run(name, folder, module, parts, checkpoint, data, landmarks):
    metrics = _metrics(folder, module, parts, checkpoint)
    view, module = view_of(name, folder, module, data), module.double()
    periodic = getattr(module.autoencoder, "latent", "plane") == "torus"
    decoded = module.decode(torch.from_numpy(view.latents)).flatten(1).numpy()
    return Run(
        folder,
        checkpoint,
        yaml.safe_load((folder / runs.CONFIG).read_text()),
        metrics,
        sum(p.numel() for p in module.parameters() if p.requires_grad),
        view,
        movement_of(folder, module, view, checkpoint),
        None if view.map is None else condition_map(module.decode, view.map),
        paths_of(module.decode, view.latents, landmarks, view.space, periodic),
        pictures(decoded, data),
    )


def _metrics(folder, module, parts, checkpoint):
    """As ``evaluate`` wrote them, or now."""
    path = folder / runs.METRICS_OF[checkpoint]
    if not path.is_file():
        return runs.finite(held_out_metrics(module, parts))
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise TrainingError(f"{path} is damaged: remove it. {error}") from error


def condition_map(decode, drawn):
    """λmax/λmin of g at the nodes of a CurvatureMap, (n, n); NaN where the metric is degenerate."""
    nodes = np.stack(np.meshgrid(drawn.x, drawn.y), axis=-1).reshape(-1, 2)
    metric = curvcore.metric(decode, torch.from_numpy(nodes), chunk_size=4096)
    values = np.linalg.eigvalsh(metric.numpy())
    regular = np.isfinite(drawn.volume_density).ravel()
    ratio = np.full(len(nodes), np.nan)
    ratio[regular] = values[regular, 1] / values[regular, 0]
    return ratio.reshape(drawn.scalar.shape)


def pictures(points, data):
    """The first points (n, D) as grey or RGB images, at most PIXELS in all; None if they are none.

    Black and white are the least and the largest value among the data.
    """
    images = as_images(points[: max(1, PIXELS // data.dimension)], data.image_shape or ())
    if images is None:
        return None
    low, high = data.points.min(), data.points.max()
    share = (images - low) / (high - low if high > low else 1)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def as_images(points, shape):
    """(n, height, width), with three channels last if there are colours; None if it is neither."""
    images = points.reshape(-1, *shape)
    if len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3):
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    return images if images.ndim == 3 or images.shape[3:] == (3,) else None
