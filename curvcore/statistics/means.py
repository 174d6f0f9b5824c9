"""Fréchet means, by Newton's method with the Hessian of squared distances.

F(m) = Σ w_i ½ d(m, z_i)² has ∇F = −Σ w_i g log_m(z_i), and its Hessian comes with the geodesics
(:mod:`curvcore.statistics.curves`). Steps p of ∇²F p = −∇F, in coordinates, are
halved until F falls. Reference: Pennec, *Intrinsic statistics on Riemannian manifolds*, 2006.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from curvcore.display import Displayed
from curvcore.maps import checked
from curvcore.providers.kinks import one_warning_of_kinks
from curvcore.statistics.checks import check_count, checked_weights
from curvcore.statistics.curves import shortest, start_derivatives
from curvcore.statistics.fields import DecoderField
from curvcore.types import Decoder
from curvcore.validation import check_latent_array

_ITERATIONS, HALVINGS = 50, 12
_TERMS = (16, 32)


class _Precision(NamedTuple):
    """Of E and F, what the last steps promise; of lengths, their change on twice as many terms."""

    curves: float
    mean: float
    length: float


# Of F and E rounding makes some 1e-15, and 1e-7.
_PRECISION = {
    torch.float64: _Precision(1e-13, 1e-13, 1e-8),
    torch.float32: _Precision(1e-7, 1e-6, 1e-4),
}


@dataclass(frozen=True, eq=False, repr=False)
class FrechetMean(Displayed):
    """The point of least Σ w_i d(m, z_i)², from :func:`frechet_mean`.

    Attributes:
        point: m, (d,).
        distance: d(m, z_i), (B,).
        objective: Σ w_i d(m, z_i)², of each m on the way there; each less than the one before.
        converged: whether m is a strict local minimum, found to rounding, (): a tensor of one bool.
        found: whether the geodesic to z_i was found, and has no conjugate points, (B,).
    """

    point: torch.Tensor
    distance: torch.Tensor
    objective: torch.Tensor
    converged: torch.Tensor
    found: torch.Tensor


@torch.no_grad()
def frechet_mean(
    decoder: Decoder,
    z: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    start: torch.Tensor | None = None,
) -> FrechetMean:
    """The Fréchet mean of points in g = ∇Ψᵀ∇Ψ: where Σ w_i d(m, z_i)² is least.

    Found from a start on, along geodesics that begin as straight lines: a local minimum, the only
    one where the points lie in a ball that is small enough. In float64 to 1e-8 of the distances.
    Curves take the Riemann tensor, d⁴ numbers a node. No gradients flow.

    Args:
        decoder: ``nn.Module`` or callable, as in :func:`curvcore.pullback`.
        z: points (B, d), float64 or float32.
        weights: (B,), not negative, with sum 1; None is 1/B each.
        start: (d,), where the search begins; None is the mean of the coordinates. Another one is a
            way out where that is a saddle, between the sides of a hill.

    Raises:
        InputError, DecoderError, RowsNotIndependentError, UnsupportedOperationError.
    """
    decoder, z = checked(decoder, z)
    check_count("The number of points", len(z))
    weights = checked_weights(weights, z)
    if start is not None:
        start = check_latent_array("start", start, 1, z.shape[1], None).double().cpu()
    with one_warning_of_kinks(), torch.autocast(z.device.type, enabled=False):
        found = mean_by(decoder, z, weights, start)
    return FrechetMean(*(like(part, z) for part in vars(found).values()))


def like(part, z):
    """A part of a result in the dtype and on the device of z."""
    return part.to(z) if part.is_floating_point() else part.to(z.device)


# --- one mean -------------------------------------------------------------------------------------


def mean_by(decoder, z, weights, start=None):
    """FrechetMean of z (B, d) in float64, from ``start`` or the mean of coordinates on."""
    field, precision = DecoderField(decoder, z), _PRECISION[z.dtype]
    points, weights = z.double().cpu(), weights.double().cpu()
    point = weights @ points if start is None else start
    weighty = weights > 0
    for terms in _TERMS:  # as few as suffice
        few = _Objective(field, points[weighty], weights[weighty], precision)
        point, objective, converged = few.minimum(point, terms)
        every = _Objective(field, points, weights, precision)
        curves = every.curves(point, points.new_zeros(*points.mT.shape, terms))
        finer = shortest(field, *curves.finer(2 * terms), precision.curves)
        change = (finer.length - curves.length).abs()
        found = finer.stationary & finer.minimal & (change <= precision.length * finer.length)
        if found[weighty].all():
            break
    converged = converged & found[weighty].all()
    return FrechetMean(point, finer.length, torch.stack(objective), converged, found)


class _Objective(NamedTuple):
    """2F = Σ w_i d(m, z_i)²."""

    field: DecoderField
    points: torch.Tensor
    weights: torch.Tensor
    precision: _Precision

    def curves(self, start, c):
        """Geodesics from m to all points, near those of c."""
        ends = torch.stack([start.expand_as(self.points), self.points]).movedim(-1, 1)
        return shortest(self.field, ends, c, self.precision.curves)

    def minimum(self, point, terms):
        """m, the objectives on the way to it, and whether it is a minimum."""
        curves = self.curves(point, point.new_zeros(*self.points.mT.shape, terms))
        objective = [self.weights @ curves.length**2]
        for _ in range(_ITERATIONS):
            gradient, hessian = start_derivatives(self.field, curves)
            gradient = self.weights @ gradient
            hessian = torch.einsum("b,bij->ij", self.weights, hessian)
            step, promised, definite = (
                part[0]
                for part in newton_step(self.field, point[None], gradient[None], hessian[None])
            )
            if promised <= self.precision.mean * objective[-1]:
                return point + step, objective, definite & curves.stationary.all()
            ahead = self._lower(point, step, curves, objective[-1])
            if ahead is None:
                break
            point, curves = ahead
            objective.append(self.weights @ curves.length**2)
        return point, objective, torch.tensor(False)

    def _lower(self, point, step, curves, value):
        """The point on the way along the step where 2F is less, and its curves, or None."""
        for halving in range(HALVINGS):
            ahead = point + step / 2**halving
            trial = self.curves(ahead, curves.c)
            if trial.stationary.all() and self.weights @ trial.length**2 < value:
                return ahead, trial
        return None


def newton_step(field, point, gradient, hessian):
    """Newton's steps (k, d), what they promise of 2F, and whether ∇²F > 0; where not by g: (k,)."""
    zero = torch.zeros_like(point.mT)
    metric = field.parts(point.mT, zero).metric.movedim(-1, 0)
    factor, info = torch.linalg.cholesky_ex(hessian)
    definite = info == 0
    other, _ = torch.linalg.cholesky_ex(metric)
    factor = torch.where(definite[:, None, None], factor, other)
    step = torch.cholesky_solve(-gradient[..., None], factor)[..., 0]
    return step, -(gradient * step).sum(1), definite
