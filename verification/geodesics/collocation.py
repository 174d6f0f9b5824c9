"""The flow of geodesics over short segments in floating point, by collocation.

Curves are the polynomials of degree n in τ in [−1, 1], t = t_k + h(1 + τ)/2, that satisfy the
equations of :mod:`verification.geodesics.equations` in integrated form at the n + 1 Gauss points.
Nothing here is proved: these are the numbers that proofs begin with. Reference: Hairer, Nørsett and
Wanner, *Solving Ordinary Differential Equations I*, II.7.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch

import curvcore

_ITERATIONS = 60
_SETTLED = 1e-13  # change of z and v, relative to the largest


@dataclass(frozen=True, eq=False)
class Segments:
    """Curves over K segments and their Jacobi fields.

    Attributes:
        ends: z and v at the ends, (K, 2d).
        derivative: ∂(z, v at the end)/∂(z, v at the start), (K, 2d, 2d).
        curve: coefficients of z and v in powers of τ, (n + 1, K, 2d).
        fundamental: of (J, W) from the identity, (n + 1, K, 2d, 2d).
        settled: where iteration has converged, (K,).
    """

    ends: torch.Tensor
    derivative: torch.Tensor
    curve: torch.Tensor
    fundamental: torch.Tensor
    settled: torch.Tensor


class Collocation:
    """Collocation at the n + 1 Gauss points.

    Args:
        decoder: (B, d) -> (B, ...), in float64.
        degree: n.
    """

    def __init__(self, decoder, degree):
        self._decoder, self._count = decoder, degree + 1
        tau, weights = np.polynomial.legendre.leggauss(degree + 1)
        powers = np.vander(tau, increasing=True)
        orders = np.arange(1, degree + 2)
        integrals = (tau[:, None] ** orders - (-1.0) ** orders) / orders
        tensor = torch.from_numpy
        self._tau, self._weights = tensor(tau), tensor(weights)
        self._to_powers = tensor(np.linalg.inv(powers))
        self._integration = tensor(integrals) @ self._to_powers  # values -> ∫_{−1}^τ at the points

    def segments(self, halves, z, v):
        """The Segments from z, v (K, d), of half lengths (K,)."""
        start, half = torch.cat([z, v], 1), halves[:, None, None]
        states, settled = start[:, None].expand(-1, len(self._tau), -1), None
        for _ in range(_ITERATIONS):
            image = start[:, None] + half * (self._integration @ self._slopes(states))
            change = (image - states).abs().amax((1, 2))
            states, settled = image, change <= _SETTLED * (1 + image.abs().amax((1, 2)))
            if settled.all() or not change.isfinite().any():
                break
        ends = start + halves[:, None] * (self._weights @ self._slopes(states))
        fields, last = self._fields(halves, states)
        return Segments(
            ends,
            self._shear(ends, -1) @ last @ self._shear(start, 1),
            torch.einsum("mj,kjc->mkc", self._to_powers, states),
            torch.einsum("mj,kjab->mkab", self._to_powers, fields),
            settled,
        )

    def _slopes(self, states):
        """(v, −Γ(v, v)) of (z, v): (K, n, 2d)."""
        z, v = _points(states)
        force = torch.einsum("nkij,ni,nj->nk", self._geometry(z).christoffel, v, v)
        return torch.cat([v, -force], 1).view_as(states)

    def _fields(self, halves, states):
        """(J, W) at the points and at the ends, from I: they solve a linear system."""
        z, v = _points(states)
        geometry = self._geometry(z)
        turning = -torch.einsum("nkij,ni->nkj", geometry.christoffel, v)
        tidal = torch.einsum(
            "nmi,nijkl,nj,nl->nmk", geometry.inverse_metric, geometry.riemann, v, v
        )
        one = torch.eye(2 * z.shape[1], dtype=z.dtype)
        above = torch.cat([turning, one[: len(one) // 2, : len(one) // 2].expand_as(turning)], 2)
        matrix = torch.cat([above, torch.cat([-tidal, turning], 2)], 1)
        matrix = matrix.view(*states.shape, -1)
        count, size = matrix.shape[1:3]
        system = -halves[:, None, None, None, None] * torch.einsum(
            "pq,kqab->kpaqb", self._integration, matrix
        )
        system = system.reshape(len(halves), count * size, -1)
        system = system + torch.eye(count * size, dtype=z.dtype)
        starts = one.repeat(count, 1).expand(len(halves), -1, -1)
        solved = torch.linalg.solve_ex(system, starts).result
        fields = solved.view(-1, count, size, size)
        last = torch.einsum("q,kqab,kqbc->kac", self._weights, matrix, fields)
        return fields, one + halves[:, None, None] * last

    def _shear(self, states, sign):
        """(δz, δv) -> (δz, δv ± Γ(v) δz) at states (K, 2d)."""
        z, v = states.chunk(2, 1)
        turning = torch.einsum("nkij,ni->nkj", self._geometry(z).christoffel, v)
        size, d = states.shape[1], z.shape[1]
        shear = torch.eye(size, dtype=z.dtype).repeat(len(z), 1, 1)
        shear[:, d:, :d] = sign * turning
        return shear

    def _geometry(self, z):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", curvcore.PiecewiseLinearWarning)  # proofs refuse kinks
            return curvcore.pullback(self._decoder, z, on_degenerate="nan")


def _points(states):
    """z and v, flattened over segments."""
    return states.reshape(-1, states.shape[-1]).chunk(2, 1)
