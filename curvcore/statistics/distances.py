"""Distances between all pairs of points, and nearest neighbours."""

from dataclasses import dataclass

import torch

from curvcore.display import Displayed
from curvcore.maps import checked
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.statistics.checks import (
    check_scipy,
    check_tolerance,
    checked_limits,
    checked_others,
    checked_periods,
)
from curvcore.statistics.pairs import lengths_of
from curvcore.statistics.splines import LARGEST_DIMENSION
from curvcore.types import Decoder


@dataclass(frozen=True, eq=False, repr=False)
class Distances(Displayed):
    """Geodesic distances of N and M points, from :func:`distance_matrix`.

    Attributes:
        distance: the length of the shortest geodesic that was found, (N, M).
        error: how far off it may be, if that is the shortest one, (N, M); infinite where no
            geodesic was found, or none in the box.
        converged: whether it was found, see there, (N, M).
    """

    distance: torch.Tensor
    error: torch.Tensor
    converged: torch.Tensor


@torch.no_grad()
def distance_matrix(
    decoder: Decoder,
    z: torch.Tensor,
    w: torch.Tensor | None = None,
    *,
    box: torch.Tensor | None = None,
    periods: torch.Tensor | None = None,
    tolerance: float = 1e-4,
) -> Distances:
    """Distances in g = ∇Ψᵀ∇Ψ of all points z from all points w, or from one another.

    Geodesics are polynomials of least energy, refined until their length stays. For d ≤ 3 the
    metric is interpolated on a box (:mod:`curvcore.statistics.splines`), and a pair takes less
    than a millisecond; above, it takes the decoder's second derivatives and the Riemann tensor,
    d⁴ numbers, along each curve, some ten milliseconds at least. Each pair is sought from the
    straight line and from the shortest path in a graph, and the shorter geodesic kept: where
    there are several, as around a hill, the shortest of all as a rule, not surely. What is
    narrower than a hundredth of a curve may not be seen. An entry has converged if its curve is
    a local minimum, has no conjugate points, lies where the metric is known, is no longer than
    the path in the graph, and its error bar is within the tolerance. No gradients flow.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        z, w: points (N, d) and (M, d), float64 or float32. Without w the matrix is symmetric, its
            diagonal zero, and each pair is solved once.
        box: (d, 2), lower and upper ends of the latents that the decoder knows, which curves are
            not to leave; None is one around the points, as large as it takes where g is finite
            there. For d ≤ 3.
        periods: (d,), where coordinates are angles their periods, 0 where they are not: then z and
            z + period are one point. For d ≤ 3.
        tolerance: of the error bars, relative.

    Returns:
        Distances: distance, error, converged.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        ModuleNotFoundError: without scipy.
    """
    decoder, z = checked(decoder, z)
    w = w if w is None else checked_others(decoder, w, z)
    domain = {
        "periods": checked_periods(decoder, z, periods, LARGEST_DIMENSION),
        "box": checked_limits(box, z if w is None else torch.cat([z, w]), LARGEST_DIMENSION),
    }
    check_tolerance(tolerance)
    if w is not None:
        points, shape = torch.cat([z, w]), (len(z), len(w))
        first, second = torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, 2).unbind(1)
        found = pair_lengths(decoder, points, first, second + len(z), tolerance, **domain)
        return Distances(*(part.reshape(shape) for part in found))
    n = len(z)
    first, second = torch.triu_indices(n, n, 1)
    found = pair_lengths(decoder, z, first, second, tolerance, **domain)
    return Distances(*(_symmetric(part, n, first, second) for part in found))


def pair_lengths(decoder, points, first, second, tolerance, **domain):
    """Distances, error bars and whether converged of pairs of points (N, d), by number: (B,) each.

    In the points' dtype and on their device. ``domain`` is of :func:`lengths_of`.
    """
    check_scipy()
    if len(first) == 0:
        empty = points.new_zeros(0)
        return empty, empty.clone(), empty > 0
    with one_warning_of_kinks(), torch.autocast(points.device.type, enabled=False):
        found = lengths_of(decoder, points, first, second, tolerance, **domain)
    distance, error, converged = found
    return distance.to(points), error.to(points), converged.to(points.device)


def _symmetric(part, n, first, second):
    """The matrix (n, n) of an upper triangle; its diagonal is zero, or True."""
    whole = part.new_full((n, n), part.dtype == torch.bool)
    whole[first, second] = part
    whole[second, first] = part
    return whole
