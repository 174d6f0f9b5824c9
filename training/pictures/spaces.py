"""Drawing axes in three dimensions, one unit as long on all."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import proj3d

from training.pictures.palette import CURVATURE

FILLED = np.array([0.88, 0.8])  # of the axes by the box: room is left for names of its sides
EDGES = (0.8, 0.8, 0.8, 1)  # colour of the lines on a surface, of the faces' colour
FLATTEST = 0.2  # least half extent of a box, of its largest extent
ABOVE = 0.03  # the title, of the height of the axes
SIGHT = {"elev": 20, "azim": -65}  # degrees
DIAGONAL = {"elev": np.degrees(np.arctan(np.sqrt(0.5))), "azim": 45}  # from (1, 1, 1)


def scatter_space(ax, points, title, space, **colours):
    """Points (n, 3), as a Projection shows them."""
    ax.scatter(*points.T, s=6, lw=0, depthshade=False, rasterized=True, **colours)
    _frame(ax, points, title, space)


def surface(ax, view, limit, title):
    """The decoded box of latents, coloured by R; grey where the metric is degenerate."""
    norm, colours = Normalize(-limit, limit), colormaps[CURVATURE].with_extremes(bad="0.6")
    faces = colours(norm(np.ma.masked_invalid(view.map.scalar)))
    drawn = ax.plot_surface(
        *np.moveaxis(view.surface, -1, 0), facecolors=faces, rstride=1, cstride=1, linewidth=0.3,
        shade=False, rasterized=True,
    )  # fmt: skip
    drawn.set_edgecolor(faces[:-1, :-1].reshape(-1, 4) * EDGES)
    _frame(ax, view.surface.reshape(-1, 3), title, view.space)


def _frame(ax, points, title, space):
    """Limits, names and title; the box fills the axes, whatever its shape."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    half = np.maximum((high - low) / 2, FLATTEST * max((high - low).max(), 1e-9))
    middle = (low + high) / 2
    for axis, name, centre, extent in zip("xyz", space.names, middle, half, strict=True):
        ax.set(**{f"{axis}lim": (centre - extent, centre + extent)})
        getattr(ax, f"set_{axis}label")(name, labelpad=0)
        ax.tick_params(axis, pad=0)
        getattr(ax, f"{axis}axis").set_major_locator(MaxNLocator(3))
    ax.view_init(**(DIAGONAL if space.opens else SIGHT))
    ax.set_box_aspect(half / half.max())
    ax.set_box_aspect(half / half.max(), zoom=(FILLED / np.ptp(seen_box(ax), axis=0)).min())
    ax.set_title(title, y=0)  # which set_title scales in three dimensions
    ax.title.set_y(seen_box(ax)[:, 1].max() + ABOVE)


def seen_box(ax):
    """Where the corners of the box are seen, in parts of the axes, (8, 2)."""
    limits = (ax.get_xlim3d(), ax.get_ylim3d(), ax.get_zlim3d())
    x, y, _ = proj3d.proj_transform(*map(np.ravel, np.meshgrid(*limits)), ax.get_proj())
    return ax.transAxes.inverted().transform(ax.transData.transform(np.stack([x, y], axis=1)))
