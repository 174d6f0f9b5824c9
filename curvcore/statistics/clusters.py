"""k-means by the geodesic distance.

Lloyd's iterations from k-means++ (Arthur and Vassilvitskii, 2007), with one step of Newton's method
a time for the centres.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from curvcore.display import Displayed
from curvcore.maps import checked
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.statistics.checks import check_count, check_scipy, checked_limits
from curvcore.statistics.curves import joined, start_derivatives
from curvcore.statistics.fields import DecoderField, SplineField
from curvcore.statistics.graphs import grid_graph
from curvcore.statistics.means import HALVINGS, like, mean_by, newton_step
from curvcore.statistics.pairs import MARGIN, Boxes, Search, search_by_decoder
from curvcore.statistics.splines import LARGEST_DIMENSION
from curvcore.types import Decoder

_ITERATIONS = 200
_TOLERANCE = 1e-4  # of the spline that clusters are found in
_DONE = 1e-8  # of the objective, that a step promises: that of curves
_AT_ONCE = 4096  # geodesics


@dataclass(frozen=True, eq=False, repr=False)
class KMeans(Displayed):
    """Clusters of N points, from :func:`riemannian_kmeans`.

    Attributes:
        centres: the Fréchet mean of each cluster, (k, d).
        labels: the number of the nearest centre, (N,).
        distance: from there, (N,).
        objective: Σ d² of each iteration; it never rises.
        converged: whether labels and centres stay as they are, and all geodesics were found.
    """

    centres: torch.Tensor
    labels: torch.Tensor
    distance: torch.Tensor
    objective: torch.Tensor
    converged: torch.Tensor


@torch.no_grad()
def riemannian_kmeans(
    decoder: Decoder,
    z: torch.Tensor,
    k: int,
    *,
    box: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    starts: int = 1,
) -> KMeans:
    """k clusters of points with small Σ d(z_i, centre)² in g = ∇Ψᵀ∇Ψ.

    For d ≤ 3 they are found in a spline of the metric, as by :func:`distance_matrix`; then every
    centre becomes the Fréchet mean of its cluster by the decoder itself, to 1e-8. A local minimum:
    which one depends on the seeds, of several ``starts`` the least. No gradients flow.

    Args:
        decoder, z: as of :func:`frechet_mean`.
        k: how many, the number of points at most.
        box: as of :func:`distance_matrix`.
        generator: of the seeds, on the CPU; None is torch's own.
        starts: how many times seeds are drawn. The clusters of least objective are kept, those that
            have not converged in it only where none has; the spline is made once.

    Raises: what :func:`frechet_mean` does; ModuleNotFoundError without scipy.
    """
    decoder, z = checked(decoder, z)
    check_count("k", k, len(z))
    check_count("starts", starts)
    box = checked_limits(box, z, LARGEST_DIMENSION)
    check_scipy()
    with one_warning_of_kinks(), torch.autocast(z.device.type, enabled=False):
        clusters = _Clusters(decoder, z, box)
        found = [clusters.lloyd(clusters.seeds(k, generator)) for _ in range(starts)]
        result = _means(decoder, z, *min(found, key=_cost))
    return KMeans(*(like(part, z) for part in result))


def _cost(found):
    """What of several starts is least: the last objective, after those that have converged."""
    *_, objective, converged = found
    return not converged, objective[-1].item()


def _means(decoder, z, centres, labels, objective, converged):
    """The same with Fréchet means for centres, and distances from these."""
    distance = centres.new_zeros(len(z))
    for number in labels.unique().tolist():
        own = labels == number
        points = z[own.to(z.device)]
        weights = points.new_full((len(points),), 1 / len(points))
        mean = mean_by(decoder, points, weights, centres[number])
        centres[number], distance[own] = mean.point, mean.distance
        converged = converged & mean.converged
    return centres, labels, distance, objective, converged


class _Clusters:
    """Points, centres and the geodesics between them, in a spline for d ≤ 3, else by the decoder.

    Points are in the coordinates of the spline.
    """

    def __init__(self, decoder, z, box):
        self._decoder, self._like, self._points = decoder, z[:1], z.double().cpu()
        self._spline = None
        if z.shape[1] <= LARGEST_DIMENSION:
            _, self._spline = Boxes(decoder, z, box).spline(decoder, MARGIN, _TOLERANCE)
            self._points = self._spline.coordinates(self._points)

    @cached_property
    def _field(self):
        if self._spline is None:
            return DecoderField(self._decoder, self._like)
        return SplineField(self._spline)

    def seeds(self, k, generator):
        """Numbers of points, each drawn by its squared distance from the ones before, (k, d)."""
        points = self._points
        chosen = torch.randint(len(points), (1,), generator=generator)
        nearest = points.new_full((len(points),), torch.inf)
        for _ in range(k - 1):
            nearest = torch.minimum(nearest, self._curves(points[chosen[-1:]]).length)
            share = nearest.square().nan_to_num(0).index_fill(0, chosen, 0)
            if not share.sum() > 0:  # only points that are equal to seeds are left
                share = torch.ones_like(share).index_fill(0, chosen, 0)
            chosen = torch.cat([chosen, share.multinomial(1, generator=generator)])
        return points[chosen]

    def lloyd(self, centres):
        """Centres (k, d), labels (N,), objectives, and whether they stay as they are."""
        k, n = len(centres), len(self._points)
        curves, shrink, objective = self._curves(centres), centres.new_ones(k), []
        labels = _table(curves, k).argmin(0)
        for _ in range(_ITERATIONS):
            own = F.one_hot(labels, k).to(centres).mT
            before = torch.where(own > 0, _table(curves, k) ** 2, 0).sum(1)
            objective.append(before.sum())
            step, promised = self._steps(curves, centres, own)
            # NaN is promised where a geodesic was not found: such a centre stays too.
            shrink = torch.where(promised > _DONE * before, shrink, 0)
            if not shrink.any():
                break
            ahead = centres + shrink[:, None] * step
            trial = self._moved(curves, ahead, shrink > 0)
            better = torch.where(own > 0, _table(trial, k) ** 2, 0).sum(1) < before
            centres = torch.where(better[:, None], ahead, centres)
            curves = trial.where(better.repeat_interleave(n), curves)
            shrink = torch.where(better, 1, shrink / 2)
            shrink = torch.where(shrink < 2.0**-HALVINGS, 0, shrink)
            nearest = _table(curves, k).argmin(0)
            shrink = torch.where((nearest != labels).any(), 1, shrink)
            labels = nearest
        found = curves.stationary & curves.minimal & curves.inside
        found = found.reshape(k, n).gather(0, labels[None]).all() & ~shrink.any()
        if self._spline is not None:
            centres = self._spline.points(centres)
        return centres, labels, torch.stack(objective), found

    def _steps(self, curves, centres, own):
        """Steps of the centres (k, d) and what they promise (k,); none for empty clusters."""
        chosen = own.flatten() > 0
        gradient, hessian = start_derivatives(self._field, curves.of(chosen))
        number = torch.arange(len(centres)).repeat_interleave(own.shape[1])[chosen]
        gradient = torch.zeros_like(centres).index_add(0, number, gradient)
        zero = hessian.new_zeros(len(centres), *hessian.shape[1:])
        step, promised, _ = newton_step(
            self._field, centres, gradient, zero.index_add(0, number, hessian)
        )
        return step, promised

    def _moved(self, curves, centres, moving):
        """Curves from all centres, sought anew for those that are ``moving`` (k,)."""
        index, anew = torch.arange(len(curves.length)), moving.repeat_interleave(len(self._points))
        index[anew] = len(index) + torch.arange(int(anew.sum()))
        return joined([curves, self._curves(centres[moving])]).of(index)

    def _curves(self, centres):
        """Curves from all centres to all points, (k N,)."""
        n, points = len(self._points), torch.cat([self._points, centres])
        if self._spline is None:
            search = search_by_decoder(self._decoder, points, points.to(self._like), _TOLERANCE)
        else:
            graph, number = grid_graph(self._spline, points), torch.arange(len(points))[None]
            search = Search(self._field, graph, points, number, _TOLERANCE)
        pairs = torch.cartesian_prod(torch.arange(n, len(points)), torch.arange(n)).reshape(-1, 2)
        return joined([search.curves(*piece.unbind(1))[0] for piece in pairs.split(_AT_ONCE)])


def _table(curves, k):
    """Lengths of curves (k N,) as (k, N); infinite where none was found."""
    return curves.length.reshape(k, -1).nan_to_num(nan=torch.inf)
