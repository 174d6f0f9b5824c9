"""Decoders that geodesics are known of, and paths in their latent spaces."""

import math

import pytest
import torch

from tests.support.immersions import random_points

SEGMENTS = 16
DTYPES = [torch.float64, torch.float32]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def sphere_by_angles(z):
    """(θ, φ) -> the unit sphere."""
    theta, phi = z.unbind(1)
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], 1)


def cylinder(z):
    """(θ, h) -> the cylinder of radius 2."""
    return torch.stack([2 * z[:, 0].cos(), 2 * z[:, 0].sin(), z[:, 1]], 1)


def hill(z):
    """The graph of 2 exp(−|z|²)."""
    return torch.cat([z, 2 * torch.exp(-z.square().sum(1, keepdim=True))], 1)


def fourier_features(d, components=20, frequency=3.0):
    """sin(Wz + b), far from an isometry."""
    weight = frequency * random_points(0, d, components).T
    return lambda z: torch.sin(z @ weight.to(z.dtype) + torch.arange(components, dtype=z.dtype))


def points(*rows, dtype=torch.float64):
    return torch.tensor(rows, dtype=dtype)


def pairs(d, batch, dtype=torch.float64, seed=1):
    return random_points(seed, d, batch, dtype), random_points(seed + 50, d, batch, dtype)


def bent(start, end, size, segments=SEGMENTS):
    """A path from start to end that leaves the straight line by ``size`` in every coordinate."""
    t = torch.linspace(0, 1, segments + 1, dtype=start.dtype)[:, None]
    line = start[:, None] + t * (end - start)[:, None]
    return line + size * torch.sin(math.pi * t) * t.new_tensor([1 + i for i in range(len(end[0]))])


def decoded(decoder, path):
    return decoder(path.flatten(0, 1)).flatten(1).unflatten(0, path.shape[:2])


def energy(decoder, path):
    """E/n = Σ |Ψ(z_{k+1}) − Ψ(z_k)|²."""
    return decoded(decoder, path).diff(dim=1).square().sum((1, 2))


def arc(angle, radius=1.0, segments=SEGMENTS):
    """Length of the polyline inscribed in an arc at equal steps."""
    return 2 * segments * radius * torch.sin(angle / (2 * segments))


def interpolated(start, end, segments=SEGMENTS):
    """Points at equal steps on the lines from start to end."""
    t = torch.linspace(0, 1, segments + 1, dtype=start.dtype)[:, None]
    return (1 - t) * start[:, None] + t * end[:, None]
