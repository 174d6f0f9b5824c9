"""Exponential and logarithm map, and parallel transport, of the pullback metric.

A geodesic has z̈ = −Γ(ż, ż), and a parallel field w along a curve ẇ = −Γ(ż, w), where

    Γ^k(u, w) = g^{kl} ⟨∂_lΨ, ∂_u∂_wΨ⟩

takes ∇Ψ and one second derivative, whatever d is. From their start on they are solved by a
Runge–Kutta method of order eight with adaptive steps (torchdiffeq), in coordinates at the start in
which the metric is the identity and the geodesic one unit long: precision does not depend on units.
References: do Carmo, *Riemannian Geometry*, chapters 2, 3 and 5; Hairer, Nørsett, Wanner, *Solving
Ordinary Differential Equations I*.
"""

from dataclasses import dataclass

import torch

from curvcore.binding import bound_at
from curvcore.boundary_value import geodesics_near
from curvcore.covariant import along
from curvcore.discrete_energy import lengths_of
from curvcore.display import Displayed
from curvcore.errors import InputError
from curvcore.geodesics import check_path, geodesic, is_local_minimum
from curvcore.initial_value import solved, solved_apart
from curvcore.modes import load_forward_mode
from curvcore.piecewise import check_no_rows, is_plain
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.rows import each_row_alone
from curvcore.types import Decoder
from curvcore.validation import (
    check_decoder,
    check_finite,
    check_latent_array,
    check_points,
    check_regular,
    checked_box,
)

SEGMENTS = 32  # of the paths that are returned
_TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-6}  # of a step; the speed is one
# By how much the speed of a geodesic may be found to change.
_DRIFT = {torch.float64: 1e-8, torch.float32: 1e-4}
_SPLINE = 5  # degree, of paths given by their nodes


@dataclass(frozen=True, eq=False, repr=False)
class Exponential(Displayed):
    """Geodesics γ over unit time, from :func:`exponential_map`.

    Attributes:
        point: γ(1), (B, d).
        velocity: γ̇(1), (B, d).
        path: γ(0), γ(1/32), ..., γ(1), (B, 33, d).
        converged: whether γ was found: finite, through regular points, at constant speed; (B,).
        before_conjugate: whether no point of it is conjugate to γ(0), so that it is the shortest of
            all curves near it, (B,).
        inside: whether all of the path was found, is decoded to numbers, and is in the box, if
            there is one, (B,).
    """

    point: torch.Tensor
    velocity: torch.Tensor
    path: torch.Tensor
    converged: torch.Tensor
    before_conjugate: torch.Tensor
    inside: torch.Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Logarithm(Displayed):
    """Initial velocities of geodesics between points, from :func:`logarithm_map`.

    Attributes:
        vector: v with exp_z(v) = w, (B, d).
        length: |v|_g, that of the geodesic, (B,).
        path: the geodesic, (B, 33, d).
        converged: whether v is known to the tolerance, and the geodesic regular, (B,).
        before_conjugate: as of :class:`Exponential`; there may be a shorter geodesic all the same.
    """

    vector: torch.Tensor
    length: torch.Tensor
    path: torch.Tensor
    converged: torch.Tensor
    before_conjugate: torch.Tensor


@each_row_alone
def exponential_map(
    decoder: Decoder, z: torch.Tensor, v: torch.Tensor, *, box: torch.Tensor | None = None
) -> Exponential:
    """exp_z(v): where geodesics of g = ∇Ψᵀ∇Ψ that start at z with velocity v are at time 1.

    In float64 to about 1e-8 of the length, in float32 1e-4. Differentiable in z, v and in the
    decoder's parameters, through the solver. All geodesics go in the same steps; one for which
    these get too short, as where g degenerates, is solved apart from the others, which takes some
    seconds. It is NaN behind the first point then, and ``converged`` tells.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        z, v: points and vectors (B, d), float64 or float32.
        box: (d, 2), lower and upper ends of the latents that the decoder knows, for ``inside``.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError;
        DegenerateMetricError: g is degenerate at z.
        ModuleNotFoundError: without torchdiffeq.
    """
    shape = getattr(z, "shape", None)
    decoder, z = checked(decoder, z)
    v = _of_each("v", v, z, shape)
    box = None if box is None else checked_box(box, z)
    if not len(z):
        none = torch.zeros_like(z, dtype=torch.bool).any(1)
        return Exponential(z, v, z[:, None].expand(-1, SEGMENTS + 1, -1), none, none, none)
    with one_warning_of_kinks(), torch.autocast(z.device.type, enabled=False):
        return _exponentials(decoder, z, v, box)


def _exponentials(decoder, z, v, box):
    def solve(z, v):
        return _Equations(decoder, z, v).geodesics(v)

    def lost(z, v):
        return _lost(torch.stack([z, v], 1)[:, :, None], SEGMENTS)

    path, velocities = solved_apart(solve, lost, z, v).unbind(1)
    flags = _flags(decoder, path, velocities, box)
    return Exponential(path[:, -1], velocities[:, -1], path, *flags)


def _lost(start, count):
    """The first node (..., 1, d), and NaN without a gradient for ``count`` nodes behind it."""
    nothing = start.new_full((*start.shape[:-2], count, start.shape[-1]), torch.nan)
    return torch.cat([start, nothing], -2)


@each_row_alone
@torch.no_grad()
def logarithm_map(
    decoder: Decoder, z: torch.Tensor, w: torch.Tensor, *, path: torch.Tensor | None = None
) -> Logarithm:
    """log_z(w): the velocity at z of a geodesic that is at w at time 1.

    From the discrete geodesic of :func:`curvcore.geodesic` on, by differences of order eight
    (:mod:`curvcore.boundary_value`), with as many nodes as it takes for 1e-8 of the length in
    float64, 1e-4 in float32. Which geodesic is found depends on the initial path, and it need not
    be the shortest. No gradients flow.

    Args:
        decoder: as in :func:`exponential_map`.
        z, w: points (B, d).
        path: where the search begins, (B, 33, d); None is the straight line.

    Raises: what :func:`exponential_map` does, and :func:`curvcore.geodesic`.
    """
    shape = getattr(z, "shape", None)
    decoder, z = checked(decoder, z)
    w = _of_each("w", w, z, shape)
    with one_warning_of_kinks(), torch.autocast(z.device.type, enabled=False):
        discrete = geodesic(decoder, z, w, path=path, segments=SEGMENTS).path
        space = along(decoder, z.numel())
        tangent = space.tangent_spaces(z)
        check_regular(tangent.is_degenerate, tangent.condition_number, z)
        found = geodesics_near(decoder, space, discrete)
        path, vector = found.path.to(z.dtype), found.velocities[:, 0].to(z.dtype)
        regular = ~space.tangent_spaces(path.flatten(0, 1), compare=False).is_degenerate
        before = is_local_minimum(decoder, path)
    converged = found.converged & regular.unflatten(0, path.shape[:2]).all(1)
    return Logarithm(vector, tangent.components(vector).norm(dim=1), path, converged, before)


@each_row_alone
def parallel_transport(decoder: Decoder, path: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Vectors v (B, d) at the first node, carried along paths (B, n+1, d): at all nodes, likewise.

    Along the curve of degree five that goes through the nodes, O(n⁻⁶) from another one that does.
    Lengths and angles stay. A vector for which no steps are short enough is NaN behind the first
    node, and does not stop the others. No gradient in the path.

    Raises: what :func:`exponential_map` does.
    """
    check_path(path)
    decoder, start = checked(decoder, path[:, 0])
    v = _of_each("v", v, start, start.shape)
    if not len(path):
        return path.new_zeros(path.shape)

    def solve(start, path, v):
        return _Equations(decoder, start, v).transported(path, v)

    def lost(_, path, v):
        return _lost(v[:, None], path.shape[1] - 1)

    with one_warning_of_kinks(), torch.autocast(path.device.type, enabled=False):
        return solved_apart(solve, lost, start, path, v)


# --- equations ------------------------------------------------------------------------------------


class _Chart:
    """z = z_0 + E y, E an orthonormal frame at z_0, times a length: (..., B, d)."""

    def __init__(self, origin, tangent, length):
        self.origin, self._tangent, self._length = origin, tangent, length[:, None]
        self._frame = tangent.frame()

    def to_latent(self, y):
        """E y."""
        return self._length * (self._frame @ y[..., None])[..., 0]

    def to_components(self, v):
        """E⁻¹ v of latent vectors."""
        return self._tangent.components(v) / self._length


class _Equations:
    """Geodesics and parallel fields from points z (B, d), in units of the lengths of v (B, d)."""

    def __init__(self, decoder, z, v):
        self._along = along(decoder, rows=1)  # no QR of the last layer, again at every step
        tangent = self._along.tangent_spaces(z)
        self._along.second(z[:1], torch.zeros_like(z[:1, :, None]))  # compared here, once
        check_regular(tangent.is_degenerate, tangent.condition_number, z)
        length = tangent.components(v.detach()).norm(dim=1).detach()
        self.length = torch.where(length > 0, length, 1)
        self.chart = _Chart(z, tangent, self.length)
        self.tolerance = _TOLERANCE[z.dtype]

    def geodesics(self, v):
        """γ and γ̇ (B, 2, 33, d) of initial velocities v, and None; or None and stuck rows."""
        chart = self.chart

        def derivative(_, state):
            y, speed = state
            position = chart.origin + chart.to_latent(y)
            return torch.stack([speed, self._bent(position, chart.to_latent(speed))])

        start = chart.to_components(v)
        state = torch.stack([torch.zeros_like(start), start])
        found, stuck = solved(derivative, state, SEGMENTS, self.tolerance)
        if found is None:
            return None, stuck
        positions, velocities = chart.to_latent(found).unbind(1)
        return torch.stack([chart.origin + positions, velocities]).permute(2, 0, 1, 3), None

    def transported(self, path, v):
        """v at all nodes of paths, (B, n+1, d), and None; or None and stuck rows."""
        curve = _Spline(path)

        def derivative(time, w):
            return self._bent(curve(time), curve(time, 1), self.chart.to_latent(w))

        start = self.chart.to_components(v)
        found, stuck = solved(derivative, start, path.shape[1] - 1, self.tolerance)
        return (
            (None, stuck) if found is None else (self.chart.to_latent(found).transpose(0, 1), None)
        )

    def _bent(self, z, u, w=None):
        """−Γ(u, w), or −Γ(u, u), in the chart; all (..., B, d)."""
        directions = torch.stack([u] if w is None else [u, w], -1).flatten(0, -3)
        points = z.flatten(0, -2)
        place = directions.shape[-1] - 1  # of uw among uu, uw, ww
        tangential = self._along.tangential(points, directions)[:, place]
        return -self.chart.to_components(tangential.reshape(z.shape))


class _Spline:
    """Curves (B, d) of time through the nodes of paths (B, n+1, d)."""

    def __init__(self, path):
        from scipy.interpolate import make_interp_spline

        nodes = path.detach().movedim(1, 0).double().cpu().numpy()
        degree = min(_SPLINE, len(nodes) - 1)
        self._spline = make_interp_spline(range(len(nodes)), nodes, k=degree - (degree % 2 == 0))
        self._segments, self._like = len(nodes) - 1, path

    def __call__(self, time, order=0):
        value = self._spline(float(time.detach()) * self._segments, order) * self._segments**order
        return torch.from_numpy(value).to(self._like)


@torch.no_grad()
def _flags(decoder, path, velocities, box=None):
    """Converged, before conjugate points, and inside, of nodes (B, 33, d): (B,) each."""
    finite = (path.isfinite() & velocities.isfinite()).flatten(1).all(1)
    known, moving = (torch.where(finite[:, None, None], x, x[:, :1]) for x in (path, velocities))
    tangent = along(decoder, rows=1).tangent_spaces(known.flatten(0, 1), compare=False)
    speed = tangent.components(moving.flatten(0, 1)).norm(dim=1).unflatten(0, path.shape[:2])
    regular = ~tangent.is_degenerate.unflatten(0, path.shape[:2])
    drift = (speed - speed[:, :1]).abs().amax(1) / torch.where(speed[:, 0] > 0, speed[:, 0], 1)
    decoded = lengths_of(decoder, known).isfinite()
    converged = finite & decoded & regular.all(1) & (drift <= _DRIFT[path.dtype])
    before = finite & is_local_minimum(decoder, known)
    inside = finite & decoded
    if box is not None:
        inside = inside & ((path >= box[:, 0]) & (path <= box[:, 1])).flatten(1).all(1)
    return converged, before, inside


# --- checks ---------------------------------------------------------------------------------------


def _of_each(name, vectors, z, shape):
    """Vectors or points for each of z (B, d), which the user gave in this shape, like z: (B, d)."""
    if isinstance(vectors, torch.Tensor) and vectors.shape == shape:
        vectors = vectors.flatten(1)
    vectors = check_latent_array(name, vectors, 1, z.shape[1], len(z)).to(z).expand_as(z)
    check_finite(vectors, name)
    return vectors


def checked(decoder, z):
    """The bound decoder and points (B, d), or the error that says why geodesics cannot be."""
    decoder, z = bound_at(decoder, z)
    check_points(z)
    check_finite(z)
    if not is_plain(z):
        raise InputError(f"Geodesics need float64 or float32, in eager mode; got {z.dtype}.")
    check_no_rows(decoder)
    check_decoder(decoder, z)
    load_forward_mode()
    return decoder, z
