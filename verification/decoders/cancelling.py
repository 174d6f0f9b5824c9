"""Decoders drawn at random in which much cancels: derivatives come out far less right than eps."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

KINDS = ("normalised", "fourier", "far")


@dataclass(frozen=True)
class Cancelling:
    """What such a decoder is made of.

    Attributes:
        kind: ``"normalised"``, LayerNorm of units that nearly equal each other; ``"fourier"``,
            features of high frequency; or ``"far"``, latents far from zero.
        size: their offset over their spread; the frequency; how far.
        latent, width, ambient: d, units of each hidden layer, D.
        seed: of weights and points.
    """

    kind: str
    size: float
    latent: int = 2
    width: int = 32
    ambient: int = 16
    seed: int = 0

    def build(self, points=4, dtype=torch.float32):
        """The decoder and its points (points, d), whose numbers fill the dtype."""
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(self.seed)
            z = torch.randn(points, self.latent, dtype=dtype)
            decoder = getattr(self, f"_{self.kind}")().to(dtype)
            for parameter in decoder.parameters():
                parameter.mul_(1 + 0.1 * torch.rand(parameter.shape, dtype=dtype))
            if self.kind != "far":
                return decoder, z
            place, first = self.size * torch.randn(self.latent, dtype=dtype), decoder[0]
            first.bias.sub_(first.weight @ place)
            return decoder, z + place

    def _normalised(self):
        return nn.Sequential(
            nn.Linear(self.latent, self.width), nn.Tanh(), Shift(self.size),
            nn.LayerNorm(self.width), *self._rest(self.width),
        )  # fmt: skip

    def _fourier(self):
        return nn.Sequential(Fourier(self.latent, self.width, self.size), *self._rest(self.width))

    def _far(self):
        return nn.Sequential(nn.Linear(self.latent, self.width), nn.SiLU(), *self._rest(self.width))

    def _rest(self, features):
        layers = nn.Linear(features, self.width), nn.Tanh(), nn.Linear(self.width, self.ambient)
        return layers


class Shift(nn.Module):
    """x ↦ x + an offset."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def forward(self, x):
        """x + offset."""
        return x + self.offset


class Fourier(nn.Module):
    """z ↦ sin and cos of frequencies of z."""

    def __init__(self, latent, features, frequency):
        super().__init__()
        self.frequencies = nn.Parameter(frequency * torch.randn(features // 2, latent))

    def forward(self, z):
        """(B, features)."""
        phases = z @ self.frequencies.mT
        return torch.cat([torch.sin(phases), torch.cos(phases)], 1)


def cancelling(count, seed, largest=1e3):
    """So many of each kind at random, sizes spread evenly in their logarithm, 1 to ``largest``."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        for kind in KINDS:
            yield Cancelling(
                kind,
                size=float(largest ** rng.random()),
                latent=int(rng.choice([2, 2, 3])),
                width=int(rng.choice([16, 32, 64])),
                ambient=int(rng.choice([6, 16, 100])),
                seed=int(rng.integers(2**31)),
            )
