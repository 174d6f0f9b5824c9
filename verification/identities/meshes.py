"""Quadrature on closed manifolds and on R^d that converges faster than any power of the mesh size.

References: Trefethen & Weideman, *The exponentially convergent trapezoidal rule*, SIAM Review 56
(2014); Trefethen, *Approximation Theory and Approximation Practice*, ch. 19 (Gauss quadrature).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Mesh:
    """Points z (B, d) in coordinates and weights w (B,): ∫ φ dz ≈ Σ w φ(z)."""

    z: torch.Tensor
    weights: torch.Tensor

    def integral(self, values):
        """Σ w φ, φ (B,) -> ()."""
        return (self.weights * values).sum()


def periodic(n, d):
    """n^d equidistant points of [0, 2π)^d: trapezoidal rule, exact to trigonometric degree n − 1.

    For f analytic in the strip |Im z| < α the error is O(e^{−αn}).
    """
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return _product([(angles, torch.full_like(angles, 2 * math.pi / n))] * d)


def spherical(n, d, azimuths=None):
    """Hyperspherical coordinates of S^d: (θ_1, …, θ_{d−1}, φ) ∈ [0, π]^{d−1} × [0, 2π).

    Gauss–Legendre with n nodes in each θ, which avoids the poles, and the trapezoidal rule with
    ``azimuths`` points, 2n if not given, in φ.
    """
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(n))
    polar = ((1 + nodes) * math.pi / 2, weights * math.pi / 2)
    azimuth = periodic(azimuths or 2 * n, 1)
    return _product([polar] * (d - 1) + [(azimuth.z[:, 0], azimuth.weights)])


def box(n, d, half_width):
    """The trapezoidal rule with n^d points on [−L, L]^d, for what has decayed at its boundary."""
    return _shifted(periodic(n, d), half_width / math.pi, half_width * (1 / n - 1))


def _shifted(mesh, scale, offset):
    return Mesh(scale * mesh.z + offset, scale ** mesh.z.shape[1] * mesh.weights)


def _product(rules):
    """The product of one-dimensional rules (points, weights)."""
    points, weights = zip(*rules, strict=True)
    z = torch.cartesian_prod(*points).reshape(-1, len(rules))
    return Mesh(z, torch.cartesian_prod(*weights).reshape(-1, len(rules)).prod(1))
