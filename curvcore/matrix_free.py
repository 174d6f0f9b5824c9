"""Estimates of R where not even ∇Ψ fits: products with it and with its transpose alone.

With independent ξ ∈ R^D of mean zero and covariance 1, u = argmin |J u − ξ| = g⁻¹Jᵀξ is a tangent
vector of covariance g⁻¹, as :mod:`curvcore.hutchinson` asks for; and the normal part of ∂_u∂_vΨ is
what is left of it by the best J c. Both are least squares, by conjugate gradients on JᵀJ (CGLS:
Björck, *Numerical Methods for Least Squares Problems*, 1996, alg. 7.4.1), one vector a point at a
time. Probes are taken in pairs, so that at most two first and three second derivatives are held.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Linearised:
    """A decoder near points z (B, d).

    Attributes:
        times: V (B, d) -> J V (B, D).
        transposed: w (B, D) -> Jᵀ w (B, d).
        second: V (B, d, 2) -> ∂_1∂_1Ψ, ∂_1∂_2Ψ, ∂_2∂_2Ψ, (B, 3, D).
    """

    times: Any
    transposed: Any
    second: Any


@dataclass(frozen=True)
class Solver:
    """When conjugate gradients end: |Jᵀr| ≤ tolerance |Jᵀb| at every point, or so many steps."""

    tolerance: float
    max_iterations: int


class Solutions:
    """Least squares with J, and how well they went.

    Attributes:
        residual: the largest |Jᵀr|/|Jᵀb| of a point so far, (B,).
        iterations: of the longest solution so far.
    """

    def __init__(self, linearised, solver):
        self._linearised, self._solver = linearised, solver
        self.residual, self.iterations = 0.0, 0

    def __call__(self, b):
        """x (B, d) that minimises |J x − b| for b (B, D), and b − J x."""
        of_b = _size(b)
        gradient = self._linearised.transposed(b / of_b)
        of_slope = _size(gradient)
        x, rest = self._solved(b / of_b, gradient / of_slope, of_slope)
        return of_b / of_slope * x, of_b * rest

    def _solved(self, b, gradient, unit):
        """The same for J over ``unit`` (B, 1), with which squares stay in range, and Jᵀb."""

        def times(v):
            return self._linearised.times(v / unit)

        def transposed(w):
            return self._linearised.transposed(w) / unit

        x, rest, direction = torch.zeros_like(gradient), b, gradient
        square = first = _squared(gradient)
        for step in range(1, self._solver.max_iterations + 1):
            self.iterations = max(self.iterations, step)
            image = times(direction)
            length = _quotient(square, _squared(image))
            x, rest = x + length * direction, rest - length * image
            gradient, before = transposed(rest), square
            square = _squared(gradient)
            # False as well where they are not finite.
            if not (square > self._solver.tolerance**2 * first).any():
                break
            direction = gradient + _quotient(square, before) * direction
        residual = _quotient(square, first).sqrt()[:, 0]
        self.residual = residual.clamp(min=self.residual)
        return x, rest


def normal_second_derivatives(linearised, solutions, noise):
    """II(u_i, u_j), packed (B, k(k+1)/2, D), from ``noise`` ξ (B, k, D)."""
    k = noise.shape[1]
    probes = [solutions(noise[:, i])[0] for i in range(k)]
    found = {}
    for i, j in itertools.combinations(range(k), 2):
        second = linearised.second(torch.stack([probes[i], probes[j]], -1))
        for place, pair in enumerate(((i, i), (i, j), (j, j))):
            if pair not in found:
                found[pair] = solutions(second[:, place])[1]
    return torch.stack([found[pair] for pair in sorted(found)], 1)


def _squared(vectors):
    return vectors.square().sum(1, keepdim=True)


def _size(vectors):
    """The greatest entry of each vector, (B, 1), or 1."""
    greatest = vectors.abs().amax(1, keepdim=True)
    return torch.where((greatest > 0) & greatest.isfinite(), greatest, 1)


def _quotient(a, b):
    """a/b, and zero where b is: what has converged exactly stays."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1), 0)
