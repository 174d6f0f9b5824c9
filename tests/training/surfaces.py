"""Surfaces with known geometry, as decoders (B, 2) -> (B, D)."""

import math

import torch


def sphere(radius=1.0):
    """The sphere in stereographic coordinates: isothermal, R = 2/radius²."""

    def decoder(u):
        square = u.square().sum(1, keepdim=True)
        return radius * torch.cat([2 * u, square - 1], 1) / (1 + square)

    return decoder


def plane(z):
    """The plane in R^3."""
    return torch.cat([z, 0 * z[:, :1]], 1)


def conformal_torus(a=2.0):
    """The ring torus (radii a, 1) on [0, 1)², in coordinates in which g = e^{2u} (constant matrix).

    With z = (φ, w)/2π: dθ/(a + cos θ) = dw/√(a² − 1), so cos θ = (a cos w − 1)/(a − cos w).
    """

    def decoder(z):
        phi, w = (2 * math.pi * z).unbind(1)
        ring = (a * a - 1) / (a - torch.cos(w))  # a + cos θ
        height = math.sqrt(a * a - 1) * torch.sin(w) / (a - torch.cos(w))
        return torch.stack([ring * torch.cos(phi), ring * torch.sin(phi), height], 1)

    return decoder


def bumpy_torus(coefficients):
    """A torus with bumps in R^4, periodic on [0, 1)²; ``coefficients`` (4, 4)."""

    def decoder(z):
        x, y = (2 * math.pi * z).unbind(1)
        circles = torch.stack([torch.cos(x), torch.sin(x), torch.cos(y), torch.sin(y)], 1)
        bumps = torch.stack(
            [torch.cos(x + y), torch.sin(2 * x), torch.cos(y - x), torch.sin(x) * torch.cos(y)], 1
        )
        return circles + bumps @ coefficients.to(z)

    return decoder
