"""The metric on a box, by cubic B-splines: for many points, where d ≤ 3.

On a grid of spacing h, with the cubic B-spline β,

    ĝ_ij(z) = Σ_n c_ij,n Π_a β((z^a − z_n^a)/h^a),    g − ĝ = O(h⁴),

is twice differentiable; what it costs does not depend on the decoder. h is halved until ĝ is near
enough to g at random points. Tensors have points in their last axis here: (..., M).
"""

from itertools import chain, product

import torch

from curvcore.api import metric
from curvcore.constants import indices, numbers
from curvcore.packing import count

# Nodes along an axis, by d: how many at first, and at most.
FIRST_NODES, MOST_NODES = {1: 128, 2: 64, 3: 24}, {1: 4096, 2: 512, 3: 72}
LARGEST_DIMENSION = max(MOST_NODES)
TESTED = 1024  # random points
_PADDING = 12  # nodes beyond the box: what is wrong at the end falls by 0.27 from node to node
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
        error: the largest |v̂|²/|v|² − 1 that was found, of vectors v at random points.
    """

    def __init__(self, decoder, like, box, nodes):
        self.dimension = len(box)
        self._spacing = (box[:, 1] - box[:, 0]) / (nodes - 1)
        self._origin = box[:, 0] - _PADDING * self._spacing
        self._size = nodes + 2 * _PADDING
        self.box = box.new_tensor([[_PADDING, _PADDING + nodes - 1]]).expand(self.dimension, 2)
        steps = torch.arange(self._size, dtype=box.dtype)
        grid = torch.cartesian_prod(*[steps] * self.dimension).reshape(-1, self.dimension)
        values = self._exact(decoder, grid, like).unflatten(1, (self._size,) * self.dimension)
        self._coefficients = _filtered(values).flatten(1)
        self.error = self._error(decoder, like)

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
        cell = x.floor()
        weights = _weights(x - cell, order)
        corner = cell.long() - 1
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

    def _error(self, decoder, like):
        generator = torch.Generator().manual_seed(0)
        share = torch.rand(TESTED, self.dimension, generator=generator, dtype=self.box.dtype)
        x = torch.lerp(*self.box.unbind(1), share)
        exact = symmetric(self._exact(decoder, x, like), self.dimension)
        exact, found = (g.movedim(-1, 0) for g in (exact, self.metric(x.mT)))
        factor, failed = torch.linalg.cholesky_ex(exact)
        if failed.any():  # degenerate, so that lengths have no digits
            return torch.inf
        off = torch.linalg.solve_triangular(factor, found - exact, upper=False)
        off = torch.linalg.solve_triangular(factor, off.mT, upper=False)
        return float(torch.linalg.matrix_norm(off, 2).max())


def metric_spline(decoder, like, box, tolerance):
    """The first MetricSpline with ``error`` ≤ tolerance, or the finest.

    Args:
        decoder: of points like ``like``, a tensor of their dtype and device.
        box: lower and upper ends (d, 2).
    """
    d = len(box)
    nodes = FIRST_NODES[d]
    spline = MetricSpline(decoder, like, box, nodes)
    while spline.error > tolerance and nodes < MOST_NODES[d]:
        nodes = min(2 * nodes, MOST_NODES[d])
        spline = MetricSpline(decoder, like, box, nodes)
    return spline


def metric_of(decoder, points):
    """g (M, d, d) at points (M, d), in float64 on the CPU."""
    with torch.no_grad():
        return metric(decoder, points, chunk_size=_POINTS_AT_ONCE).double().cpu()


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


def _filtered(values):
    """The coefficients whose spline goes through values (C, n, ..., n)."""
    from scipy.ndimage import spline_filter1d

    array = values.numpy()
    for axis in range(1, array.ndim):
        array = spline_filter1d(array, order=3, axis=axis, mode="mirror")
    return torch.from_numpy(array)


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
