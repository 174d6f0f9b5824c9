"""Points of many dimensions, seen in two or three."""

from dataclasses import dataclass

import numpy as np

SIGHT = np.ones(3) / np.sqrt(3)  # from where planes that were opened are seen
ACROSS = np.array([[2, -1, -1] / np.sqrt(6), [0, 1, -1] / np.sqrt(2)])  # the picture's plane
GAP = 1.2  # between middles of pieces, in diameters of the widest, as they are seen
REACH = 0.98  # share of a piece that lies within its radius
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Projection:
    """y = (x − mean) A, then zeros up to ``width`` coordinates.

    Attributes:
        width: of y.
        mean, axes: (m,) and A (m, k) of orthonormal columns; None where y is x.
        how: in words; empty where y is x.
        letter: what the coordinates are called, before their numbers.
    """

    width: int
    mean: np.ndarray | None = None
    axes: np.ndarray | None = None
    how: str = ""
    letter: str = "x"

    def __call__(self, values):
        """(..., m) -> (..., width)."""
        seen = values if self.axes is None else (values - self.mean) @ self.axes
        return padded(seen, self.width)

    @property
    def names(self):
        """Of the coordinates."""
        return [f"{self.letter}{i + 1}" for i in range(self.width)]

    @property
    def opens(self):
        """Whether it is the one of :func:`space_of` that is to be seen along (1, 1, 1)."""
        return self.letter == "y"


def by_pca(points, width):
    """The Projection by the PCA of points (n, m) where m > width; else y is x."""
    if points.shape[1] <= width:
        return Projection(width)
    return Projection(width, points.mean(0), principal_axes(points, width), "PCA", "PC ")


def space_of(data):
    """How R^D is seen in three dimensions: by PCA, or so that the planes of all pieces are open.

    The latter where the data have several pieces, none of them on a line, and the plane that keeps
    least of its lengths along some direction keeps more of them than by PCA.
    """
    pca, pieces = by_pca(data.points, 3), []
    if data.groups is not None and data.dimension > 3:
        pieces = [data.points[data.groups == group] for group in np.unique(data.groups)]
    planes = [principal_axes(piece, 2) for piece in pieces]
    if len(pieces) < 2 or any(map(on_line, pieces, planes)):
        return pca
    axes = opening_axes(pieces, planes)
    if axes is None or least_kept(axes, planes) <= least_kept(pca.axes, planes):
        return pca
    how = "projection that opens the planes"
    return Projection(3, data.points.mean(0), axes, how, "y")


def on_line(piece, axes):
    """Whether points (n, m), whose first two principal axes are these, span no plane."""
    if axes.shape[1] < 2:
        return True
    first, second = np.ptp(piece @ axes, axis=0)
    return second <= ROUNDING * first


def least_kept(axes, planes):
    """The least singular value of Aᵀ Q_i, of all planes Q_i (m, 2): 0 if one is seen edge-on."""
    return min(np.linalg.svd(axes.T @ plane, compute_uv=False)[-1] for plane in planes)


def opening_axes(pieces, planes):
    """Axes (m, 3) that show the planes Q_i of pieces open from (1, 1, 1); None if there are none.

    P = Σ R_i Q_iᵀ + α E Cᵀ, its rows made orthonormal: (P Pᵀ)^{−1/2} P. R_i (3, 2) is a frame whose
    normal has angle arccos 1/√3 with the line of sight. k ≥ 3 of them, evenly about it, have
    Σ R_i R_iᵀ = 2k/3 I: planes that are orthogonal then are discs, but for α. Of three the normals
    are the axes of space. C (m, 2) spans the plane of the pieces' middles as well as can be, and
    E (3, 2) that of the picture, turned so that each piece lies where its normal points. α ≤ 1 is
    as large as leaves the pieces apart, by GAP.
    """
    middles = np.stack([piece.mean(0) for piece in pieces])
    span = principal_axes(middles, 2)[:, : len(pieces) - 1]
    places = padded((middles - middles.mean(0)) @ span, 2)
    angles, turn = evenly_around(places)
    embedding = ACROSS.T @ turn
    total = needed_share(pieces, places) * embedding[:, : span.shape[1]] @ span.T
    for angle, plane in zip(angles, planes, strict=True):
        total = total + tilted_frame(angle) @ plane.T
    left, values, right = np.linalg.svd(total, full_matrices=False)
    return None if values[-1] < ROUNDING * values[0] else (left @ right).T


def evenly_around(places):
    """Angles 2πj/k for places (k, 2) in their order around, and the turn (2, 2) that fits best."""
    order = np.argsort(np.arctan2(places[:, 1], places[:, 0]))
    angles = 2 * np.pi * np.argsort(order) / len(places)
    s = -np.angle(places @ [1, 1j] @ np.exp(-1j * angles))
    return angles, np.array([[np.cos(s), -np.sin(s)], [np.sin(s), np.cos(s)]])


def tilted_frame(angle):
    """Two orthonormal columns (3, 2), whose normal is SIGHT tilted by arccos 1/√3 at this angle."""
    outward, along = (np.array([np.cos(t), np.sin(t)]) @ ACROSS for t in (angle, angle + np.pi / 2))
    return np.stack([along, np.sqrt(2 / 3) * SIGHT - np.sqrt(1 / 3) * outward], axis=1)


def needed_share(pieces, places):
    """α: times the distances of places (k, 2), GAP diameters of the widest piece; 1 at most."""
    radius = max(
        np.quantile(np.linalg.norm(piece - piece.mean(0), axis=1), REACH) for piece in pieces
    )
    between = np.linalg.norm(places[:, None] - places[None], axis=2)
    least = between[np.triu_indices(len(places), 1)].min()
    return GAP * 2 * radius / max(least, GAP * 2 * radius)


def principal_axes(points, count):
    """The first right singular vectors of the centred points (n, m), at most ``count``: (m, k)."""
    return np.linalg.svd(points - points.mean(0), full_matrices=False)[2][:count].T


def principal(points, count):
    """The first principal components of points (n, m), at most ``count``: (n, k)."""
    return (points - points.mean(0)) @ principal_axes(points, count)


def padded(values, width):
    """With columns of zeros, up to ``width`` columns."""
    missing = max(0, width - values.shape[-1])
    return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, missing)])
