"""Circumferences of geodesic circles from values of Ψ alone: no derivative, no Christoffel symbol.

Points x_k = Ψ(z_k) are a discrete geodesic if their energy Σ |x_{k+1} − x_k|² is stationary,

    ⟨T_i(z_k), x_{k+1} − 2 x_k + x_{k−1}⟩ = 0,   i = 1, …, d,

T_i a difference quotient of Ψ in z_i with a step proportional to that of the chain. That is the
SHAKE integrator for a free particle on the surface, symmetric and of order 2: with N steps to
radius r, ends are off by r³/N², in even powers of r and of 1/N once added up over a circle.

Reference: Hairer, Lubich & Wanner, *Geometric Numerical Integration*, VII.1.4.
"""

import math

import torch

# Directions on a circle: its ends are a trigonometric polynomial in the angle, of degree 1 + k at
# order r^k, and radii are a fraction of the curvature's.
DIRECTIONS = 24
# Each iteration gains the square of the angle between neighbouring tangent planes.
ITERATIONS = 12
CONVERGED = 1e-12
PROBE = 1e-2


def circumferences(decoder, z, radii, steps):
    """C(r) of circles about z in every plane of an orthonormal frame: (B, pairs).

    Args:
        decoder: (B, d) -> (B, D).
        z: centres (B, d).
        radii: (B,).
        steps: N.
    """
    d, step = z.shape[1], radii / steps
    width = step[:, None] / _speeds(decoder, z)
    frame = torch.linalg.qr(tangents(decoder, z, width)).Q
    angles = 2 * math.pi * torch.arange(DIRECTIONS, dtype=z.dtype) / DIRECTIONS
    first, second = torch.combinations(torch.arange(d), 2).T
    velocity = (
        frame[:, :, first, None] * torch.cos(angles) + frame[:, :, second, None] * torch.sin(angles)
    ).flatten(2)  # (B, D, pairs · directions)
    chains = velocity.shape[2]

    def copied(array):
        return array.repeat_interleave(chains, 0)

    ends = march(decoder, copied(z), velocity.mT.flatten(0, 1), copied(step), copied(width), steps)
    return _perimeter(decoder(ends).unflatten(0, (len(z), len(first), DIRECTIONS)))


def march(decoder, z, velocity, step, width, steps):
    """Ends of discrete geodesics: from z (B, d) with unit ``velocity`` (B, D), ``steps`` steps.

    The first point has x_1 − x_0 = h v up to normal vectors, so that one step backward and one
    forward are a discrete geodesic through z.
    """
    tangent, value = tangents(decoder, z, width), decoder(z)
    before, now = z, _met(decoder, tangent, value + step[:, None] * velocity, z)
    for _ in range(steps - 1):
        tangent, ahead = tangents(decoder, now, width), 2 * decoder(now) - decoder(before)
        before, now = now, _met(decoder, tangent, ahead, 2 * now - before)
    return now


def tangents(decoder, z, width):
    """T_i = (8 (Ψ(z + w_i e_i) − Ψ(z − w_i e_i)) − (Ψ(z + 2w_i e_i) − Ψ(z − 2w_i e_i)))/12 w_i."""
    columns = []
    for i in range(z.shape[1]):
        unit = torch.zeros_like(z)
        unit[:, i] = width[:, i]
        near = decoder(z + unit) - decoder(z - unit)
        far = decoder(z + 2 * unit) - decoder(z - 2 * unit)
        columns.append((8 * near - far) / (12 * width[:, i, None]))
    return torch.stack(columns, -1)


def bending(decoder, z):
    """The largest |Ψ(z + w) − 2Ψ(z) + Ψ(z − w)|/|chord/2|² along the coordinate axes: (B,).

    At least the normal curvature there; it tells how small a circle must be.
    """
    width = PROBE / _speeds(decoder, z)
    bends = []
    for i in range(z.shape[1]):
        unit = torch.zeros_like(z)
        unit[:, i] = width[:, i]
        after, before = decoder(z + unit), decoder(z - unit)
        half = (after - before).norm(dim=1) / 2
        bends.append((after - 2 * decoder(z) + before).norm(dim=1) / half**2)
    return torch.stack(bends).amax(0)


def _speeds(decoder, z):
    """|∂_i Ψ|, roughly: (B, d)."""
    return tangents(decoder, z, torch.full_like(z, PROBE)).norm(dim=1)


def _met(decoder, tangent, target, guess):
    """z near ``guess`` with ⟨T_i, Ψ(z) − target⟩ = 0; NaN where that is not found."""
    inverse = torch.linalg.inv_ex(tangent.mT @ tangent).inverse
    pseudoinverse, z = inverse @ tangent.mT, guess
    for _ in range(ITERATIONS):
        change = torch.einsum("bia,ba->bi", pseudoinverse, decoder(z) - target)
        z = z - change
    return torch.where(change.norm(dim=1, keepdim=True) < CONVERGED, z, torch.nan)


def _perimeter(ends):
    """∮ |dx/dα| dα of closed curves (..., directions, D), dx/dα by discrete Fourier transform."""
    frequencies = torch.arange(DIRECTIONS // 2 + 1, dtype=ends.dtype)
    frequencies[-1] = 0  # the derivative of cos(mα/2) at its own nodes
    spectrum = torch.fft.rfft(ends, dim=-2) * (1j * frequencies)[:, None]
    speed = torch.fft.irfft(spectrum, n=DIRECTIONS, dim=-2).norm(dim=-1)
    return speed.mean(-1) * 2 * math.pi
