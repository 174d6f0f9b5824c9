"""Nearest neighbours in geodesic distance, as a sparse matrix."""

from dataclasses import dataclass
from typing import Any

import torch

from curvcore.display import Displayed
from curvcore.errors import InputError
from curvcore.maps import checked
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.statistics.checks import check_count, check_scipy, check_tolerance, checked_limits
from curvcore.statistics.distances import pair_lengths
from curvcore.statistics.graphs import grid_graph, nearest, pairs_once
from curvcore.statistics.pairs import MARGIN, Boxes, graph_of_points
from curvcore.statistics.splines import LARGEST_DIMENSION, metric_of
from curvcore.types import Decoder

_MORE = 8  # that are joined in the graph, besides twice as many as are wanted
_BEHIND = 0.2  # the k-th nearest, in the graph
_SOURCES_AT_ONCE = 256


@dataclass(frozen=True, eq=False, repr=False)
class Neighbours(Displayed):
    """The k nearest of N points to each, from :func:`geodesic_neighbours`.

    Attributes:
        distance: scipy's CSR matrix (N, N) with k + 1 entries a row, the smallest first: zero for
            the point itself, as in scikit-learn's KNeighborsTransformer.
        error: their error bars, likewise.
        converged: whether all distances of a row were found, (N,).
    """

    distance: Any
    error: Any
    converged: torch.Tensor


@torch.no_grad()
def geodesic_neighbours(
    decoder: Decoder,
    z: torch.Tensor,
    k: int,
    *,
    box: torch.Tensor | None = None,
    tolerance: float = 1e-4,
) -> Neighbours:
    """The k nearest neighbours of each point in g = ∇Ψᵀ∇Ψ, with their geodesic distances.

    Solved, as :func:`distance_matrix` does, are the pairs that a graph has among the nearest or up
    to a fifth behind: for d ≤ 3 of a grid and the points, above of the points alone, so that a
    neighbour whom no others lie near may be missed. ``distance`` goes where
    ``metric="precomputed"`` does: scikit-learn, umap, scanpy.

    Args:
        decoder, z, box, tolerance: as of :func:`distance_matrix`.
        k: how many, without the point itself.

    Raises: what :func:`distance_matrix` does.
    """
    decoder, z = checked(decoder, z)
    if len(z) < 2:
        raise InputError(f"Neighbours need two points at least; got {len(z)}.")
    check_count("k", k, len(z) - 1)
    check_tolerance(tolerance)
    box = checked_limits(box, z, LARGEST_DIMENSION)
    check_scipy()
    with one_warning_of_kinks(), torch.autocast(z.device.type, enabled=False):
        candidates = _candidates(decoder, z, k, box, tolerance)
    found = pair_lengths(decoder, z, *candidates, tolerance, box=box)
    order, columns = _nearest_of(candidates, found[0].cpu(), k)
    return _neighbours(columns, *(part[order.to(part.device)] for part in found))


def _candidates(decoder, z, k, box, tolerance):
    """Pairs of points (2, P) that the k nearest are among."""
    points, near = z.double().cpu(), 2 * k + _MORE
    if points.shape[1] <= LARGEST_DIMENSION:
        _, spline = Boxes(decoder, z, box).spline(decoder, MARGIN, tolerance)
        pairs = pairs_once(nearest(points, metric_of(decoder, z), near))
        graph = grid_graph(spline, spline.coordinates(points), pairs)
    else:
        graph = graph_of_points(decoder, points, z, near)
    found = []
    for rows in torch.arange(len(z)).split(_SOURCES_AT_ONCE):
        run = graph.search(rows)[0][:, graph.first_point :]
        run[torch.arange(len(rows)), rows] = torch.inf
        radius = run.kthvalue(k, dim=1, keepdim=True).values
        at, column = (run <= (1 + _BEHIND) * radius).nonzero(as_tuple=True)
        found.append(torch.stack([rows[at], column]))
    return torch.cat(found, 1).sort(0).values.unique(dim=1)


def _nearest_of(pairs, length, k):
    """Which pairs join each point to its k nearest, and these, the nearest first: (N, k) each."""
    row, column = torch.cat([pairs, pairs.flip(0)], 1)
    order = length.repeat(2).argsort(stable=True)
    order = order[row[order].argsort(stable=True)]
    start = torch.searchsorted(row[order], torch.arange(int(row.max()) + 1))
    chosen = order[start[:, None] + torch.arange(k)]
    return chosen % pairs.shape[1], column[chosen]


def _neighbours(columns, distance, error, converged):
    """Of numbers of neighbours, and of their distances, (N, k)."""
    from scipy.sparse import csr_matrix

    n, k = columns.shape
    columns = torch.cat([torch.arange(n)[:, None], columns], 1).flatten().numpy()
    starts = torch.arange(0, n * (k + 1) + 1, k + 1).numpy()
    matrices = []
    for part in (distance, error):
        values = torch.nn.functional.pad(part, (1, 0)).flatten().cpu().numpy()
        matrices.append(csr_matrix((values, columns, starts), shape=(n, n)))
    return Neighbours(*matrices, converged.all(1))
