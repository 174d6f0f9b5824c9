"""Immersions with known geometry, and random ones."""

import torch
from torch import nn


def stereographic_sphere(radius=1.0):
    """R^d -> S^d(r) in R^{d+1}: g = 4r²/(1+|z|²)² δ, constant curvature 1/r²."""

    def immersion(z):
        square = z.square().sum(1, keepdim=True)
        return radius * torch.cat([2 * z, square - 1], 1) / (1 + square)

    return immersion


def polar_plane(z):
    """(r, φ) -> the plane: Γ^r_φφ = −r, Γ^φ_rφ = 1/r, flat."""
    r, angle = z[:, :1], z[:, 1:]
    return torch.cat([r * angle.cos(), r * angle.sin()], 1)


def ring_torus(major=2.0, minor=0.5):
    """(u, v) -> the torus of revolution: K = cos v / (r(R + r cos v))."""

    def immersion(z):
        u, v = z[:, :1], z[:, 1:]
        distance = major + minor * v.cos()
        return torch.cat([distance * u.cos(), distance * u.sin(), minor * v.sin()], 1)

    return immersion


def pseudosphere(z):
    """(t, φ) -> tractrix turned about its axis: K = −1."""
    t, angle = z[:, :1], z[:, 1:]
    return torch.cat([angle.cos() / t.cosh(), angle.sin() / t.cosh(), t - t.tanh()], 1)


def stereographic_round_trip(z):
    """Onto the sphere and back: the identity of R^d, written with curved maps."""
    point = stereographic_sphere()(z)
    return point[:, :-1] / (1 - point[:, -1:])


ACTIVATIONS = {
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "layer_norm_silu": lambda: nn.Sequential(nn.LayerNorm(6), nn.SiLU()),
}


class RandomImmersion(nn.Module):
    """z -> Q z + f(z)/4 with QᵀQ = I and f a random network: an immersion well conditioned."""

    def __init__(self, seed, d, ambient, depth=1, activation="tanh", dtype=torch.float64):
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            frame = torch.linalg.qr(torch.randn(ambient, d, dtype=dtype)).Q
            layers = [nn.Linear(d, 6), ACTIVATIONS[activation]()]
            for _ in range(depth - 1):
                layers += [nn.Linear(6, 6), ACTIVATIONS[activation]()]
            self.network = nn.Sequential(*layers, nn.Linear(6, ambient)).to(dtype)
        self.register_buffer("frame", frame)

    def forward(self, z):
        return z @ self.frame.T + self.network(z) / 4


def random_points(seed, d, batch=2, dtype=torch.float64):
    """Points (batch, d) in [−1, 1]^d."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(batch, d, generator=generator, dtype=torch.float64) - 1).to(dtype)


def random_rotation(seed, n):
    """An orthogonal matrix (n, n)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q


def graph(function):
    """z ↦ (z, f(z)), of f (B, d) -> (B, n)."""
    return lambda z: torch.cat([z, function(z)], 1)


def tensor(*shape, seed=0, positive=False):
    """Random numbers, float64; if ``positive`` in (0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x.sigmoid() if positive else x
