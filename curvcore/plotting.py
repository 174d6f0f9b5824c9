"""Pictures of a latent plane: R, √det g and the metric's own circles over a box.

Computing and drawing are apart: :func:`curvature_map` makes a :class:`CurvatureMap` of numpy
arrays, :func:`draw_curvature` draws one, :func:`plot_curvature` does both. Drawing needs
matplotlib, which is imported by these functions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from curvcore.api import pullback
from curvcore.display import Displayed
from curvcore.errors import CurvatureError, DecoderError, InputError
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.providers.outputs import ambient_dimension
from curvcore.types import Decoder
from curvcore.validation import check_decoder

COLOURS = "RdBu_r"  # for R: diverging, told apart by the colour-blind, red where R > 0
GREEN = "#00674C"  # for √det g
PERCENTILE = 98  # of |R|, where the colours end
FLAT = 1e-3  # |R| L² that counts as none, L the diagonal of the decoded box
LARGEST, LEAST = 0.85, 0.25  # share of its cell that the largest, the median ellipse fills
CHUNK, ENTRIES = 4096, 2**25  # points at a time, and numbers in their derivatives


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureMap(Displayed):
    """The geometry of a decoder of two latent coordinates over a box, as float64 arrays.

    R, √det g and the eigenvalues are NaN where the metric is degenerate.

    Attributes:
        x, y: nodes, from edge to edge of the box, (n,) each.
        value: Ψ at the nodes, (n, n, D); rows go with y.
        scalar: R, (n, n).
        error: what rounding may have done to R, |R| · ``scalar_relative_error``, (n, n).
        volume_density: √det g, (n, n).
        eigenvalues: of g, ascending, (n, n, 2).
        centres: where the ellipses are, (k, 2), in the middle of cells that tile the box.
        metric: g there, (k, 2, 2); only those where it is regular are kept.
        cell: width and height of such a cell.
    """

    x: np.ndarray
    y: np.ndarray
    value: np.ndarray
    scalar: np.ndarray
    error: np.ndarray
    volume_density: np.ndarray
    eigenvalues: np.ndarray
    centres: np.ndarray
    metric: np.ndarray
    cell: tuple[float, float]

    @property
    def limit(self) -> float:
        """Where the colours end: the 98th percentile of |R|, and more than 0 if R is constant.

        No less than 10⁻³/L², L the diagonal of the decoded box, and ten times what rounding did to
        R: the rounding errors of a flat surface are no curvature to look at.
        """
        values = self.value[np.isfinite(self.value).all(axis=2)]
        square = np.sum(np.ptp(values, axis=0) ** 2) if len(values) else 0.0
        flat = FLAT / square if square > 0 else 0.0
        return max(_percentile(np.abs(self.scalar)), 10 * _percentile(self.error), flat) or 1.0

    @property
    def radius(self) -> float:
        """r of the ellipses {v : g(v, v) = r²}, one for all, in the decoder's unit of length.

        An ellipse reaches r √g^{ii} along coordinate i. So r is the largest for which each stays in
        its cell, unless the median one could then be four times as large: such extreme points
        do not count, and ellipses that are larger than their cells there are left out.
        """
        if len(self.metric) == 0:
            return 0.0
        return LARGEST * max(self._fitting.min(), LEAST * np.median(self._fitting))

    @property
    def ellipses(self) -> np.ndarray:
        """Rows (centre, semi-axes, angle in degrees of the first): (k, 5), those that fit.

        With g = Σ λ_i e_i e_iᵀ the semi-axes of {v : g(v, v) = r²} are r/√λ_i, along e_i.
        """
        return self.ellipses_of(self.radius)

    def ellipses_of(self, radius: float) -> np.ndarray:
        """The ``ellipses`` for another r than ``radius``, to compare maps."""
        fits = self._fitting >= radius
        eigenvalues, vectors = np.linalg.eigh(self.metric[fits])
        semi_axes = radius / np.sqrt(eigenvalues)
        angle = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
        return np.column_stack([self.centres[fits], semi_axes, angle])

    @property
    def _fitting(self):
        """The largest r for which each ellipse stays in its cell: (k,)."""
        reach = np.sqrt(np.linalg.inv(self.metric).diagonal(axis1=1, axis2=2))
        return (np.array(self.cell) / 2 / reach).min(axis=1)

    def levels(self, count: int) -> np.ndarray:
        """At most ``count`` levels of √det g in geometric progression, none if it is constant."""
        density = self.volume_density[np.isfinite(self.volume_density)]
        if count == 0 or density.size == 0:
            return np.empty(0)
        low, high = np.quantile(density, [0.02, 0.98])
        inner = np.geomspace(low, high, count + 2)[1:-1]
        levels = np.unique([float(f"{level:.3g}") for level in inner])
        return levels[(levels > low) & (levels < high)] if high > 1.01 * low else np.empty(0)


def _percentile(values):
    """The 98th, of those that are finite; 0 if none is."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, PERCENTILE)) if finite.size else 0.0


# --- computing ------------------------------------------------------------------------------------


def curvature_map(
    decoder: Decoder, box: Any, resolution: int = 100, ellipses: int = 8
) -> CurvatureMap:
    """The :class:`CurvatureMap` of a decoder (B, 2) -> (B, ...) over a box of latent points.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        box: ((x0, x1), (y0, y1)). A tensor (2, 2) tells the dtype and device to compute in as
            well; else they are those of the decoder's parameters, or torch's defaults.
        resolution: nodes along each side, 2 at least.
        ellipses: cells along the longer side, in each of which there is an ellipse; 0 for none.

    Raises:
        InputError: an empty box, or one that is not of a plane; a number that is none.
        DecoderError: the decoder does not take points of a plane. And those of ``pullback``.
    """
    _check_count("resolution", resolution, 2)
    _check_count("ellipses", ellipses, 0)
    corners = _checked_box(box)
    (x, y), sides = np.linspace(*corners.T, resolution).T, np.diff(corners)[:, 0]
    counts = np.maximum(1, np.rint(ellipses * sides / sides.max()).astype(int)) * (ellipses > 0)
    cell = sides / np.maximum(counts, 1)
    middles = [
        low + size * (np.arange(n) + 0.5)
        for n, low, size in zip(counts, corners[:, 0], cell, strict=True)
    ]
    centres = _grid(*middles)
    points = torch.from_numpy(np.concatenate([_grid(x, y), centres])).to(**_options(decoder, box))
    value, scalar, error, density, metric = _geometry(decoder, points)
    n, shape = resolution**2, (resolution, resolution)
    regular = np.isfinite(density)
    eigenvalues = np.full((n, 2), np.nan)
    eigenvalues[regular[:n]] = np.linalg.eigvalsh(metric[:n][regular[:n]])
    return CurvatureMap(
        x,
        y,
        value[:n].reshape(*shape, -1),
        scalar[:n].reshape(shape),
        error[:n].reshape(shape),
        density[:n].reshape(shape),
        eigenvalues.reshape(*shape, 2),
        centres[regular[n:]],
        metric[n:][regular[n:]],
        tuple(cell.tolist()),
    )


def _grid(x, y):
    """All (x_j, y_i), (len(y) · len(x), 2), x fastest."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


@torch.no_grad()
def _geometry(decoder, z):
    """Ψ, R, its error, √det g and g at z, as arrays; of a piece only this much is kept."""
    _check_takes_planes(decoder, z)
    pieces, numbers = [], 6 * ambient_dimension(decoder, z)  # of Ψ, ∂Ψ and ∂²Ψ
    with one_warning_of_kinks():
        for piece in z.split(min(CHUNK, max(1, ENTRIES // numbers))):
            geometry = pullback(decoder, piece, on_degenerate="nan")
            error = geometry.scalar.abs() * geometry.scalar_relative_error
            kept = (
                geometry.value,
                geometry.scalar,
                error,
                geometry.volume_density,
                geometry.metric,
            )
            pieces.append([tensor.cpu().double().numpy() for tensor in kept])
    return [np.concatenate(part) for part in zip(*pieces, strict=True)]


def _options(decoder, box):
    """dtype and device to compute in."""
    module = decoder if isinstance(decoder, torch.nn.Module) else getattr(decoder, "__self__", None)
    like = [box] if isinstance(box, torch.Tensor) and box.is_floating_point() else []
    if not like and isinstance(module, torch.nn.Module):
        like = [p for p in module.parameters() if p.is_floating_point()]
    tensor = like[0] if like else torch.empty(0)
    return {"dtype": tensor.dtype, "device": tensor.device}


def _checked_box(box):
    try:
        array = box.detach().cpu().numpy() if isinstance(box, torch.Tensor) else box
        corners = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"box must be ((x0, x1), (y0, y1)), numbers; got {box!r}.") from error
    if corners.shape != (2, 2):
        raise InputError(
            f"box must be ((x0, x1), (y0, y1)): a map is of a plane, d = 2; got shape "
            f"{corners.shape}. For other d take scalar_curvature at points."
        )
    if not (np.isfinite(corners).all() and (corners[:, 0] < corners[:, 1]).all()):
        raise InputError(f"box must be finite with x0 < x1 and y0 < y1; got {corners.tolist()}.")
    return corners


def _check_count(name, number, least):
    if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
        raise InputError(f"{name} must be an integer, {least} or more; got {number!r}.")


def _check_takes_planes(decoder, z):
    """Raise DecoderError if the decoder cannot be called on a point of the plane."""
    check_decoder(decoder, z)
    try:
        decoder(z[:1])
    except CurvatureError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise DecoderError(
            f"The decoder does not take z of shape (1, 2) and {z.dtype}: {reason} A map needs two "
            "latent coordinates, d = 2; a box that is a tensor tells the dtype."
        ) from error


# --- drawing --------------------------------------------------------------------------------------


def plot_curvature(
    decoder: Decoder,
    box: Any,
    *,
    resolution: int = 100,
    ax: Any = None,
    ellipses: int = 8,
    contours: int | Sequence[float] = 5,
) -> Any:
    """Draw R, √det g and Tissot's ellipses of the pullback metric over a box of latent points.

    A heat map of R, its colours symmetric about 0 and ending at the 98th percentile of |R|;
    contours of √det g, labelled; and the ellipses {v : g(v, v) = r²}, which all decode to circles
    of one radius r, to first order: long where the decoder stretches little. Hatched where the
    metric is degenerate. Needs matplotlib: ``pip install 'curvcore[plots]'``.

    Args:
        decoder, box, resolution, ellipses: as in :func:`curvature_map`.
        ax: matplotlib axes; None makes a figure.
        contours: how many levels of √det g, or the levels.

    Returns:
        The axes.
    """
    contours = _checked_contours(contours)
    drawn = curvature_map(decoder, box, resolution, ellipses)
    return draw_curvature(drawn, _new_axes() if ax is None else ax, contours=contours)


def draw_curvature(
    drawn: CurvatureMap,
    ax: Any,
    *,
    contours: int | Sequence[float] = 5,
    limit: float | None = None,
    radius: float | None = None,
    colour_bar: bool = True,
) -> Any:
    """Draw a :class:`CurvatureMap` on axes, as :func:`plot_curvature` does; returns the axes.

    Args:
        drawn: the map.
        ax: matplotlib axes.
        contours: how many levels of √det g, or the levels.
        limit: where the colours end, to compare maps; None is the map's own.
        radius: r of the ellipses, in the decoder's unit of length, to compare maps; None is the
            map's own. Ellipses that are larger than their cells are left out.
        colour_bar: whether there is one.
    """
    contours, limit = _checked_contours(contours), drawn.limit if limit is None else limit
    radius = drawn.radius if radius is None else _checked_radius(radius)
    ax.patch.set(facecolor="white", edgecolor="0.6", hatch="////")  # shows where R is masked
    mesh = ax.pcolormesh(
        drawn.x, drawn.y, np.ma.masked_invalid(drawn.scalar), cmap=COLOURS, vmin=-limit,
        vmax=limit, shading="nearest", rasterized=True,
    )  # fmt: skip
    if colour_bar:
        beside = ax.inset_axes([1.03, 0, 0.04, 1])  # as high as the map, whatever its shape
        ax.figure.colorbar(mesh, cax=beside, label="R [1/length²]", extend="both")
    levels = drawn.levels(contours) if isinstance(contours, Integral) else contours
    _draw_contours(drawn, ax, levels)
    _draw_ellipses(drawn, ax, radius)
    ax.set(xlim=drawn.x[[0, -1]], ylim=drawn.y[[0, -1]], xlabel="$z_1$", ylabel="$z_2$")
    ax.set_aspect("equal")
    ax.set_title(_key(drawn, levels, radius), fontsize="medium")
    return ax


def _draw_contours(drawn, ax, levels):
    from matplotlib import patheffects

    density = drawn.volume_density[np.isfinite(drawn.volume_density)]
    if density.size == 0 or not any(density.min() < level < density.max() for level in levels):
        return
    masked = np.ma.masked_invalid(drawn.volume_density)
    lines = ax.contour(drawn.x, drawn.y, masked, levels, colors=GREEN, linewidths=1, zorder=2)
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    for label in ax.clabel(lines, fmt="%.3g", fontsize="small", zorder=4):
        label.set(path_effects=halo)


def _draw_ellipses(drawn, ax, radius):
    from matplotlib.patches import Ellipse

    for x, y, a, b, angle in drawn.ellipses_of(radius):
        ax.add_patch(
            Ellipse((x, y), 2 * a, 2 * b, angle=angle, fill=False, lw=1.1, ec="black", zorder=3)
        )


def _key(drawn, levels, radius):
    """What the lines are."""
    density = drawn.volume_density[np.isfinite(drawn.volume_density)]
    if density.size == 0:
        return "g is degenerate in the whole box"
    constant = np.ptp(density) <= 0.01 * density.max()
    lines = [f"√det g ≈ {np.median(density):.3g}"] if constant else []
    lines += ["green: √det g"] if len(levels) and not constant else []
    lines += [f"black: g(v, v) = r², r = {radius:.2g}"] if len(drawn.metric) else []
    return "\n".join(lines)


def _checked_contours(contours):
    """A count, or sorted levels."""
    if isinstance(contours, Integral) and not isinstance(contours, bool) and contours >= 0:
        return contours
    try:
        levels = np.unique(np.array(contours, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.full(1, np.nan)
    if np.ndim(contours) != 1 or not np.isfinite(levels).all():
        raise InputError(f"contours must be a count or a list of levels; got {contours!r}.")
    return levels


def _checked_radius(radius):
    """A length that is positive and finite."""
    if isinstance(radius, bool) or not isinstance(radius, Real) or not 0 < radius < np.inf:
        raise InputError(f"radius must be a positive number; got {radius!r}.")
    return float(radius)


def _new_axes():
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "plot_curvature needs matplotlib: pip install 'curvcore[plots]'"
        ) from error
    return pyplot.subplots(layout="constrained")[1]
