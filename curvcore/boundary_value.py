"""Geodesics between two points to many digits, by deferred correction of discrete ones.

The geodesic equation z̈ + Γ(ż, ż) = 0 is written at n + 1 equidistant nodes with differences of
order eight. What a path leaves over of it, times h²g, is a gradient of the discrete energy
(:mod:`curvcore.discrete_energy`) but for O(h²), so that steps with the Hessian of that energy go to
its solution in a few iterations. Solutions with n and 2n segments tell the error. Nodes are kept in
float64, whatever the decoder is in: second differences lose n² eps of them. References: Fox, *Proc.
R. Soc. A* 190 (1947); Pereyra, *Numer. Math.* 11 (1968); Fornberg, *Math. Comp.* 51 (1988).
"""

from dataclasses import dataclass
from functools import cache, partial
from math import factorial

import numpy as np
import torch

from curvcore.discrete_energy import model_of
from curvcore.geodesics import solved

ORDER = 8
_ITERATIONS = 15
# Second differences of order eight are up to 512/315 times those of order two, at the highest
# frequency, and once at the lowest: of steps of the latter this share contracts both alike.
_SHARE = 2 / (1 + 512 / 315)
_FINEST = 512
# By how much, of its length, the velocity may change from n to 2n segments. Its error is some 2⁷
# times smaller then.
_AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3}


@dataclass(frozen=True, eq=False)
class Solution:
    """Geodesics: nodes (B, n+1, d), velocities there at unit time, and whether they were found.

    Of float64.
    """

    path: torch.Tensor
    velocities: torch.Tensor
    converged: torch.Tensor


@torch.no_grad()
def geodesics_near(decoder, space, path):
    """The Solution near discrete geodesics (B, n+1, d), at the same nodes.

    Args:
        decoder: of the energy.
        space: what :func:`curvcore.covariant.along` makes of it.
        path: as above, n ≥ 9.
    """
    segments, dtype = path.shape[1] - 1, path.dtype
    solve = partial(_corrected, decoder, space, dtype)
    nodes, velocities = solve(path.double())
    converged = torch.zeros_like(path[:, 0, 0], dtype=torch.bool)
    active, fine = torch.arange(len(path), device=path.device), nodes
    while len(active) and fine.shape[1] <= _FINEST // 2 + 1:
        fine, moving = solve(_with_midpoints(fine))
        every = (fine.shape[1] - 1) // segments
        fine_nodes, moving = fine[:, ::every], moving[:, ::every]
        tangent = space.tangent_spaces(fine_nodes[:, 0].to(dtype), compare=False)
        both = moving[:, 0], moving[:, 0] - velocities[active, 0]
        speed, change = (tangent.components(v.to(dtype)).norm(dim=1) for v in both)
        nodes, velocities = nodes.clone(), velocities.clone()
        nodes[active], velocities[active] = fine_nodes, moving
        # Where the ends are one point, there is rounding alone.
        agree = change <= _AGREEMENT[dtype] * speed
        agree |= (fine_nodes[:, -1] == fine_nodes[:, 0]).all(1) & (moving[:, 0] == 0).all(1)
        converged[active] = agree
        going_on = ~agree & fine.isfinite().flatten(1).all(1)
        active, fine = active[going_on], fine[going_on]
    return Solution(nodes, velocities, converged)


def _corrected(decoder, space, dtype, path):
    """The solution with these ends and nodes, (B, n+1, d), and its velocities."""
    model = model_of(decoder, path.to(dtype)).double()
    largest = torch.full_like(path[:, 0, 0], torch.inf)
    for _ in range(_ITERATIONS):
        step = _SHARE * _step(space, dtype, model, path)
        size = torch.einsum("bki,bkij,bkj->bk", step, model.metric, step).amax(1).sqrt()
        smaller = size < 0.7 * largest
        if not smaller.any():
            break
        largest = torch.where(smaller, size, 0)  # a path that has stopped stays
        step = torch.where(smaller[:, None, None], step, 0)
        path = torch.cat([path[:, :1], path[:, 1:-1] + step, path[:, -1:]], 1)
    return path, _differences(path, 1)


def _step(space, dtype, model, path):
    """δ (B, n−1, d) with ∇²f δ = h² g(z̈ + Γ(ż, ż))."""
    count, segments, d = len(path), path.shape[1] - 1, path.shape[2]
    velocity, acceleration = (_differences(path, order)[:, 1:-1] for order in (1, 2))
    points, directions = (x.flatten(0, 1).to(dtype) for x in (path[:, 1:-1], velocity))
    bent = space.tangential(points, directions[..., None])[:, 0]
    left = acceleration + bent.unflatten(0, (count, segments - 1))
    right = (model.metric @ left[..., None])[..., 0] / segments**2
    step, _, failed = solved(*model.hessian(), right)
    if failed.any():  # a saddle, behind a conjugate point
        at = failed.nonzero()[:, 0]
        step = step.index_copy(0, at, _dense_solution(model.of(at), right[at]))
    return step.reshape(count, segments - 1, d)


def _dense_solution(model, right):
    """The same where ∇²f is not positive definite."""
    diagonal, beside = model.hessian()
    count, nodes, d = right.shape
    matrix = right.new_zeros(count, nodes, d, nodes, d)
    for k in range(nodes):
        matrix[:, k, :, k] = diagonal[:, k]
    for k in range(nodes - 1):
        matrix[:, k, :, k + 1] = beside[:, k]
        matrix[:, k + 1, :, k] = beside[:, k].mT
    matrix = matrix.flatten(3).flatten(1, 2)
    solution, info = torch.linalg.solve_ex(matrix, right.flatten(1)[..., None])
    return torch.where(info[:, None] == 0, solution[..., 0], torch.nan).unflatten(1, (nodes, d))


# --- differences ----------------------------------------------------------------------------------


def _differences(path, order):
    """The derivative of this order in time of paths (B, n+1, d)."""
    matrix = torch.from_numpy(_weights(path.shape[1] - 1, order)).to(path)
    return torch.einsum("kl,bli->bki", matrix, path - path[:, :1])


def _with_midpoints(path):
    """Paths (B, 2n+1, d) through the nodes of (B, n+1, d)."""
    matrix = torch.from_numpy(_midpoint_weights(path.shape[1] - 1)).to(path)
    between = path[:, :1] + torch.einsum("kl,bli->bki", matrix, path - path[:, :1])
    return torch.cat([torch.stack([path[:, :-1], between], 2).flatten(1, 2), path[:, -1:]], 1)


@cache
def _weights(segments, order):
    """Those of all nodes k/n for a derivative at each of them, (n+1, n+1)."""
    return segments**order * np.stack(
        [_stencil(segments, k, ORDER + order, order) for k in range(segments + 1)]
    )


@cache
def _midpoint_weights(segments):
    return np.stack([_stencil(segments, k + 0.5, ORDER - 1, 0) for k in range(segments)])


def _stencil(segments, at, degree, order):
    """Weights of the values at 0, ..., n of a polynomial through the nodes nearest ``at``."""
    first = min(max(round(at - degree / 2), 0), segments - degree)
    nodes = np.arange(first, first + degree + 1)
    weights = np.zeros(segments + 1)
    for node in nodes:
        others = nodes[nodes != node]
        lagrange = np.poly(others - at)[degree - order] / np.prod((node - others).astype(float))
        weights[node] = factorial(order) * lagrange
    return weights
