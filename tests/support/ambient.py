"""Metrics of data space, and hyperbolic spaces of which distances are known."""

import torch
from torch import nn

import curvcore

D = torch.float64


def half_space(x):
    return x[:, -1] ** -2


def ball(x):
    return (2 / (1 - x.square().sum(1))) ** 2


class Immersion(nn.Module):
    """R^d -> R^D, and metrics there, all of them random."""

    def __init__(self, d=3, outputs=6):
        super().__init__()
        torch.manual_seed(d)
        self.net = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, outputs)).to(D)
        self.mixing = 0.3 * torch.randn(outputs, outputs, dtype=D)

    def forward(self, z):
        return self.net(z)

    def metric(self, kind):
        return getattr(self, kind)

    def factor(self, x):
        return torch.exp(torch.sin(x @ self.mixing).sum(1))

    def diagonal(self, x):
        return torch.exp(torch.sin(x @ self.mixing))

    def dense(self, x):
        lower = torch.tanh(x @ self.mixing)[:, :, None] * torch.sin(x)[:, None, :]
        lower = torch.tril(lower) + 2 * torch.eye(x.shape[1], dtype=D)
        return lower @ lower.mT


def points(count=5, d=3):
    return torch.randn(count, d, generator=torch.Generator().manual_seed(7), dtype=D)


def same(z):
    return 1 * z


HALF_PLANE = curvcore.bind(same, ambient=half_space)
BALL = curvcore.bind(same, ambient=ball)
GAUSSIANS = curvcore.bind(lambda z: (2**0.5 * z[:, :1], z[:, 1:]), likelihood="gaussian")


def of_half_plane(z, w):
    return torch.acosh(1 + (z - w).square().sum(-1) / (2 * z[..., 1] * w[..., 1]))


def of_ball(z, w):
    room = (1 - z.square().sum(-1)) * (1 - w.square().sum(-1))
    return torch.acosh(1 + 2 * (z - w).square().sum(-1) / room)


def in_half_plane(count, seed=0):
    z = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed), dtype=D)
    return torch.stack([4 * z[:, 0] - 2, 0.2 + 2 * z[:, 1]], 1)


def in_ball(count, seed=0):
    z = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=D)
    return 0.8 * z / (1 + z.norm(dim=1, keepdim=True))
