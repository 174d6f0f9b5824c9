"""Geodesics that are certain to exist near numerical ones, their lengths and conjugate points."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.witness import check_rows_independent
from curvcore.types import Decoder
from curvcore.validation import check_decoder, check_finite, check_points
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


@dataclass(frozen=True, eq=False)
class CertifiedGeodesic:
    """What is certain of a geodesic γ: [0, 1] -> latents near a numerical one, with its ends.

    Attributes:
        proved: whether there is one, exactly one within these bounds; all else is infinite, NaN or
            None where not.
        length: (low, high).
        velocity: bounds of γ'(0), (d, 2).
        times, nodes: times (K + 1,) and bounds of γ there, (K + 1, d, 2).
        distance: from the nodes of the numerical path to γ at most, the largest in any latent
            coordinate.
        index: how many points of γ before its end are conjugate to its start, by multiplicity,
            Morse's index: 0 and no shorter curve is near. None where it is not known, or the end
            may be conjugate itself.
        conjugate: (low, high, how many) of times that hold them; None as above.
        reason: why it is not proved.
    """

    proved: bool
    length: tuple[float, float]
    velocity: torch.Tensor
    times: torch.Tensor
    nodes: torch.Tensor
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
    halved until that succeeds, or there are 512, or the time is up.

    Args:
        decoder: as of :func:`verification.certify`, without ``ambient=`` and ``likelihood=``, and
            smooth along the path.
        path: nodes (n + 1, d), such as ``curvcore.geodesic(decoder, a, b).path[0]``; floats count
            as exact numbers.
        relative: how close the bounds of the length are to be, of it.
        degree: of the Taylor models in the time, 4 to 16.
        seconds: after so many no new attempt is begun.

    Returns:
        CertifiedGeodesic; not ``proved`` where nothing is found, and with a reason.

    Raises:
        CertificationError: an operation has no version for Taylor models; the path, the accuracy or
            the degree is none.
    """
    decoder, path = _checked(decoder, path, relative, degree)
    deadline = time.monotonic() + seconds
    search, best = _Search(decoder, path, monomials(1, degree)), None
    while True:
        reason, result = search.attempt()
        best = result or best
        if (
            result is not None
            and result.length[1] - result.length[0] <= relative * result.length[0]
        ):
            return result
        if time.monotonic() > deadline or not search.halve():
            return best or _unproved(path, reason)


class _Search:
    """Nodes that are moved to a geodesic, and added where segments are too long."""

    def __init__(self, decoder, path, basis):
        self._decoder, self._path, self._basis = decoder, path, basis
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
            return "Newton's method finds no geodesic from the path.", None
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
            return "Krawczyk's test fails.", None
        form = IndexForm(around, self._times)
        self._long = ~form.are_short()
        if self._long.any():
            return "A segment may hold points conjugate to its own start.", None
        return None, self._certified(around, form, radius)

    def _certified(self, around, form, radius):
        d = self._z.shape[1]
        nodes, velocity = (
            torch.stack([x - r, x + r], -1)
            for x, r in zip((self._z, self._v), radius.split(d, 1), strict=True)
        )
        conjugate = form.conjugate_points()
        return CertifiedGeodesic(
            proved=True,
            length=_length(around, self._v[:-1], radius[:-1, d:]),
            velocity=velocity[0],
            times=self._times,
            nodes=nodes,
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
    check_points(path)
    check_finite(path, "path")
    if not 0 < relative < 1:
        raise CertificationError(f"relative must be between 0 and 1; got {relative!r}.")
    if degree not in _DEGREES:
        raise CertificationError(f"degree must be 4 to 16; got {degree!r}.")
    path = path.detach().cpu().double()
    decoder = converted(decoder, torch.float64)
    check_decoder(decoder, path)
    with torch.no_grad():
        check_rows_independent(decoder, path, values_at(decoder, path))
    return decoder, path


def _times(decoder, path):
    """Of nodes, in proportion to distances in data space, from 0 to 1: (n + 1,)."""
    with torch.no_grad():
        value = decoder(path).reshape(len(path), -1)
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
    """From the nodes of the path to γ at their times, at most."""
    k = (torch.searchsorted(times, times_of_path) - 1).clamp(min=0)
    tau = (2 * (times_of_path - times[k]) / (times[k + 1] - times[k]) - 1).clamp(-1, 1)
    gap = at(around.z[k], tau) - path
    return max(-gap.bounds()[0].min().item(), gap.bounds()[1].max().item())


def _unproved(path, reason):
    d, infinite = path.shape[1], (-math.inf, math.inf)
    return CertifiedGeodesic(
        proved=False,
        length=(0.0, math.inf),
        velocity=path.new_tensor(infinite).expand(d, 2),
        times=path.new_zeros(0),
        nodes=path.new_zeros(0, d, 2),
        distance=math.inf,
        index=None,
        conjugate=None,
        reason=reason,
    )
