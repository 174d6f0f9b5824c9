"""Distances of pairs of points by polynomials: in a metric spline where d ≤ 3.

Every pair is sought from the straight line and from the shortest path of a graph. Curves of 4 terms
are refined to 8, and on to 32 where the length still changes, or is another one at 65 other nodes:
these changes are the error bar, with that of the spline. Geodesics that leave the box are sought
again in a larger one, and few that are left by the decoder itself.
"""

from itertools import product
from typing import NamedTuple

import torch

from curvcore.statistics.curves import basis, fitted, length_at_other_nodes, shortest
from curvcore.statistics.fields import DecoderField, SplineField
from curvcore.statistics.graphs import grid_graph, nearest, neighbour_graph, pairs_once
from curvcore.statistics.splines import LARGEST_DIMENSION, metric_of, metric_spline

_FIRST_TERMS, _MORE_TERMS = 4, (8, 16, 32)
_AT_ONCE = 4096  # pairs
MARGIN, _BOXES = 0.2, 3  # of the box around the points, doubled where it is left
_RIVAL = 0.02  # Curves so much longer on few terms are followed too,
_SAME = 1e-6  # and are taken for others if they are longer than that.
_DETOUR = 1.2  # of the paths in the graph to images of a point
_SHORTCUT = 1e-3  # by which a path in the graph may be found shorter than it is
_SPLINE = 0.5  # of the tolerance
_SHARES, _LEAST = (1, 0.5, 0.2, 0.05, 0), 1e-6  # of the margin, where g is not finite; of extents
_BY_DECODER = 1000  # pairs at most that are sought again without a spline
_NEIGHBOURS = 10  # in the graph of points


class Lengths(NamedTuple):
    """Distances of B pairs, error bars, and whether they were found: (B,) each."""

    distance: torch.Tensor
    error: torch.Tensor
    converged: torch.Tensor


def lengths_of(decoder, points, first, second, tolerance, periods=None, box=None):
    """Lengths between points (N, d), by number: ``first`` and ``second`` (B,).

    Args:
        tolerance: of the error bars, relative.
        periods: (d,), of coordinates that are angles, 0 of others, or None; for d ≤ 3.
        box: (d, 2), which geodesics must not leave, or None; for d ≤ 3.
    """
    zero = torch.zeros(len(first), dtype=torch.float64)
    found = Lengths(zero, zero.clone(), zero > 0)
    left = torch.arange(len(first))
    for search in _searches(decoder, points, tolerance, periods, box):
        escaped = []
        for piece in left[first[left].argsort(stable=True)].split(_AT_ONCE):
            lengths, inside = search.lengths(first[piece], second[piece])
            for whole, part in zip(found, lengths, strict=True):
                whole[piece] = part
            escaped.append(piece[~inside])
        left = torch.cat(escaped)
        if not len(left):
            break
    if periods is None and box is None:
        _sought_by_decoder(found, decoder, points, first, second, tolerance)
    return found


def _sought_by_decoder(found, decoder, points, first, second, tolerance):
    """The pairs that are left, where no box is in which the metric has a spline; if few are."""
    left = (~found.converged).nonzero()[:, 0]
    if points.shape[1] > LARGEST_DIMENSION or not 0 < len(left) <= _BY_DECODER:
        return
    search = search_by_decoder(decoder, points.double().cpu(), points, tolerance)
    lengths, _ = search.lengths(first[left], second[left])
    known = found.distance[left]
    better = lengths.converged & ~(lengths.distance > (1 + tolerance) * known)
    for whole, part in zip(found, lengths, strict=True):
        whole[left[better]] = part[better]


def _searches(decoder, points, tolerance, periods, limits):
    """Searches in ever larger boxes, or one by the decoder itself."""
    if points.shape[1] > LARGEST_DIMENSION:
        yield search_by_decoder(decoder, points.double().cpu(), points, tolerance)
        return
    boxes, last = Boxes(decoder, points, limits, periods), None
    for attempt in range(_BOXES):
        box, spline = boxes.spline(decoder, MARGIN * 2**attempt, tolerance)
        if last is not None and torch.equal(box, last):
            return
        last = box
        inside, number = boxes.images(box)
        inside = spline.coordinates(inside)
        field, graph = SplineField(spline), grid_graph(spline, inside)
        yield Search(field, graph, inside, number, tolerance)


def search_by_decoder(decoder, points, like, tolerance):
    """The Search in which a field of the decoder serves, of points (N, d) in float64."""
    graph = graph_of_points(decoder, points, like, _NEIGHBOURS)
    field, number = DecoderField(decoder, like), torch.arange(len(points))[None]
    return Search(field, graph, points, number, tolerance)


def graph_of_points(decoder, points, like, neighbours):
    """The graph of points (N, d) in float64, each joined to the nearest of them."""
    pairs = pairs_once(nearest(points, metric_of(decoder, like), neighbours))
    return neighbour_graph(points, pairs, lambda x: metric_of(decoder, x.to(like)))


class Boxes:
    """Boxes around points (N, d), and the images of these under whole periods.

    Args:
        limits: (d, 2), which no box goes beyond, or None.
        periods: (d,), or None.
    """

    def __init__(self, decoder, points, limits=None, periods=None):
        g, self._like = metric_of(decoder, points), points[:1]
        points = points.double().cpu()
        self._periods = torch.zeros_like(points[0]) if periods is None else periods.to(points)
        period = torch.where(self._periods > 0, self._periods, 1)
        self._points = torch.where(self._periods > 0, points.remainder(period), points)
        self._units = g.diagonal(dim1=1, dim2=2).median(0).values.sqrt()
        self._limits = limits if limits is None else limits.to(points)

    def spline(self, decoder, margin, tolerance):
        """A box, and the metric spline there: the largest one in which g is finite."""
        for share in _SHARES:
            box = self._box(margin, share)
            spline = metric_spline(decoder, self._like, box, _SPLINE * tolerance, self._points)
            if spline.is_finite:
                break
        return box, spline

    def images(self, box):
        """All images in the box (M, d), and their numbers (shifts, N), −1 of those outside."""
        shifts = product(*([0, -p, p] if p > 0 else [0] for p in self._periods.tolist()))
        every = torch.stack([self._points + box.new_tensor(s) for s in shifts])
        kept = ((every >= box[:, 0]) & (every <= box[:, 1])).all(2)
        kept[0] = True
        number = torch.where(kept, kept.flatten().cumsum(0).reshape(kept.shape) - 1, -1)
        return every[kept], number

    def _box(self, margin, share):
        """(d, 2), around the points, as long as wide in g, or a ``share`` of the way there.

        Along periods from more than half of one before to as far behind.
        """
        lower, upper = self._points.amin(0), self._points.amax(0)
        size = ((upper - lower) * self._units).max()
        least = torch.where((self._units > 0) & (size > 0), size / self._units, 1)
        extent = torch.maximum(upper - lower, least)
        wider = share * ((extent - (upper - lower)) / 2 + margin * extent)
        wider = wider.clamp(min=_LEAST * extent)
        half = (0.5 + margin) * self._periods
        around = torch.stack([lower - wider, upper + wider], 1)
        if self._limits is not None:
            around = around.clamp(self._limits[:, :1], self._limits[:, 1:])
        periodic = torch.stack([-half, self._periods + half], 1)
        return torch.where(self._periods[:, None] > 0, periodic, around)


class Search:
    """Geodesics in a field, from starts in a graph.

    Args:
        points: in the coordinates of both, images included, (M, d).
        number: which of them are the images of the points, (shifts, N).
    """

    def __init__(self, field, graph, points, number, tolerance):
        self._field, self._graph, self._points, self._number = field, graph, points, number
        self._tolerance = tolerance

    def lengths(self, first, second):
        """Lengths of pairs, and whether their curves are in the box."""
        curves, error, path = self.curves(first, second)
        return self._refined(curves, error, path)

    def curves(self, first, second):
        """Curves of 8 terms, their error bars and the lengths of paths in the graph, (B,) each."""
        sources, rows = first.unique(return_inverse=True)
        found = self._graph.search(sources)
        pair, target, path = self._targets(found, rows, second)
        b = basis(_FIRST_TERMS)
        x = self._graph.positions(found, rows[pair], target, b.nodes)
        ends = torch.stack([self._points[first[pair]], self._points[target]]).movedim(-1, 1)
        # Straight where there is no path.
        c = torch.where(path[pair].isfinite()[:, None], fitted(ends, x, _FIRST_TERMS), 0)
        ends, pair = torch.cat([ends, ends], 2), torch.cat([pair, pair])
        curves = shortest(self._field, ends, torch.cat([torch.zeros_like(c), c], 1))
        rivals = _rivals(pair, curves.length)
        curves, pair = curves.of(rivals), pair[rivals]
        finer = shortest(self._field, *curves.finer(_MORE_TERMS[0]))
        error = self._change(curves, finer)
        order = _in_order(pair, finer.length)
        best = order[_is_first(pair[order])]
        return finer.of(best), error[best], path

    def _change(self, curves, finer):
        """By how much the length is another one on more terms, and at more nodes."""
        other = length_at_other_nodes(self._field, finer)
        return (finer.length - curves.length).abs() + (other - finer.length).abs()

    def _targets(self, found, rows, second):
        """Pairs (C,) and images (C,) that are near enough, and how near in the graph (B,)."""
        images = self._number[:, second]  # (shifts, B)
        run = found[0][rows, self._graph.first_point + images.clamp(min=0)]
        run = torch.where(images >= 0, run, torch.inf)
        path = run.amin(0)
        shift, pair = (run <= _DETOUR * path).nonzero(as_tuple=True)
        return pair, images[shift, pair], path

    def _refined(self, curves, error, path):
        """Lengths, and whether inside, from 8 terms on."""
        result, at = [part.clone() for part in curves[2:]], torch.arange(len(error))
        for terms in _MORE_TERMS[1:]:
            unsettled = error[at] > self._tolerance / 2 * curves.length
            at, curves = at[unsettled], curves.of(unsettled)
            if not len(at):
                break
            finer = shortest(self._field, *curves.finer(terms))
            error[at] = self._change(curves, finer)
            for whole, part in zip(result, finer[2:], strict=True):
                whole[at] = part
            curves = finer
        length, stationary, minimal, inside, uncertainty = result
        error = error + uncertainty * length  # twice what random points make of it
        error = torch.where(stationary & inside, error, torch.inf)
        converged = minimal & (error <= self._tolerance * length)
        return Lengths(length, error, converged & (length <= (1 + _SHORTCUT) * path)), inside


def _rivals(pair, length):
    """Which curves, of pairs by number, may be the shortest, and are not one and the same."""
    order = _in_order(pair, length)
    pair, length = pair[order], length[order]
    first = _is_first(pair)
    shortest_of = length[first][pair]
    before = torch.cat([length.new_full((1,), -torch.inf), length[:-1]])
    other = (length - before > _SAME * length) & (length <= (1 + _RIVAL) * shortest_of)
    return order[first | other]


def _in_order(pair, length):
    """Curves by pairs, the shortest first."""
    by_length = length.argsort(stable=True)
    return by_length[pair[by_length].argsort(stable=True)]


def _is_first(pair):
    return torch.cat([torch.ones_like(pair[:1], dtype=torch.bool), pair[1:] != pair[:-1]])
