"""The metric on a box, by cubic B-splines: for many points, where d ≤ 3.

On a grid of spacing h, with the cubic B-spline β,

    ĝ_ij(z) = Σ_n c_ij,n Π_a β((z^a − z_n^a)/h^a),    g − ĝ = O(h⁴),

is twice differentiable; what it costs does not depend on the decoder. h is halved until ĝ is near
enough to g at random points. Tensors have points in their last axis here: (..., M).
"""

from itertools import chain, product

import torch
import torch.nn.functional as F

from curvcore.api import pullback
from curvcore.constants import indices, numbers
from curvcore.packing import count

# Nodes along an axis, by d: how many at first, and at most.
FIRST_NODES, MOST_NODES = {1: 128, 2: 64, 3: 24}, {1: 2048, 2: 512, 3: 96}
LARGEST_DIMENSION = max(MOST_NODES)
TESTED = {1: 256, 2: 32, 3: 10}  # random points, one in each block of so many along an axis
_POINTS_AT_ONCE = 4096  # of the decoder
_AT_ONCE = 8192  # of the spline, which stay in the processor's cache
# β, β', β'' at the four nodes around, by powers of t.
_PIECES = (
    *(1 / 6, -3 / 6, 3 / 6, -1 / 6), *(4 / 6, 0, -1, 3 / 6), *(1 / 6, 3 / 6, 3 / 6, -3 / 6),
    *(0, 0, 0, 1 / 6), *(-1 / 2, 1, -1 / 2, 0), *(0, -2, 3 / 2, 0), *(1 / 2, 1, -3 / 2, 0),
    *(0, 0, 1 / 2, 0), *(1, -1, 0, 0), *(-2, 3, 0, 0), *(1, -3, 0, 0), *(0, 1, 0, 0),
)  # fmt: skip


class MetricSpline:
    """ĝ on a box, in coordinates in which the grid has spacing 1.

    Attributes:
        dimension: d.
        box: lower and upper ends (d, 2) in these coordinates.
        errors: the largest |v̂|²/|v|² − 1 of vectors v at a random point of each block of the box.
        is_finite: whether g is on all of the grid.
    """

    def __init__(self, decoder, like, box, nodes):
        self.dimension = len(box)
        self._spacing = (box[:, 1] - box[:, 0]) / (nodes - 1)
        self._origin = box[:, 0]
        self.box = box.new_tensor([[0, nodes - 1]]).expand(self.dimension, 2)
        steps = torch.arange(nodes, dtype=box.dtype)
        grid = torch.cartesian_prod(*[steps] * self.dimension).reshape(-1, self.dimension)
        values = self._exact(decoder, grid, like).unflatten(1, (nodes,) * self.dimension)
        self.is_finite = bool(values.isfinite().all())
        self._size = nodes + 2
        self._coefficients = _coefficients(values).flatten(1)
        blocks = (TESTED[self.dimension],) * self.dimension
        self.errors = box.new_full(blocks, torch.inf)
        if self.is_finite:
            self.errors = self._errors(decoder, like).reshape(blocks)
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.dimension - 1]
        self._around = pool(self.errors[None, None], 3, stride=1, padding=1)[0, 0]

    def coordinates(self, z):
        """Those in which this is the metric, of points (..., d)."""
        return (z - self._origin) / self._spacing

    def points(self, x):
        """Points (..., d) by their coordinates."""
        return self._origin + x * self._spacing

    def derivatives(self, x, order=2):
        """ĝ, ∂ĝ, ∂²ĝ at x (d, M), packed: {multi-index: (d(d+1)/2, M)}, up to an order.

        Outside of the box they are those at its boundary.
        """
        pieces = [self._derivatives(piece, order) for piece in x.split(_AT_ONCE, dim=1)]
        return {index: torch.cat([piece[index] for piece in pieces], 1) for index in pieces[0]}

    def metric(self, x):
        """ĝ at x (d, M): (d, d, M)."""
        return symmetric(self.derivatives(x, 0)[(0,) * self.dimension], self.dimension)

    def contains(self, x):
        """Which of x (d, ...) are in the box: (...)."""
        lower, upper = self.box[0].tolist()
        return ((x >= lower) & (x <= upper)).all(0)

    def _derivatives(self, x, order):
        x = x.clamp(*self.box[0].tolist())
        cell = x.floor().clamp(max=self._size - 4)
        weights = _weights(x - cell, order)
        corner = cell.long()
        offsets = product(range(4), repeat=self.dimension)
        around = indices(tuple(_flat(offset, self._size) for offset in offsets), x.device)
        flat = (_flat(corner, self._size) + around[:, None]).flatten()
        taken = self._coefficients.gather(1, flat.expand(len(self._coefficients), -1))
        return _contracted(taken.reshape(-1, *(4,) * len(x), x.shape[1]), weights)

    def _exact(self, decoder, x, like):
        """g in these coordinates at points x (M, d), packed: (d(d+1)/2, M)."""
        g = metric_of(decoder, self.points(x).to(like))
        rows, columns = torch.triu_indices(self.dimension, self.dimension)
        scale = self._spacing[rows] * self._spacing[columns]
        return (g[:, rows, columns] * scale).mT.contiguous()

    def relative_error(self, x):
        """At x (d, ...), the largest of the blocks around: (...)."""
        return self._around[tuple(self._blocks(x))]

    def largest_error(self, points):
        """Of the blocks between the first and the last of points (N, d) along each axis."""
        x, inner = self.coordinates(points), self._around
        ends = self._blocks(torch.stack([x.amin(0), x.amax(0)]))
        for axis, (first, last) in enumerate(ends.mT.tolist()):
            inner = inner.narrow(axis, first, last - first + 1)
        return inner.max()

    def _blocks(self, x):
        blocks = TESTED[self.dimension]
        share = x.nan_to_num(0) / (self._size - 3)
        return (share * blocks).long().clamp(0, blocks - 1)

    def _errors(self, decoder, like):
        generator, blocks = torch.Generator().manual_seed(0), TESTED[self.dimension]
        corner = torch.cartesian_prod(*[torch.arange(blocks)] * self.dimension)
        corner = corner.reshape(-1, self.dimension).to(self.box)
        share = corner + torch.rand(corner.shape, generator=generator, dtype=corner.dtype)
        x = share / blocks * (self._size - 3)
        exact = symmetric(self._exact(decoder, x, like), self.dimension)
        exact, found = (g.movedim(-1, 0) for g in (exact, self.metric(x.mT)))
        factor, failed = torch.linalg.cholesky_ex(exact)
        off = torch.linalg.solve_triangular(factor, found - exact, upper=False)
        off = torch.linalg.solve_triangular(factor, off.mT, upper=False)
        error = off.flatten(1).norm(dim=1)
        # Where g is degenerate lengths have no digits.
        return torch.where((failed > 0) | error.isnan(), torch.inf, error)


def metric_spline(decoder, like, box, tolerance, points):
    """The first MetricSpline that errs by the tolerance at most among points, or the finest.

    Args:
        decoder: of points like ``like``, a tensor of their dtype and device.
        box: lower and upper ends (d, 2).
        points: (N, d); it is the blocks between the first and the last along each axis that count.
    """
    nodes, most = FIRST_NODES[len(box)], MOST_NODES[len(box)]
    while True:
        spline = MetricSpline(decoder, like, box, nodes)
        if not spline.is_finite or spline.largest_error(points) <= tolerance or nodes == most:
            return spline
        nodes = min(2 * nodes, most)


def metric_of(decoder, points):
    """g (M, d, d) at points (M, d), in float64 on the CPU; NaN where an ambient metric is none."""
    with torch.no_grad():
        geometry = pullback(
            decoder, points, order=1, chunk_size=_POINTS_AT_ONCE, on_degenerate="nan"
        )
        return geometry.metric.double().cpu()


def symmetric(packed, d):
    """g_ij (d, d, ...) of g_ij, i ≤ j, (d(d+1)/2, ...)."""
    place = [[_place(min(i, j), max(i, j), d) for j in range(d)] for i in range(d)]
    chosen = indices(tuple(chain(*place)), packed.device)
    return packed[chosen].unflatten(0, (d, d))


def _place(i, j, d):
    return count(d, 2) - count(d - i, 2) + j - i


def _flat(offset, size):
    flat = 0
    for along in offset:
        flat = flat * size + along
    return flat


def _coefficients(values):
    """Those of the spline through values (C, n, ..., n): (C, n+2, ..., n+2).

    Where its third derivative does not jump at the second nodes ("not a knot").
    """
    n = values.shape[1]
    matrix, row = values.new_zeros(n + 2, n + 2), torch.arange(n)
    for column, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        matrix[row, row + column] = weight
    fourth = values.new_tensor([1, -4, 6, -4, 1])
    matrix[n, :5], matrix[n + 1, -5:] = fourth, fourth
    factors = torch.linalg.lu_factor(matrix)
    for axis in range(1, values.ndim):
        right = values.movedim(axis, 0).flatten(1)
        right = torch.cat([right, torch.zeros_like(right[:2])])
        solved = torch.linalg.lu_solve(*factors, right)
        values = solved.unflatten(1, values.movedim(axis, 0).shape[1:]).movedim(0, axis)
    return values.contiguous()


def _weights(t, order):
    """β and its derivatives at the four nodes around t in [0, 1]^d, (d, M): (order, 4, d, M)."""
    powers = torch.stack([torch.ones_like(t), t, t * t, t * t * t])
    table = numbers(_PIECES, t.dtype, t.device).reshape(-1, 4)[: 4 * (order + 1)]
    return (table @ powers.flatten(1)).reshape(order + 1, 4, *t.shape)


def _contracted(taken, weights):
    """{multi-index: Σ c β' ...} of coefficients (C, 4, ..., 4, M), over the last axis first."""
    axis = taken.ndim - 3
    if axis < 0:
        return {(): taken}
    found = {}
    for k, weight in enumerate(weights[:, :, axis]):
        total = taken[..., 0, :] * weight[0]
        for j in range(1, 4):
            total = torch.addcmul(total, taken[..., j, :], weight[j])
        for index, value in _contracted(total, weights[: len(weights) - k]).items():
            found[*index, k] = value
    return found
