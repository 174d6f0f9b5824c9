"""Pieces of the latents that are specks, once more in a corner, larger.

A piece is a class, of points that are coloured by classes, or else a piece of the chart. It is a
speck if the box of the middle 90 % of its coordinates is less than 8 % as long as that of all
points, outliers included; each of the first four specks has an inset.
"""

from itertools import permutations

import numpy as np

SPECK, MIDDLE = 0.08, (0.05, 0.95)
MOST, SIZE, PAD = 4, 0.28, 0.02  # insets, and parts of the axes
ROOM = 0.25  # around the points, of their extent: for insets
BEHIND = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}  # its title
TINY = 1e-9  # half of what an inset shows of a speck that is one point
CORNERS = [(x, y) for y in (PAD, 1 - SIZE - PAD) for x in (PAD, 1 - SIZE - PAD)]


def pieces_of(view):
    """Classes or pieces of the chart, (n,); None if there are neither."""
    if view.colour is not None and view.colour.discrete:
        return view.colour.values
    return view.data.groups


def specks(points, pieces):
    """Boxes ((x0, x1), (y0, y1)) of the middles of those pieces of points (n, 2) that are specks.

    Args:
        points: in the plane.
        pieces: the number of each one's piece, (n,), or None.
    """
    numbers = [] if pieces is None else np.unique(pieces)
    if len(numbers) < 2:
        return []
    boxes = [np.quantile(points[pieces == number], MIDDLE, axis=0).T for number in numbers]
    least = SPECK * np.ptp(points, axis=0).max()
    return [box for box in boxes if np.ptp(box, axis=1).max() < least][:MOST]


def add_insets(ax, points, pieces, **colours):
    """Insets of the specks among points (n, 2), which are on these axes, in the emptiest corners.

    Each shows a square twice as long as the speck's middle, and says how long that is.
    """
    found = specks(points, pieces)
    if not found:
        return
    ax.margins(ROOM)
    ax.autoscale_view()
    ax.apply_aspect()
    for box, corner in zip(found, _corners(ax, points, found), strict=True):
        middle, half = box.mean(axis=1), max(np.ptp(box, axis=1).max(), TINY)
        inset = ax.inset_axes([*corner, SIZE, SIZE], zorder=6)
        inset.scatter(*points.T, s=6, lw=0, rasterized=True, **colours)
        inset.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half])
        inset.set(xticks=[], yticks=[], aspect="equal")
        inset.set_title(f"{2 * half:.2g} wide", fontsize="x-small", y=0, pad=2, bbox=BEHIND)
        ax.indicate_inset_zoom(inset, edgecolor="0.3", alpha=1)


def _corners(ax, points, boxes):
    """A corner for each box: together they cover the fewest points, and are nearest."""
    places, middles = (
        ax.transAxes.inverted().transform(ax.transData.transform(at))
        for at in (points, [box.mean(axis=1) for box in boxes])
    )

    def cost(corners):
        centres = np.array(corners) + SIZE / 2
        covered = (np.abs(places[:, None] - centres) < SIZE / 2).all(axis=2).sum()
        return covered, np.linalg.norm(middles - centres, axis=1).sum()

    return min(permutations(CORNERS, len(boxes)), key=cost)
