"""Whole figures: of one run, or of two side by side."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.pictures import panels, spaces
from training.pictures.insets import add_insets, pieces_of
from training.pictures.palette import CURVATURE, PLAIN
from training.pictures.views import MOST_LATENTS, shared_radius

LONG = 25  # letters, which have a line of the title for themselves
WIDTH = 9  # inches, as all of these
PANEL, SPACE, HISTOGRAM = 4.1, 3.7, 2.4  # width of a column of two, heights of its lower rows
APART = 0.05  # of the width: limits that an aspect widens have longer labels than were laid out
AROUND = 2.9  # for titles and names of axes


def figures_of(view):
    """name -> Figure, of a View. Without a log there is no figure of the training."""
    figures = {
        "data": four_panels(view),
        "latent": latent(view),
        "surface": decoded(view),
        "curvature": curvature(view),
    }
    return figures | ({"training": training(view)} if view.curves else {})


def four_panels(view):
    """The data in space, their t-SNE, the latents, and the ideal chart if there is one."""
    count = 3 if view.chart is None else 4
    size, ratios = (
        ((1.2 * WIDTH, 4), (1.3, 1, 1)) if count == 3 else ((WIDTH, 0.85 * WIDTH), (1, 1))
    )
    figure = Figure(size, layout=ConstrainedLayoutEngine(wspace=APART))
    grid = figure.add_gridspec(count // len(ratios), len(ratios), width_ratios=ratios)
    first = figure.add_subplot(grid[0], projection="3d")
    others = [figure.add_subplot(grid[i]) for i in range(1, count)]
    colours = panels.colour_options(view.colour)
    how = f" ({view.space.how})" if view.space.how else ""
    spaces.scatter_space(first, view.ambient, f"data{how}", view.space, **colours)
    panels.scatter_plane(others[0], view.embedding, "t-SNE", ("", ""), **colours)
    others[0].set(xticks=[], yticks=[])  # in no unit
    _latent_plane(others[1], view, colours)
    if view.chart is not None:
        pieces = len(np.unique(view.data.groups)) > 1
        title = f"ideal chart{' (pieces side by side)' if pieces else ''}"
        panels.scatter_plane(others[2], view.chart, title, ("$u_1$", "$u_2$"), **colours)
    panels.explain_colours(figure, view.colour, [first, *others])
    figure.suptitle(
        f"{panels.literal(view.name)}: {panels.literal(view.data.name)}, {len(view.data)} points"
    )
    return figure


def _latent_plane(ax, view, colours):
    d = view.latents.shape[1]
    names = ("PC 1", "PC 2") if d > 2 else ("$z_1$", "$z_2$" if d == 2 else "")
    title = f"autoencoder latents{f' (PCA of {d})' if d > 2 else ''}"
    points = view.plane(view.latents)
    panels.scatter_plane(ax, points, title, names, **colours)
    add_insets(ax, points, pieces_of(view), **colours)


def latent(view):
    """The latents on the map of their curvature; for d ≠ 2 a plot of every pair of coordinates."""
    if view.map is None:
        return pairs(view)
    width, height = np.ptp(view.map.x), np.ptp(view.map.y)
    figure = Figure(
        (WIDTH, np.clip(0.8 * WIDTH * height / width + 1.5, 3.5, 9)), layout="constrained"
    )
    ax = figure.add_subplot()
    panels.latents_on_map(ax, view, view.limit)
    ax.set_title(f"{panels.literal(view.name)}: latent space\n{ax.get_title()}", fontsize="medium")
    return figure


def pairs(view):
    """Every pair of the first five latent coordinates, and the histogram of each."""
    z = view.latents[:, :MOST_LATENTS]
    count = z.shape[1]
    figure = Figure((2 + 2.2 * count,) * 2, layout="constrained")
    grid = figure.subplots(count, count, squeeze=False)
    colours = panels.colour_options(view.colour)
    for row, column in np.ndindex(count, count):
        ax, names = grid[row, column], (f"$z_{column + 1}$", f"$z_{row + 1}$")
        if row < column:
            ax.remove()
        elif row == column:
            ax.hist(z[:, row], 30, color=PLAIN)
            ax.set(xlabel=names[0], ylabel="points")
        else:
            panels.scatter_plane(ax, z[:, [column, row]], "", names, **colours)
    if count > 1:
        panels.explain_colours(figure, view.colour, figure.axes)
    d = view.latents.shape[1]
    shown = f", the first {count} of {d}" if count < d else ""
    figure.suptitle(f"{panels.literal(view.name)}: latent coordinates{shown}")
    return figure


def decoded(view):
    """The decoded surface in space, coloured by R; for d ≠ 2 the reconstructed points."""
    figure = Figure((8, 7), layout="constrained")
    ax = figure.add_subplot(projection="3d")
    _decoded(ax, view, view.limit, f"{panels.literal(view.name)}: {_what(view)}")
    panels.explain_curvature(figure, view.limit, ax)
    return figure


def _what(view):
    what = "reconstructions" if view.map is None else "decoded latent box"
    how = view.space.how and f" ({view.space.how}{'' if view.space.opens else ' of the data'})"
    return f"{what}{how}" if len(how) < LONG else f"{what}\n{how.strip()}"


def _decoded(ax, view, limit, title):
    if view.map is not None:
        spaces.surface(ax, view, limit, title)
        return
    colours = {"c": view.scalar, "cmap": CURVATURE, "vmin": -limit, "vmax": limit}
    spaces.scatter_space(ax, view.reconstruction, title, view.space, **colours)


def curvature(view):
    """The histogram of R at the encoded points."""
    figure = Figure((7, 4.5), layout="constrained")
    panels.histogram(
        figure.add_subplot(), view, view.limit, f"{panels.literal(view.name)}: R at encoded points"
    )
    return figure


def training(view):
    """The loss and every term against the epoch."""
    columns = 2 if len(view.curves) == 4 else min(3, len(view.curves))
    rows = -(-len(view.curves) // columns)
    figure = Figure((1 + 3.2 * columns, 0.6 + 2.7 * rows), layout="constrained")
    for place, (name, stages) in enumerate(view.curves.items(), start=1):
        panels.history(
            figure.add_subplot(rows, columns, place), name, stages, view.floors.get(name)
        )
    figure.axes[0].legend()
    figure.suptitle(f"{panels.literal(view.name)}: training")
    return figure


def side_by_side(first, second):
    """Two runs, a column each: latents, decoded surface, histogram of R.

    Colours are the same, and so is r of the ellipses: the lesser one of the two maps. The maps fill
    their places where their boxes are of one shape, as those of ``views_of`` are.
    """
    limit, radius = max(first.limit, second.limit), shared_radius([first, second])
    heights = [PANEL * max(map(_ratio, (first, second))), SPACE, HISTOGRAM]
    figure = Figure((1.2 * WIDTH, sum(heights) + AROUND), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=heights)
    for column, view in enumerate((first, second)):
        top = figure.add_subplot(grid[0, column])
        if view.map is None:
            _latent_plane(top, view, panels.colour_options(view.colour))
        else:
            panels.latents_on_map(top, view, limit, radius=radius, colour_bar=False)
        top.set_anchor("N")
        top.set_title(f"{panels.literal(view.name)}\n{top.get_title()}", fontsize="medium")
        _decoded(figure.add_subplot(grid[1, column], projection="3d"), view, limit, _what(view))
        panels.histogram(figure.add_subplot(grid[2, column]), view, limit, "R at encoded points")
    panels.explain_curvature(figure, limit, figure.axes)
    return figure


def _ratio(view):
    """Height to width of the picture of the latents."""
    return 1 if view.map is None else np.clip(np.ptp(view.map.y) / np.ptp(view.map.x), 0.2, 4)
