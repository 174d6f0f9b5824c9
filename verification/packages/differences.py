"""g and R of a decoder from its values alone: no code of curvcore, no automatic differentiation.

Along a direction v, six values Ψ(z ± s h v), s = 1, 2, 3, and Ψ(z) give the first and second
derivative to O(h⁶). Along e_i and e_i + e_j they give all of ∇Ψ and ∇²Ψ, by
∂_ij = (∂²_{e_i+e_j} − ∂²_{e_i} − ∂²_{e_j})/2. This is done with steps h halved again and again, and
the step is taken at which halving it once more changes least: truncation falls with h, rounding
grows like eps/h², and either shows in that change, which bounds the error δ.

R follows from the Gauss equation in an orthonormal frame of tangents, ∇Ψ = Q T, as |H|² − |II|²,
II the part of T^{-T} ∇²Ψ T^{-1} normal to Q. To first order in the errors δ₁ of ∇Ψ and δ₂ of ∇²Ψ,
both with lengths in g:

    |δg| ≤ 2 δ₁ |g|    (in the frame, g = I; |δg| measured as |T^{-T} δg T^{-1}|),
    |δII| ≤ δ₂ + δ₁ (|∇²Ψ| + 2 |II|),    |δR| ≤ 2 (d − 1) |II| |δII|,

the last since |H|² − |II|² is a quadratic form of II with eigenvalues d − 1 and −1. What curvcore
may lose to rounding is that of ``verification.agreement``.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch

from verification.agreement import JET_EPS

STEPS = tuple(2.0**-n for n in range(2, 17))
# Central differences of sixth order: f' = Σ c (f(sh) − f(−sh))/h, f'' = Σ c (f(sh) + f(−sh))/h².
FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
SECOND = {1: 3 / 2, 2: -3 / 20, 3: 1 / 90}
CENTRE = -49 / 18
DOUBT = 2  # times the change when the step is halved
_ROWS = 4096  # at a time


@dataclass(frozen=True)
class Reference:
    """g and R at one point, and how far from them curvcore may be.

    Attributes:
        metric: g (d, d).
        scalar: R.
        frame: T^{-1} (d, d), by which errors of g are measured.
        unit: max(|R|, |II|²), by which errors of R are measured.
        metric_allowed, scalar_allowed: the largest relative errors that pass.
        dimension, ambient: d and D.
    """

    metric: torch.Tensor
    scalar: float
    frame: torch.Tensor
    unit: float
    metric_allowed: float
    scalar_allowed: float
    dimension: int
    ambient: int

    def metric_error(self, metric):
        """|T^{-T} δg T^{-1}|, Frobenius; NaN where g is."""
        return (self.frame.mT @ (metric - self.metric) @ self.frame).norm().item()

    def scalar_error(self, scalar):
        """|δR| / max(|R|, |II|²); NaN where R is."""
        return abs(scalar - self.scalar) / self.unit


def reference(values, z):
    """The Reference at one point.

    Args:
        values: rows (N, d) -> Ψ (N, D), float64.
        z: the point (d,).
    """
    directions = _directions(z)
    centre = values(z[None])[0]
    found = [_derivatives(values, z, centre, directions, h) for h in STEPS]
    first, second, moves = zip(*found, strict=True)
    jacobian, first_error = _best(first, moves, centre, order=1)
    hessian, second_error = _best(second, moves, centre, order=2)
    return _curvature(jacobian, first_error, hessian, second_error)


def _directions(z):
    """e_i, then e_i + e_j, i < j: (d (d + 1)/2, d)."""
    units = torch.eye(len(z), dtype=z.dtype)
    i, j = torch.triu_indices(len(z), len(z), 1)
    return torch.cat([units, units[i] + units[j]])


def _derivatives(values, z, centre, directions, h):
    """∇Ψ (D, d) and ∇²Ψ (D, d, d) with one step, and whether Ψ moves at all in every direction."""
    offsets = torch.tensor([s * h for n in FIRST for s in (n, -n)], dtype=z.dtype)
    rows = (z + offsets[:, None, None] * directions).reshape(-1, len(z))
    moved = torch.cat([values(chunk) for chunk in rows.split(_ROWS)]) - centre
    plus, minus = moved.reshape(len(FIRST), 2, len(directions), -1).unbind(1)
    first = sum(c * (plus[n] - minus[n]) for n, c in enumerate(FIRST.values())) / h
    second = sum(c * (plus[n] + minus[n]) for n, c in enumerate(SECOND.values())) / h**2
    return first[: len(z)].mT, _polarised(second, len(z)), bool(moved.any(1).all())


def _polarised(second, d):
    """∂_ij = (∂²_{e_i+e_j} − ∂²_{e_i} − ∂²_{e_j})/2 from second derivatives along directions."""
    i, j = torch.triu_indices(d, d, 1)
    hessian = torch.diag_embed(second[:d].mT)
    mixed = ((second[d:] - second[i] - second[j]) / 2).mT
    hessian[:, i, j] = hessian[:, j, i] = mixed
    return hessian


def _best(estimates, moves, centre, order):
    """The estimate that halving the step changes least, and the error to reckon with, entrywise.

    Steps below the rounding of Ψ, at which it does not move, tell nothing.
    """
    changes = torch.stack([(b - a).norm() for a, b in pairwise(estimates)])
    changes[~torch.tensor(moves[1:])] = torch.inf
    n = int(changes.nan_to_num(torch.inf).argmin())
    rounding = torch.finfo(centre.dtype).eps * centre.abs()
    floor = (rounding / STEPS[n + 1] ** order).reshape(-1, *(1,) * order)
    return estimates[n + 1], DOUBT * (estimates[n + 1] - estimates[n]).abs() + floor


def _curvature(jacobian, first_error, hessian, second_error):
    """The Reference from ∇Ψ, ∇²Ψ and bounds of the errors of their entries."""
    d, eps = jacobian.shape[1], torch.finfo(jacobian.dtype).eps
    tangents, triangle = torch.linalg.qr(jacobian)
    frame = torch.linalg.inv_ex(triangle).inverse  # not finite where g is degenerate
    whole = _in_frame(hessian, frame)
    normal = whole - torch.einsum("ak,ck,cij->aij", tangents, tangents, whole)
    mean = torch.einsum("aii->a", normal)
    scalar = (mean.square().sum() - normal.square().sum()).item()
    bending, second = normal.norm().item(), whole.norm().item()
    unit = max(abs(scalar), bending**2) or 1.0
    delta_1 = (first_error @ frame.abs()).norm().item()
    delta_2 = _in_frame(second_error, frame.abs()).norm().item()
    rounding = JET_EPS * eps * torch.linalg.cond(triangle).item() ** 2
    delta = delta_2 + delta_1 * (second + 2 * bending) + rounding * (second + bending)
    return Reference(
        metric=jacobian.mT @ jacobian,
        scalar=scalar,
        frame=frame,
        unit=unit,
        metric_allowed=2 * delta_1 + rounding,
        scalar_allowed=2 * max(d - 1, 1) * (bending * delta + delta**2) / unit,
        dimension=d,
        ambient=len(jacobian),
    )


def _in_frame(hessian, frame):
    return torch.einsum("aij,ik,jl->akl", hessian, frame, frame)
