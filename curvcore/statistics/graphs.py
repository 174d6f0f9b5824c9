"""Shortest paths in graphs: where the search for geodesics begins, and what they must not exceed.

Vertices are points, each joined to those around it by straight lines whose length is known from the
metric; for d ≤ 3 a grid over the box too. Shortest paths, by Dijkstra's algorithm, come near the
shortest of all curves, however many geodesics there are.
"""

import math
from itertools import product

import numpy as np
import torch

# By d: vertices of the grid along an axis, and how far off they are joined.
_VERTICES, _REACH = {1: 64, 2: 40, 3: 14}, {1: 1, 2: 3, 3: 2}
_ENTRIES = 2**22  # of metrics that are held at a time
_GAUSS = 5  # nodes, on an edge


class Graph:
    """Vertices (V, d), joined by edges (2, E) of lengths (E,).

    Its points, by number, are the vertices from ``first_point`` on.
    """

    def __init__(self, vertices, edges, lengths, first_point=0):
        from scipy.sparse import coo_array

        self.vertices, self.first_point = vertices, first_point
        edges = torch.cat([edges, edges.flip(0)], 1).numpy()
        lengths = lengths.clamp(min=np.finfo(float).tiny).repeat(2).numpy()  # of zero is no edge
        matrix = coo_array((lengths, edges), shape=(len(vertices),) * 2)
        self._matrix = matrix.tocsr()

    def search(self, sources):
        """(distance, predecessor) from points, by number, to all vertices: (S, vertices) each."""
        from scipy.sparse.csgraph import dijkstra

        found = dijkstra(
            self._matrix, indices=self.first_point + sources.numpy(), return_predecessors=True
        )
        return tuple(map(torch.from_numpy, found))

    def positions(self, found, rows, targets, times):
        """Points (d, B, Q) of the paths to ``targets`` (B,), points by number, at ``times`` (Q,).

        Args:
            found: what :meth:`search` gave.
            rows: in which rows of it the sources are, (B,).
        """
        distance, predecessor = found
        at, visited = self.first_point + targets, []
        while True:
            visited.append(at)
            before = predecessor[rows, at].long()
            if (before < 0).all():
                break
            at = torch.where(before < 0, at, before)
        path = torch.stack(visited[::-1], 1)
        run = distance[rows[:, None], path]
        wanted = run[:, -1:] * times
        place = torch.searchsorted(run, wanted).clamp(1, max(1, path.shape[1] - 1))
        if path.shape[1] == 1:  # all targets are their sources
            return self.vertices[path].movedim(-1, 0).expand(-1, -1, len(times))
        before, behind = run.gather(1, place - 1), run.gather(1, place)
        step = behind - before
        share = ((wanted - before) / torch.where(step > 0, step, 1)).clamp(0, 1)
        ends = (self.vertices[path.gather(1, p)] for p in (place - 1, place))
        return torch.lerp(*ends, share[..., None]).movedim(-1, 0)


def grid_graph(spline, points, pairs=None):
    """The Graph of a grid over the box of a spline, and of points (N, d) joined to it.

    Args:
        points: in the coordinates of the spline.
        pairs: of points, (2, P), that are joined to one another too.
    """
    d = spline.dimension
    size = _VERTICES[d]
    axes = [torch.linspace(*end.tolist(), size, dtype=end.dtype) for end in spline.box]
    grid = torch.cartesian_prod(*axes).reshape(-1, d)
    vertices = torch.cat([grid, points])
    edges = [_edges_of_grid(size, d), _edges_of_points(points, spline.box, size)]
    if pairs is not None:
        edges.append(pairs + len(grid))
    edges = torch.cat(edges, 1)
    return Graph(vertices, edges, _lengths(spline.metric, *vertices[edges]), len(grid))


def neighbour_graph(points, pairs, metric_at):
    """The Graph of points (N, d) that are joined in pairs (2, P).

    Args:
        metric_at: points (M, d) -> g (M, d, d).
    """

    def packed(x):
        return metric_at(x.mT).movedim(0, -1)

    return Graph(points, pairs, _lengths(packed, *points[pairs]))


def pairs_once(neighbours):
    """Pairs of points (2, P), the smaller number first, each once, of those near each (N, k)."""
    first = torch.arange(len(neighbours))[:, None].expand_as(neighbours)
    return torch.stack([first, neighbours]).flatten(1).sort(0).values.unique(dim=1)


def nearest(points, g, neighbours):
    """Which others are nearest to each, by ``straight_lengths``: (N, neighbours), or all others."""
    n, d = points.shape
    number, found = torch.arange(n), []
    for piece in number.split(max(1, _ENTRIES // (n * d * d))):
        first, second = torch.cartesian_prod(piece, number).unbind(1)
        length = straight_lengths(points, g, first, second).unflatten(0, (len(piece), n))
        length[torch.arange(len(piece)), piece] = torch.inf
        found.append(length.topk(min(neighbours, n - 1), largest=False).indices)
    return torch.cat(found)


def straight_lengths(points, g, first, second):
    """½(|Δ|_g + |Δ|_g') of the metrics at both ends: about the length of straight lines, (B,)."""
    step = points[second] - points[first]
    squares = (torch.einsum("bi,bij,bj->b", step, g[end], step) for end in (first, second))
    return sum(square.clamp(min=0).sqrt() for square in squares) / 2


def _numbered(index, size):
    """Numbers of vertices of the grid by their indices (..., d)."""
    flat = index[..., 0]
    for along in index[..., 1:].unbind(-1):
        flat = flat * size + along
    return flat


def _edges_of_points(points, box, size):
    """From each point to the 4^d vertices of the grid around it."""
    d, first_point = len(box), size ** len(box)
    spacing = (box[:, 1] - box[:, 0]) / (size - 1)
    cell = ((points - box[:, 0]) / spacing).floor().long()
    offsets = torch.tensor(list(product(range(-1, 3), repeat=d)))
    around = (cell[:, None] + offsets).clamp(0, size - 1)
    number = torch.arange(len(points))[:, None].expand(-1, len(offsets)) + first_point
    edges = torch.stack([_numbered(around, size), number]).flatten(1)
    return edges.unique(dim=1)  # at the boundary they coincide


def _edges_of_grid(size, d):
    """Pairs of vertices (2, E), with no vertex on the line between them."""
    reach, pairs = _REACH[d], []
    every = torch.cartesian_prod(*[torch.arange(size)] * d).reshape(-1, d)
    for offset in product(range(-reach, reach + 1), repeat=d):
        if offset <= (0,) * d or math.gcd(*offset) > 1:
            continue
        end = every + torch.tensor(offset)
        kept = ((end >= 0) & (end < size)).all(1)
        pairs.append(torch.stack([_numbered(x[kept], size) for x in (every, end)]))
    return torch.cat(pairs, 1)


def _lengths(metric_at, start, end):
    """Of straight lines between points (E, d), by Gauss's rule: (E,).

    Args:
        metric_at: points (d, M) -> g (d, d, M).
    """
    step, total = (end - start).mT, 0
    for node, weight in zip(*np.polynomial.legendre.leggauss(_GAUSS), strict=True):
        g = metric_at(torch.lerp(start, end, (1 + node) / 2).mT)
        total = total + ((g * step).sum(1) * step).sum(0).clamp(min=0).sqrt() * (weight / 2)
    return total
