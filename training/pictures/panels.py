"""Drawing one set of axes each."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

import curvcore
from training.pictures.insets import add_insets, pieces_of
from training.pictures.palette import (
    CURVATURE,
    FLOOR,
    FLOOR_LABEL,
    PLAIN,
    R_LABEL,
    STAGES,
    class_colours,
)
from training.text import printable

CONTINUOUS = "viridis"
STYLES = {"train": "o-", "val": "s--"}
BINS = 41


# --- colours --------------------------------------------------------------------------------------


def colour_options(colour):
    """The options of ``scatter`` that colour the points."""
    if colour is None:
        return {"color": PLAIN}
    if colour.discrete:
        of = class_colours(colour)
        return {"color": [of[value] for value in colour.values.tolist()]}
    return {"c": colour.values, "cmap": CONTINUOUS}


def explain_colours(figure, colour, axes):
    """A legend of the classes, or a colour bar, beside these axes of the figure."""
    if colour is None:
        return
    if not colour.discrete:
        norm = Normalize(colour.values.min(), colour.values.max())
        bar = ScalarMappable(norm, CONTINUOUS)
        figure.colorbar(bar, ax=axes, label=colour.name, shrink=0.6, aspect=30)
        return
    handles = [
        Line2D([], [], ls="", marker="o", color=code, label=str(value))
        for value, code in class_colours(colour).items()
    ]
    figure.legend(handles=handles, title=colour.name, loc="outside right center")


def explain_curvature(figure, limit, axes):
    """The colour bar of R beside these axes."""
    bar = ScalarMappable(Normalize(-limit, limit), CURVATURE)
    options = {"shrink": 0.6, "aspect": 30, "panchor": False}  # leave the axes anchored as they are
    figure.colorbar(bar, ax=axes, label=R_LABEL, extend="both", **options)


def literal(text):
    """The text as matplotlib shall draw it: its dollars are no mathematics."""
    return printable(text).replace("$", r"\$")


# --- points ---------------------------------------------------------------------------------------


def scatter_plane(ax, points, title, names, **colours):
    """Points (n, 2), one unit as long on both axes."""
    ax.scatter(*points.T, s=6, lw=0, rasterized=True, **colours)
    ax.set(title=title, xlabel=names[0], ylabel=names[1])
    ax.set_aspect("equal", adjustable="datalim")


# --- curvature ------------------------------------------------------------------------------------


def latents_on_map(ax, view, limit, **options):
    """Encoded points before the map of R, √det g and g; options of ``draw_curvature``."""
    curvcore.draw_curvature(view.map, ax, limit=limit, **options)
    ax.scatter(*view.latents.T, s=3, lw=0, color="0.25", alpha=0.5, zorder=2.5, rasterized=True)
    add_insets(ax, view.latents, pieces_of(view), **colour_options(view.colour))


def histogram(ax, view, limit, title):
    """How many points have which R; what lies beyond ±limit is in the outermost bins."""
    scalar = view.scalar[np.isfinite(view.scalar)]
    shown, norm = np.clip(scalar, -limit, limit), Normalize(-limit, limit)
    _, edges, bars = ax.hist(shown, BINS, range=(-limit, limit), ec="0.4", lw=0.6)
    for bar, middle in zip(bars, (edges[1:] + edges[:-1]) / 2, strict=True):
        bar.set_facecolor(colormaps[CURVATURE](norm(middle)))
    if scalar.size:
        median = np.median(scalar)
        label = f"median {median:.2g}"
        ax.axvline(np.clip(median, -limit, limit), color="black", ls="--", label=label)
        ax.legend()
    beyond, left_out = int((shown != scalar).sum()), len(view.scalar) - len(scalar)
    notes = [f"{beyond} points beyond, in the outermost bins"] if beyond else []
    notes += [f"{left_out} degenerate points left out"] if left_out else []
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set(title=title, ylabel="points", xlim=(-1.02 * limit, 1.02 * limit))
    ax.set_xlabel("\n".join([R_LABEL, *notes]))


# --- training -------------------------------------------------------------------------------------


def history(ax, name, stages, floor=None):
    """The values of one term, logarithmic where all are positive, and what it cannot fall below."""
    for stage, (epochs, values) in stages.items():
        if len(values):
            ax.plot(epochs, values, STYLES[stage], color=STAGES[stage], ms=3, label=stage)
    values = np.concatenate([values for _, values in stages.values()])
    if (values > 0).all():
        ax.set_yscale("log")
        if values.max() < 10 * values.min():  # no power of ten to write at an axis
            ax.yaxis.set(major_locator=MaxNLocator(5), minor_locator=NullLocator())
            ax.yaxis.set_major_formatter("{x:.3g}")
    if floor is not None:
        line = ax.axhline(floor, color=FLOOR, ls="--", lw=1.2, zorder=1, label=FLOOR_LABEL)
        ax.legend(handles=[line], fontsize="small")
    ax.set(title=literal(name), xlabel="epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(alpha=0.3)
