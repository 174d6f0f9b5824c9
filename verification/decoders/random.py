"""Decoders drawn at random: architecture, weights, scales and points."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU, "gelu": nn.GELU,
    "softplus": nn.Softplus, "mish": nn.Mish,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """What a random decoder is made of.

    Attributes:
        latent, width, depth, ambient: d, units of each hidden layer, their number, D.
        activation: a name in ACTIVATIONS.
        residual: whether hidden layers after the first are x + activation(Wx + b).
        normalised: whether LayerNorm follows every hidden layer.
        weight_scale: of the hidden weights, over torch's own.
        latent_scale: of latent coordinates: points are so many times larger, the first layer's
            weights smaller.
        gain: of the first layer's weights: how far activations are driven.
        skew: sine, about, of the angle between the first two latent directions: near 0 the metric
            is ill-conditioned in any unit.
        output_scale: of the last layer's, the unit of length in data space.
        seed: of weights and points.
    """

    latent: int = 2
    width: int = 32
    depth: int = 2
    ambient: int = 16
    activation: str = "silu"
    residual: bool = False
    normalised: bool = False
    weight_scale: float = 1.0
    latent_scale: float = 1.0
    gain: float = 1.0
    skew: float = 1.0
    output_scale: float = 1.0
    seed: int = 0

    def build(self, points=4):
        """The decoder and its points (points, d), in float32."""
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(self.seed)
            decoder, z = self._decoder(), self.latent_scale * torch.randn(points, self.latent)
            first, *hidden, last = [x for x in decoder.modules() if isinstance(x, nn.Linear)]
            for layer in hidden:
                layer.weight.mul_(self.weight_scale)
            first.weight.mul_(self.gain / self.latent_scale)
            first.weight[:, 0] = torch.lerp(first.weight[:, -1], first.weight[:, 0], self.skew)
            last.weight.mul_(self.output_scale)
            return decoder, z

    def _decoder(self):
        activation = ACTIVATIONS[self.activation]
        layers = [nn.Linear(self.latent, self.width), activation()]
        for _ in range(self.depth - 1):
            hidden = nn.Sequential(nn.Linear(self.width, self.width), activation())
            layers.append(Residual(hidden) if self.residual else hidden)
            if self.normalised:
                layers.append(nn.LayerNorm(self.width))
        return nn.Sequential(*layers, nn.Linear(self.width, self.ambient))


class Residual(nn.Module):
    """x ↦ x + f(x)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        """x + f(x)."""
        return x + self.function(x)


def architectures(count, seed, largest_scale=1e6):
    """So many at random, scales spread evenly in their logarithm, 1/largest to largest."""
    rng = np.random.default_rng(seed)
    largest = np.log10(largest_scale)

    def scale(low, high):
        return float(10 ** rng.uniform(low, high))

    for _ in range(count):
        latent = int(rng.choice([1, 2, 2, 2, 3, 4]))
        yield Architecture(
            latent=latent,
            width=int(rng.choice([8, 32, 128])),
            depth=int(rng.choice([1, 2, 3, 5])),
            ambient=latent + int(rng.choice([0, 1, 6, 60, 780])),
            activation=str(rng.choice(list(ACTIVATIONS))),
            residual=bool(rng.random() < 0.3),
            normalised=bool(rng.random() < 0.3),
            weight_scale=scale(-1, 1),
            latent_scale=scale(-largest, largest),
            gain=scale(-1, 1),
            skew=scale(-3, 0),
            output_scale=scale(-largest, largest),
            seed=int(rng.integers(2**31)),
        )
