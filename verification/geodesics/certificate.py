"""Geodesics that are certain to exist near numerical ones, their lengths and conjugate points."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from curvcore.display import Displayed
from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.witness import check_rows_independent
from curvcore.types import Decoder
from curvcore.validation import check_decoder, check_finite
from verification.decoders.subjects import converted
from verification.exact.balls_of_decoders import CertificationError
from verification.geodesics.collocation import Collocation
from verification.geodesics.flow import at, ball
from verification.geodesics.index import IndexForm
from verification.geodesics.segments import flow
from verification.geodesics.shooting import contracted, newton
from verification.regions.geometry import values_at
from verification.regions.models import TaylorModels
from verification.regions.monomials import monomials

_FIRST, _MOST = 64, 512  # segments
_TICKS = 2.0**30  # times are multiples of 1 in so many, so that their differences are exact
_DEGREES = range(4, 17)
_PERHAPS = ", as where its ends are conjugate to each other, or almost."


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedGeodesic(Displayed):
    """What is certain of a geodesic γ: [0, 1] -> latents near a numerical one, with its ends.

    Attributes:
        proved: whether there is one, exactly one whose nodes and velocities are within these
            bounds; all else is infinite, empty or None where not.
        reached: whether its length is known as well as asked, and its conjugate points are.
        length: (low, high).
        times, nodes, velocities: times (K + 1,) and bounds of γ and γ' there, (K + 1, d, 2).
        distance: from the nodes of the numerical path to γ at most, the largest in any latent
            coordinate.
        index: how many points of γ before its end are conjugate to its start, by multiplicity,
            Morse's index: 0 and no shorter curve is near. None where it is not known, or the end
            may be conjugate itself.
        conjugate: (low, high, how many) of times that hold them; None as above.
        reason: why it is not proved.
    """

    proved: bool
    reached: bool
    length: tuple[float, float]
    times: torch.Tensor
    nodes: torch.Tensor
    velocities: torch.Tensor
    distance: float
    index: int | None
    conjugate: tuple[tuple[float, float, int], ...] | None
    reason: str


def certify_geodesic(
    decoder: Decoder,
    path: torch.Tensor,
    *,
    relative: float = 1e-6,
    degree: int = 8,
    seconds: float = 600.0,
) -> CertifiedGeodesic:
    """Prove that a geodesic of g = ∇Ψᵀ∇Ψ is near a numerical one with the same ends.

    The equations of geodesics are solved by Taylor models on segments, whose ends are to meet:
    Krawczyk's test shows that they do, for exactly one curve within the bounds. Its length follows
    from its speed, which is constant, and its conjugate points from the Jacobi fields. Segments are
    halved until all is known as well as asked, or there are 512, or the time is up.

    Args:
        decoder: as of :func:`verification.certify`, without ``ambient=`` and ``likelihood=``, and
            smooth along the path.
        path: nodes (n + 1, d), such as ``curvcore.geodesic(decoder, a, b).path[0]``; floats count
            as exact numbers.
        relative: how close the bounds of the length are to be, of it.
        degree: of the Taylor models in the time, 4 to 16.
        seconds: after so many no new attempt is begun.

    Returns:
        CertifiedGeodesic: the best that was found; not ``proved``, and with a reason, where nothing
        was, as where the ends are conjugate to each other.

    Raises:
        CertificationError: an operation has no version for Taylor models; the path, the accuracy or
            the degree is none.
    """
    decoder, path = _checked(decoder, path, relative, degree)
    deadline = time.monotonic() + seconds
    search, best = _Search(decoder, path, relative, monomials(1, degree)), None
    while True:
        reason, result = search.attempt()
        best = _better(best, result)
        if best is not None and best.reached:
            return best
        if time.monotonic() > deadline or not search.halve():
            return best or _unproved(path, reason)


def _better(one, other):
    """Of two certificates, or None, the one with conjugate points, or else the closer bounds."""
    found = [x for x in (one, other) if x is not None]
    return max(found, key=lambda x: (x.index is not None, x.length[0] - x.length[1]), default=None)


class _Search:
    """Nodes that are moved to a geodesic, and added where segments are too long."""

    def __init__(self, decoder, path, relative, basis):
        self._decoder, self._path, self._basis = decoder, path, basis
        self._relative = relative
        self._collocation = Collocation(decoder, basis.degree)
        self._times_of_path = _times(decoder, path)
        kept = torch.linspace(0, len(path) - 1, min(len(path) - 1, _FIRST) + 1).round().long()
        self._times, self._z = self._times_of_path[kept], path[kept]
        self._v = _velocities(self._times, self._z)
        self._long = torch.ones(len(kept) - 1, dtype=torch.bool)

    @property
    def _halves(self):
        return (self._times[1:] - self._times[:-1]) / 2

    def attempt(self):
        """A reason why nothing is proved and None, or None and a CertifiedGeodesic."""
        near = self._near(self._z[:-1], self._v[:-1])
        self._long = ~near.settled
        if self._long.any():
            return "The equations of geodesics are not solved numerically near the path.", None
        z, v, found = newton(self._near, self._z, self._v)
        if not found:
            return f"Newton's method finds no geodesic from the path{_PERHAPS}", None
        self._z, self._v = z, v
        return self._proved(self._near(z[:-1], v[:-1]))

    def halve(self):
        """Halve segments that are too long, all if none is; False if there would be too many."""
        chosen = self._long if self._long.any() else torch.ones_like(self._long)
        if len(chosen) + chosen.sum() > _MOST:
            return False
        h = 2 * self._halves[:, None]
        (z, ahead), (v, faster) = ((x[:-1], x[1:]) for x in (self._z, self._v))
        middles = (
            self._times[:-1] + self._halves,
            (z + ahead) / 2 + h / 8 * (v - faster),
            1.5 / h * (ahead - z) - (v + faster) / 4,
        )
        self._times, self._z, self._v = (
            _interleaved(x, y, chosen)
            for x, y in zip((self._times, self._z, self._v), middles, strict=True)
        )
        return True

    def _near(self, z, v):
        """Segments from z, v (K, d), in floating point."""
        return self._collocation.segments(self._halves, z, v)

    def _proved(self, near):
        """As ``attempt``, once Newton's method is done."""
        z, v = self._z, self._v

        def flow_from(*starts):
            return flow(self._decoder, self._basis, self._halves, near, starts)

        central = flow_from(*(TaylorModels.constant(self._basis, x[:-1]) for x in (z, v)))
        self._long = ~central.proved
        if self._long.any():
            return "The flow is not enclosed on all segments.", None
        radius, around = contracted(central, flow_from, z, v)
        self._long = ~around.proved
        if radius is None:
            return f"Krawczyk's test fails{_PERHAPS}", None
        form = IndexForm(around, self._times)
        self._long = ~form.are_short()
        if self._long.any():
            return "A segment may hold points conjugate to its own start.", None
        length = _length(around, v[:-1], radius[:-1, z.shape[1] :])
        if not 0 <= length[0] <= length[1] < math.inf:
            return "The speed is not the same at all nodes: the decoder is not smooth.", None
        return None, self._certified(around, form, radius, length)

    def _certified(self, around, form, radius, length):
        d, conjugate = self._z.shape[1], form.conjugate_points()
        nodes, velocities = (
            torch.stack(ball(self._basis, x, r).bounds(), -1)
            for x, r in zip((self._z, self._v), radius.split(d, 1), strict=True)
        )
        is_close = length[1] - length[0] <= self._relative * length[0]
        return CertifiedGeodesic(
            proved=True,
            reached=is_close and conjugate is not None,
            length=length,
            times=self._times,
            nodes=nodes,
            velocities=velocities,
            distance=_distance(around, self._times, self._path, self._times_of_path),
            index=None if conjugate is None else sum(count for *_, count in conjugate),
            conjugate=conjugate,
            reason="",
        )


def _checked(decoder, path, relative, degree):
    if isinstance(decoder, AmbientDecoder):
        raise CertificationError("Geodesics are certified in Euclidean data space only.")
    if not isinstance(path, torch.Tensor) or path.ndim != 2 or len(path) < 2:
        raise CertificationError("path must be nodes (n + 1, d), such as geodesic(...).path[0].")
    if not path.is_floating_point():
        raise CertificationError(f"path must be floating point; got {path.dtype}.")
    check_finite(path, "path")
    if not isinstance(relative, float) or not 0 < relative < 1:
        raise CertificationError(f"relative must be between 0 and 1; got {relative!r}.")
    if not isinstance(degree, int) or degree not in _DEGREES:
        raise CertificationError(f"degree must be 4 to 16; got {degree!r}.")
    path = path.detach().cpu().double()
    decoder = converted(decoder, torch.float64)
    check_decoder(decoder, path)
    with torch.no_grad():
        _decoded(decoder, path)
        check_rows_independent(decoder, path, values_at(decoder, path))
    return decoder, path


def _decoded(decoder, path):
    """Ψ of the nodes, (n + 1, D)."""
    try:
        value = decoder(path).reshape(len(path), -1)
    except RuntimeError as error:
        raise CertificationError(
            f"The decoder does not take the path's nodes, float64 {tuple(path.shape)}: {error}"
        ) from error
    if not value.isfinite().all():
        raise CertificationError("Ψ is not finite at all nodes of the path.")
    return value


def _times(decoder, path):
    """Of nodes, in proportion to distances in data space, from 0 to 1: (n + 1,)."""
    with torch.no_grad():
        value = _decoded(decoder, path)
    lengths = (value[1:] - value[:-1]).norm(dim=1).cumsum(0)
    times = torch.cat([lengths.new_zeros(1), lengths / lengths[-1]])
    times = (times * _TICKS).round() / _TICKS
    if not (times[1:] > times[:-1]).all():
        raise CertificationError("Neighbours on the path decode to the same point.")
    return times


def _velocities(times, z):
    """Differences of second order, (n + 1, d)."""
    return torch.gradient(z, spacing=(times,), dim=0, edge_order=min(2, len(z) - 1))[0]


def _interleaved(nodes, middles, chosen):
    """Nodes with some of the middles between them."""
    order = torch.arange(len(nodes) + len(middles))
    both = nodes.new_empty(len(order), *nodes.shape[1:])
    both[0::2], both[1::2] = nodes, middles
    kept = torch.ones(len(order), dtype=torch.bool)
    kept[1::2] = chosen
    return both[kept]


def _length(around, v, radius):
    """|γ'|, which is the same at all nodes, and so between the bounds at each."""
    speed = ball(around.z.basis, v, radius)
    square = np.einsum("nij,ni,nj->n", at(around.along.metric(), -1.0), speed, speed)
    low, high = square.sqrt().bounds()
    return low.max().item(), high.min().item()


def _distance(around, times, path, times_of_path):
    """From the nodes of the path to γ at about their times, at most."""
    k = (torch.searchsorted(times, times_of_path) - 1).clamp(min=0)
    tau = (2 * (times_of_path - times[k]) / (times[k + 1] - times[k]) - 1).clamp(-1, 1)
    gap = at(around.z[k], tau) - path
    return max(-gap.bounds()[0].min().item(), gap.bounds()[1].max().item())


def _unproved(path, reason):
    d = path.shape[1]
    return CertifiedGeodesic(
        proved=False,
        reached=False,
        length=(0.0, math.inf),
        times=path.new_zeros(0),
        nodes=path.new_zeros(0, d, 2),
        velocities=path.new_zeros(0, d, 2),
        distance=math.inf,
        index=None,
        conjugate=None,
        reason=reason,
    )
