"""Autoencoders: an encoder R^D → M and a decoder M → R^D, M a plane or a torus."""

import itertools
import math

import torch
from torch import nn

from training.errors import TrainingError

ACTIVATIONS = {
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "mish": nn.Mish,
}
LATENTS = ("plane", "torus")


class AutoEncoder(nn.Module):
    """Any encoder (B, D) -> (B, d) and decoder (B, d) -> (B, D), your own for instance.

    The decoder must be smooth (no ReLU) and treat every row by itself; see curvcore.

    Args:
        encoder, decoder: the two networks.
        shape: (C, H, W), say, of what the encoder takes and the decoder gives for a point: the
            autoencoder is of points in R^D all the same, D = C·H·W.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, shape: tuple[int, ...] | None = None
    ):
        super().__init__()
        if shape is not None:
            self.data_dimension = math.prod(shape)
            encoder = nn.Sequential(nn.Unflatten(1, tuple(shape)), encoder)
            decoder = nn.Sequential(decoder, nn.Flatten())
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The reconstruction of x."""
        return self.decoder(self.encoder(x))


class MLPAutoEncoder(AutoEncoder):
    """Multilayer perceptrons with smooth activations, the decoder a mirror of the encoder.

    Args:
        data_dimension: D.
        latent_dimension: d.
        widths: of the encoder's hidden layers.
        activation: one of silu, tanh, gelu, softplus, mish.
        latent: ``"plane"``, M = R^d, or ``"torus"``, M = (R/Z)^d: latent points lie in [0, 1)^d
            and the decoder is periodic.
    """

    def __init__(
        self,
        data_dimension: int,
        latent_dimension: int = 2,
        widths: tuple[int, ...] = (128, 128, 128),
        activation: str = "silu",
        latent: str = "plane",
    ):
        if activation not in ACTIVATIONS:
            raise TrainingError(f"activation must be one of {[*ACTIVATIONS]}; got {activation!r}.")
        if latent not in LATENTS:
            raise TrainingError(f"latent must be one of {LATENTS}; got {latent!r}.")
        if min(data_dimension, latent_dimension, *widths) < 1:
            raise TrainingError(
                "data_dimension, latent_dimension and widths must be positive; got "
                f"{data_dimension}, {latent_dimension} and {list(widths)}."
            )
        ends = latent_dimension if latent == "plane" else 2 * latent_dimension
        encoder = mlp((data_dimension, *widths, ends), activation)
        decoder = mlp((ends, *reversed(widths), data_dimension), activation)
        if latent == "torus":
            encoder.append(ToTorus())
            decoder.insert(0, FromTorus())
        super().__init__(encoder, decoder)
        self.latent, self.latent_dimension = latent, latent_dimension


def is_periodic(autoencoder):
    """Whether latents are points of a torus (R/Z)^d rather than of the plane R^d."""
    return getattr(autoencoder, "latent", "plane") == "torus"


class ToTorus(nn.Module):
    """d vectors of the plane -> their angles over 2π, in [0, 1]: (B, 2d) -> (B, d)."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """z_i = angle(x_i, y_i)/2π mod 1."""
        x, y = vectors.chunk(2, 1)
        return torch.remainder(torch.atan2(y, x) / (2 * math.pi), 1)


class FromTorus(nn.Module):
    """z ↦ (cos 2πz, sin 2πz): (B, d) -> (B, 2d)."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The embedding of (R/Z)^d in R^{2d}."""
        angle = 2 * math.pi * z
        return torch.cat([torch.cos(angle), torch.sin(angle)], 1)


def mlp(widths, activation):
    """Linear layers of these widths with activations between them."""
    layers = []
    for inner, outer in itertools.pairwise(widths):
        layers += [nn.Linear(inner, outer), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])
