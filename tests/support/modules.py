"""Modules that the case table is built from."""

import torch
from torch import nn
from torch.nn.utils import parametrizations


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Reshaped(nn.Module):
    """A layer applied to (B, *shape), flattened again."""

    def __init__(self, layer, shape):
        super().__init__()
        self.layer, self.shape = layer, shape

    def forward(self, x):
        return self.layer(x.reshape(-1, *self.shape)).flatten(1)


class Graph(nn.Module):
    """z -> (z, f(W z + b)): an immersion whatever f is."""

    def __init__(self, function, d=2, width=8):
        super().__init__()
        self.lift, self.function = nn.Linear(d, width), function

    def forward(self, z):
        return torch.cat([z, self.function(self.lift(z)).flatten(1)], 1)


class OfMatrix(nn.Module):
    """f(A) with A = I + UᵀU/2, symmetric positive definite 3 × 3, U from six of eight features."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        factor = h[:, :6].reshape(-1, 2, 3)
        matrix = torch.eye(3, dtype=h.dtype, device=h.device) + factor.mT @ factor / 2
        return self.function(matrix).reshape(len(h), -1)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


def residual():
    """Three residual blocks."""
    blocks = [Residual(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8)) for _ in range(3)]
    return nn.Sequential(nn.Linear(2, 8), *blocks, nn.Linear(8, 6))


def weight_normalised():
    """A parametrised weight."""
    first = parametrizations.weight_norm(nn.Linear(2, 8))
    return nn.Sequential(first, nn.Tanh(), nn.Linear(8, 6))


def spectrally_normalised():
    """A parametrised weight that keeps buffers."""
    first = parametrizations.spectral_norm(nn.Linear(2, 8))
    return nn.Sequential(first, nn.Tanh(), nn.Linear(8, 6))


def image_decoder():
    """(B, 2) -> (B, 2, 8, 8) by transposed convolutions."""
    return nn.Sequential(
        nn.Linear(2, 16),
        nn.Unflatten(1, (4, 2, 2)),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
        nn.InstanceNorm2d(3, affine=True),
        nn.GELU(),
        nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


def upsampling_decoder():
    """(B, 2) -> (B, 1, 8, 8) by interpolation, convolution and a pixel shuffle."""
    return nn.Sequential(
        nn.Linear(2, 8),
        nn.Unflatten(1, (2, 2, 2)),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(2, 4, 3, padding=1),
        nn.Softplus(),
        nn.PixelShuffle(2),
    )


class Attention(nn.Module):
    """Self-attention between three tokens made from z."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(2, 12)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, z):
        tokens = self.lift(z).reshape(-1, 3, 4)
        return (tokens + self.attention(tokens, tokens, tokens)[0]).flatten(1)


class Transformer(nn.Module):
    """An encoder layer on three tokens made from z."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(2, 12)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True)

    def forward(self, z):
        return self.layer(self.lift(z).reshape(-1, 3, 4))


class Recurrent(nn.Module):
    """Four steps of a GRU cell, fed the same z."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(2, 5)

    def forward(self, z):
        states = [z.new_zeros(len(z), 5)]
        for _ in range(3):
            states.append(self.cell(z, states[-1]))
        return torch.cat(states[1:], 1)


def standardise(x):
    """Normalisation written by hand."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
