"""Boxes of a region, and what is known of each."""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch

import curvcore
from verification.regions.geometry import curvature_on, frames_of, points_of
from verification.regions.models import U, norm, up
from verification.regions.monomials import monomials

INTEGRALS = ("volume", "total_curvature", "total_squared_curvature")


@dataclass(frozen=True, eq=False)
class Cells:
    """N boxes in [−1, 1]^d, which a region is mapped to.

    Attributes:
        centres, halves: dyadic numbers, exact in floating point, (N, d).
        scalar, density: bounds of R and √det g, (N, 2); infinite where there are none.
        means, errors: of √det g, R √det g and R² √det g over the box, and how far off these may be,
            (N, 3).
        widest: along which axes it is to be halved, (N, d).
    """

    centres: np.ndarray
    halves: np.ndarray
    scalar: np.ndarray
    density: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    widest: np.ndarray

    def __len__(self):
        return len(self.centres)

    def arrays(self):
        """All arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def of(self, chosen):
        """Some of them."""
        return Cells(*(array[chosen] for array in self.arrays().values()))

    @classmethod
    def joined(cls, cells):
        """All of them, after one another."""
        parts = zip(*(one.arrays().values() for one in cells), strict=True)
        return cls(*map(np.concatenate, parts))

    @property
    def are_regular(self):
        """Where √det g > 0 and the integrals are known: (N,)."""
        return (self.density[:, 0] > 0) & np.isfinite(self.errors).all(1)

    def shares(self):
        """Of the region's volume, (N,)."""
        return self.halves.prod(1)


def whole(d, boxes):
    """Centres and halves of equal boxes, about so many."""
    along = 2 ** max(0, round(np.log2(boxes) / d))
    axis = (2 * np.arange(along) + 1) / along - 1
    centres = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), -1).reshape(-1, d)
    return centres, np.full_like(centres, 1 / along)


def halved(cells):
    """Centres and halves of the parts of cells, along the axes that are ``widest``."""
    centres, halves, widest = cells.centres, cells.halves, cells.widest
    for i in range(centres.shape[1]):
        split = widest[:, i]
        half = np.where(split, halves[:, i] / 2, halves[:, i])
        parts = []
        for sign in (-1, 1):
            moved = centres.copy()
            moved[:, i] += np.where(split, sign * half, 0)
            kept = split if sign > 0 else slice(None)
            smaller = halves.copy()
            smaller[:, i] = half
            parts.append((moved[kept], smaller[kept], widest[kept]))
        centres, halves, widest = (np.concatenate(part) for part in zip(*parts, strict=True))
    return centres, halves


def examined(decoder, root, degree, centres, halves):
    """The Cells of these centres and halves (N, d).

    Args:
        root: (d, 2), what [−1, 1]^d stands for.
        degree: of the Taylor models.
    """
    basis = monomials(centres.shape[1], degree)
    points = points_of(root, *map(torch.from_numpy, (centres, halves)), basis)
    with torch.no_grad():
        metric = curvcore.metric(decoder, points.middle)
        scalar, density = curvature_on(decoder, points, frames_of(metric))
        first = scalar * density
        integrands = density, first, scalar * first
        means, errors = (torch.stack(part, 1) for part in zip(*map(_mean, integrands), strict=True))
        bounds = (torch.stack(_bounds(x), 1) for x in (scalar, density))
    parts = (*bounds, means, errors)
    return Cells(centres, halves, *(x.numpy() for x in parts), _widest(metric, root, halves))


def _bounds(models):
    low, high = models.bounds()
    regular = models.is_finite()
    return torch.where(regular, low, -torch.inf), torch.where(regular, high, torch.inf)


def _mean(models):
    """Of a model over its box: the mean of the polynomial, and how far off it may be."""
    count = len(models.coefficients)
    shares = models.basis.means[:count]
    weighed = models.coefficients[shares > 0] / shares[shares > 0][:, None]
    rounding = 2 * (count + 4) * U * norm(weighed)
    error = up(models.radius + rounding, count)
    regular = models.is_finite()
    return (
        torch.where(regular, weighed.sum(0), 0),
        torch.where(regular, error, torch.inf),
    )


def _widest(metric, root, halves):
    """Axes along which a box is at least half as long, at its middle, as along any: (N, d)."""
    sides = torch.from_numpy(halves) * (root[:, 1] - root[:, 0])
    lengths = sides * metric.diagonal(dim1=1, dim2=2).sqrt()
    widest = lengths >= lengths.amax(1, keepdim=True) / 2
    return torch.where(widest.any(1, keepdim=True), widest, True).numpy()


def integral(cells, root, name):
    """Ends of the integral of that name over the region: (low, high)."""
    k = INTEGRALS.index(name)
    shares = cells.shares()
    if not np.isfinite(cells.errors[:, k]).all():
        return (-math.inf if k == 1 else 0.0), math.inf
    middle, radius = math.fsum(cells.means[:, k] * shares), math.fsum(cells.errors[:, k] * shares)
    radius += 4 * U * (math.fsum(np.abs(cells.means[:, k]) * shares) + radius) + 1e-290
    sizes = (root[:, 1] - root[:, 0]).tolist()
    volume = math.prod(sizes)
    off = 4 * (len(sizes) + 2) * U * volume * (abs(middle) + radius)
    middle, radius = middle * volume, radius * volume * (1 + 8 * U) + off
    low, high = middle - radius, middle + radius
    return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
