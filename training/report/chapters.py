"""Runs of one data set, seen at the same points: all that a chapter of the report shows."""

import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training import runs
from training.data import Dataset
from training.datamodule import DataModule
from training.errors import TrainingError
from training.evaluation.held_out import held_out_metrics
from training.models import is_periodic
from training.module import RegularizedAutoEncoder
from training.pictures.files import names_of, same_parts, same_source
from training.pictures.views import View, shared_radius, some_points, view_of
from training.report.colours import colours_of, maps_of
from training.report.flow import Flow, flow_of
from training.report.movement import Movement, movement_of
from training.report.paths import Paths, grid_metric, landmarks_of, paths_of, values
from training.trust import is_foreign, read_yaml
from training.writing import finite

HELD_OUT, GIVEN, TRAINING = "held-out", "given", "training"  # kinds of points
PIXELS = 2_000_000  # of one run's images, at most: they are most of the page


@dataclass(frozen=True, eq=False)
class Run:
    """One run in a chapter.

    Attributes:
        folder, checkpoint: what was loaded; the folder is None of an estimator.
        again: how to train it again, a line of text.
        config: the run's configuration, as in its YAML.
        metrics: of held-out points, None where not finite.
        parameters: how many numbers were trained.
        same_parts: whether it was trained and tested on the same points as the chapter's first.
        view: at the chapter's points.
        movement: of these points during training.
        paths: between the chapter's landmarks.
        images: decoded images of the first points, (k, height, width[, 3]) uint8, or None.
        grid: g over the map's box, (rows, columns, 3), see ``grid_metric``; None without a map.
        flow: R and f during training, of a run's folder with an F or W term; else None.
    """

    folder: Path | None
    checkpoint: str
    again: str
    config: dict
    metrics: dict
    parameters: int
    same_parts: bool
    view: View
    movement: Movement
    paths: Paths
    images: np.ndarray | None
    grid: np.ndarray | None = None
    flow: Flow | None = None

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
        kind: of the points that metrics are of; where they are held out, they are shown first.
        landmarks: which points the geodesics join.
        images: the points as images, as ``Run.images``.
        runs: in the order in which they were named.
    """

    source: str
    data: Dataset
    total: int
    kind: str
    landmarks: np.ndarray
    images: np.ndarray | None
    runs: list[Run]

    @property
    def limit(self):
        """Where the colours of R end, the same for all runs."""
        return max(run.view.limit for run in self.runs)

    @cached_property
    def radius(self):
        """r of the ellipses, the same for all runs; None without maps."""
        return shared_radius([run.view for run in self.runs])

    @cached_property
    def colours(self):
        """The quantities that points can be coloured by."""
        return colours_of(self)

    @cached_property
    def maps(self):
        """The quantities that a map over the latent box can show."""
        return maps_of(self)


def chapters_of(folders, checkpoint="last", trust=False):
    """The chapters of these runs, by data set, both in the order in which they were named.

    Raises:
        TrainingError: a folder that holds no run, one that is named twice, an encoder of NaN.
    """
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise TrainingError("A run is named twice: name each once.")
    groups = []
    for name, folder in zip(names_of(folders), map(Path, folders), strict=True):
        member = _Member(name, folder, *runs.load(folder, checkpoint, trust))
        for group in groups:
            if same_source(group[0].parts.source, member.parts.source):
                group.append(member)
                break
        else:
            groups.append([member])
    return [_chapter(group, checkpoint) for group in groups]


class _Member(NamedTuple):
    """A run that is loaded."""

    name: str
    folder: Path
    module: RegularizedAutoEncoder
    parts: DataModule


def _chapter(group, checkpoint):
    first = group[0].parts
    data = some_points(first.parts)
    landmarks = landmarks_of(data.points)
    return Chapter(
        str(first.source),
        data,
        sum(map(len, first.parts)),
        HELD_OUT,
        landmarks,
        pictures(data.points, data),
        [
            _run(member, checkpoint, data, landmarks, same_parts(first, member.parts))
            for member in group
        ],
    )


@torch.no_grad()
def _run(member, checkpoint, data, landmarks, same):
    name, folder, module, parts = member
    metrics = _metrics(folder, module, parts, checkpoint)
    config = read_yaml(folder / runs.CONFIG)
    view, module = view_of(name, folder, module, data), module.double()
    periodic = is_periodic(module.autoencoder)
    return Run(
        folder,
        checkpoint,
        _command(folder, config),
        config,
        metrics,
        sum(p.numel() for p in module.parameters() if p.requires_grad),
        same,
        view,
        movement_of(folder, module, view, checkpoint),
        paths_of(module.decode, view.latents, landmarks, view.space, periodic),
        None if data.image_shape is None else pictures(values(module.decode, view.latents), data),
        grid_metric(module.decode, view.map),
        flow_of(folder, module, view, checkpoint),
    )


def _command(folder, config):
    """How to train the run of a folder again."""
    again = folder.parent / f"{folder.resolve().name}-again"
    trust = " --trust" if is_foreign(config) else ""
    config = shlex.quote(f"{folder}/{runs.CONFIG}")
    return f"python -m training fit --config {config} --run {shlex.quote(str(again))}{trust}"


def _metrics(folder, module, parts, checkpoint):
    """As ``evaluate`` wrote them, or now."""
    path = folder / runs.METRICS_OF[checkpoint]
    if not path.is_file():
        return finite(held_out_metrics(module, parts))
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        metrics = None
    if not isinstance(metrics, dict) or not all(map(_is_metric, metrics.values())):
        raise TrainingError(f"{path} is damaged: remove it, or evaluate the run again.")
    return metrics


def _is_metric(value):
    return value is None or isinstance(value, int | float)


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
