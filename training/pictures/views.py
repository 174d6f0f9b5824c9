"""What is to be seen of a run, as arrays."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.manifold import TSNE

import curvcore
from training.data import Dataset
from training.errors import TrainingError
from training.evaluation.curvature import LocalGeometry, local_geometry
from training.models import is_periodic
from training.pictures.curves import curves, floors_of
from training.pictures.projections import Projection, by_pca, principal, space_of

MOST_POINTS = 2000
MARGIN = 0.05  # of the box beyond the encoded points
RESOLUTION = 80  # nodes of the map along each side
GAP = 0.15  # between pieces of the chart side by side, of their mean width
ENTRIES = 2**24  # of second derivatives that are held at a time
MOST_LATENTS = 5  # coordinates in a pair plot
LONGEST = 4  # side of a map beside others, of its shorter one
CLASSES = 10  # as many colours can be told apart


@dataclass(frozen=True, eq=False)
class Colour:
    """What colours the points: ``values`` (n,), their name, and whether they are classes."""

    values: np.ndarray
    name: str
    discrete: bool


@dataclass(frozen=True, eq=False)
class View:
    """A run, ready to be drawn: n points, in raw units.

    Attributes:
        name: of the run's folder.
        data: the points: held out ones first, filled up with others, at most 2000.
        colour: of the points, or None.
        space: how R^D is seen in three dimensions, if D > 3: ``projections.space_of`` the data.
        plane: how R^d is seen in two: by the PCA of the latents if d > 2.
        ambient, reconstruction: points and their reconstructions in space, (n, 3).
        error: |x − Ψ(enc(x))|, (n,).
        latents: encoded points, (n, d).
        geometry: metric, R and √det g there.
        chart: ideal coordinates, (n, 2), pieces side by side; None if unknown.
        map: curvcore.CurvatureMap over the box of the latents; None if d ≠ 2.
        surface: the map's decoded nodes, in space, (rows, columns, 3); None if d ≠ 2.
        limit: where the colours of R end: the 98th percentile of |R| at the points.
        curves: name -> stage -> (epochs, values).
        floors: name -> what this term cannot fall below, of relaxed distortion.
    """

    name: str
    data: Dataset
    colour: Colour | None
    space: Projection
    plane: Projection
    ambient: np.ndarray
    reconstruction: np.ndarray
    error: np.ndarray
    latents: np.ndarray
    geometry: LocalGeometry
    chart: np.ndarray | None
    map: curvcore.CurvatureMap | None
    surface: np.ndarray | None
    limit: float
    curves: dict
    floors: dict

    @property
    def scalar(self):
        """R at the encoded points, NaN where the metric is degenerate, (n,)."""
        return self.geometry.scalar.numpy()

    @cached_property
    def embedding(self):
        """t-SNE of the points, (n, 2)."""
        return embedded(self.data.points)


def view_of(name, folder, module, data, ratio=None):
    """The View, under this name, of the run in a folder, whose module is loaded, at these points.

    Its map is of a box of this ratio of height to width, or no larger than the latents need.

    Raises:
        TrainingError: its encoder gives NaN.
    """
    return View(name=name, curves=curves(folder), **arrays(module.double(), data, ratio))


@torch.no_grad()
def arrays(module, data, ratio=None):
    """The fields of a View that a module and its points tell."""
    z = encoded(module, data)
    chunk = max(1, ENTRIES // (data.dimension * z.shape[1] ** 2))
    decoded, geometry = module.decode(z).numpy(), local_geometry(module.decode, z, chunk)
    periodic = is_periodic(module.autoencoder)
    space = space_of(data)
    drawn = None
    if z.shape[1] == 2:
        box = of_ratio(latent_box(z, periodic), ratio)
        drawn = curvcore.curvature_map(module.decode, box, RESOLUTION)
    return {
        "data": data,
        "colour": colour_of(data),
        "space": space,
        "plane": by_pca(z.numpy(), 2),
        "ambient": space(data.points),
        "reconstruction": space(decoded),
        "error": np.linalg.norm(data.points - decoded, axis=1),
        "latents": z.numpy(),
        "geometry": geometry,
        "chart": side_by_side_chart(data),
        "map": drawn,
        "surface": drawn and space(drawn.value),
        "limit": colour_limit(geometry.scalar.numpy(), data.points),
        "floors": floors_of(module.terms.terms, z.shape[1]),
    }


def encoded(module, data):
    """The latents of the data, (n, d).

    Raises:
        TrainingError: they are not finite.
    """
    z = module.encode(torch.from_numpy(data.points))
    if z.ndim != 2 or not torch.isfinite(z).all():
        raise TrainingError("The encoder of this run gives NaN or Inf: there is nothing to draw.")
    return z


def some_points(parts, most=MOST_POINTS):
    """At most ``most`` points: of the test part first, then of validation and training."""
    train, validation, test = parts
    joined = [
        None if any(piece is None for piece in pieces) else np.concatenate(pieces)[:most]
        for pieces in zip(*map(_fields, (test, validation, train)), strict=True)
    ]
    return Dataset(*joined, name=train.name, image_shape=train.image_shape)


def _fields(part):
    return part.points, part.labels, part.chart, part.groups


def colour_of(data):
    """Classes if the labels are up to ten integers; else arc length of the chart; else labels."""
    labels = data.labels
    whole = labels is not None and (np.rint(labels) == labels).all()
    if whole and len(np.unique(labels)) <= CLASSES:
        return Colour(labels.astype(int), "label", True)
    if data.chart is not None and not data.groups.any():
        return Colour(data.chart[:, 0], "arc length", False)
    return None if labels is None else Colour(labels.astype(float), "label", False)


def embedded(points, seed=0):
    """t-SNE in the plane, (n, 2), of the first 50 principal components; PCA below 4 points."""
    n, dimension = points.shape
    if n < 4 or np.ptp(points, axis=0).max() == 0:
        return by_pca(points, 2)(points)
    if dimension > 50:
        points = principal(points, 50)
    start = by_pca(points, 2)(points)
    tsne = TSNE(
        perplexity=min(30, (n - 1) / 3), init=1e-4 * start / start.std(0).max(), random_state=seed
    )
    return tsne.fit_transform(points)


def side_by_side_chart(data, gap=GAP):
    """Ideal coordinates in the plane, (n, 2): pieces, which are unrelated, from left to right."""
    if data.chart is None:
        return None
    chart = by_pca(data.chart, 2)(data.chart)
    pieces = [data.groups == group for group in np.unique(data.groups)]
    space = gap * np.mean([np.ptp(chart[piece, 0]) for piece in pieces])
    right = 0.0
    for piece in pieces if len(pieces) > 1 else []:
        chart[piece, 0] += right - chart[piece, 0].min()
        right = chart[piece, 0].max() + space
    return chart


def colour_limit(scalar, points):
    """The 98th percentile of |R|, at least 10⁻³/L², L the diagonal of the box of the points."""
    finite = np.abs(scalar[np.isfinite(scalar)])
    square = np.sum(np.ptp(points, axis=0) ** 2)
    flat = 1e-3 / square if square > 0 else 1.0
    return float(max(np.percentile(finite, 98), flat)) if finite.size else flat


def latent_box(z, periodic):
    """((x0, x1), (y0, y1)) around the latents (n, 2) as a tensor; the whole torus if periodic."""
    if periodic:
        return z.new_tensor([[0, 1], [0, 1]])
    low, high = z.amin(0), z.amax(0)
    margin = MARGIN * (high - low).clamp_min(1e-3 * (high - low).max())
    margin = margin.clamp_min(1e-6 * (1 + z.abs().max()))  # all encoded to one point
    return torch.stack([low - margin, high + margin], dim=1)


@torch.no_grad()
def shared_ratio(modules, data):
    """Height to width of the boxes of runs, to be drawn beside each other; None if there is none.

    Their geometric mean, so that none grows more than the others; but a torus is drawn whole.
    """
    logs = []
    for module in modules:
        z, periodic = encoded(module.double(), data), is_periodic(module.autoencoder)
        if z.shape[1] != 2:
            continue
        if periodic:
            return 1.0
        width, height = latent_box(z, periodic).diff(dim=1)[:, 0]
        logs.append(torch.log(height / width).item())
    return float(np.exp(np.mean(logs)).clip(1 / LONGEST, LONGEST)) if logs else None


def shared_radius(views):
    """r of the ellipses on the maps of all views: the least there is; None if there is none."""
    radii = [view.map.radius for view in views if view.map is not None]
    return min((radius for radius in radii if radius > 0), default=None)


def of_ratio(box, ratio):
    """The least box around one, ((x0, x1), (y0, y1)), of this ratio of height to width."""
    if ratio is None:
        return box
    width, height = box.diff(dim=1)[:, 0]
    sides = torch.stack(
        [torch.maximum(width, height / ratio), torch.maximum(height, width * ratio)]
    )
    middle = box.mean(dim=1)
    return torch.stack([middle - sides / 2, middle + sides / 2], dim=1)
