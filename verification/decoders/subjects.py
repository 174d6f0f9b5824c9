"""A real decoder to verify: trained on handwritten digits, or the user's own."""

import copy
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class UsageError(Exception):
    """What the user named cannot be loaded."""


@dataclass(frozen=True)
class Subject:
    """A decoder with the latent points at which it is verified."""

    name: str
    decoder: Any
    points: torch.Tensor
    note: str = ""
    is_users: bool = False

    def at(self, dtype, device):
        """A copy of the decoder, and the points, in ``dtype`` on ``device``."""
        points = self.points.to(device=device, dtype=dtype)
        return converted(self.decoder, dtype, device), points


def converted(decoder, dtype, device=None):
    """The decoder, a copy if it is a module, in ``dtype`` on ``device``."""
    if not isinstance(decoder, nn.Module):
        return decoder
    return copy.deepcopy(decoder).to(device=device, dtype=dtype)


def check_device(device):
    """Raise UsageError unless torch can compute on it: each back end has an error of its own."""
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device!r} is not usable here: {reason}") from error


def digits_decoder(points, seed):
    """A small autoencoder trained on scikit-learn's 8×8 digits; points are encoded digits."""
    from sklearn.datasets import load_digits  # slow to import, and only needed here

    images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        encoder, decoder = _autoencoder(images.shape[1])
        loss = _train(encoder, decoder, images)
        chosen = torch.randperm(len(images))[:points]
    with torch.no_grad():
        latents = encoder(images[chosen])
    explained = 1 - loss / images.var(0, correction=0).mean().item()
    note = f"2 → 64 → 64 → 64, LayerNorm and SiLU, explains {explained:.0%} of the variance"
    return Subject("digits autoencoder", decoder, latents, note)


def images_decoder(d, width, activation, seed=0):
    """A decoder d → width × 3 → 784 trained on the same digits, enlarged to 28×28 pixels."""
    from sklearn.datasets import load_digits

    small = torch.tensor(load_digits().images[:, None] / 16, dtype=torch.float32)
    images = nn.functional.interpolate(small, size=28, mode="bilinear").flatten(1)
    unit = getattr(nn, activation)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Linear(784, 128), unit(), nn.Linear(128, d))
        hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), unit())]
        decoder = nn.Sequential(nn.Linear(d, width), unit(), *hidden, nn.Linear(width, 784))
        _train(encoder, decoder, images)
    with torch.no_grad():
        points = encoder(images)
    return Subject(f"digits, {d} → {width} × 3 → 784, {activation}", decoder, points)


def _autoencoder(features, width=64, latent=2):
    encoder = nn.Sequential(
        nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
        nn.Linear(width, latent),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, width), nn.LayerNorm(width),
        nn.SiLU(), nn.Linear(width, features),
    )  # fmt: skip
    return encoder, decoder


def _train(encoder, decoder, images, steps=400, batch=256):
    model = nn.Sequential(encoder, decoder)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        rows = images[torch.randint(len(images), (batch,))]
        loss = nn.functional.mse_loss(model(rows), rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return nn.functional.mse_loss(model(images), images).item()


def user_decoder(factory, points_file):
    """The decoder that ``package.module:factory`` returns, and the points in ``points_file``."""
    module_name, colon, attribute = factory.partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(f"--decoder must be package.module:factory; got {factory!r}.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        build = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise UsageError(f"--decoder: cannot import {module_name!r}: {error}") from error
    except AttributeError as error:
        raise UsageError(f"--decoder: {module_name!r} has no {attribute!r}.") from error
    try:
        decoder = build if isinstance(build, nn.Module) else build()
    except Exception as error:  # whatever the user's own code raises
        raise UsageError(
            f"--decoder: {factory}() raised {type(error).__name__}: {error}"
        ) from error
    if not callable(decoder):
        raise UsageError(f"--decoder: {factory} returned {type(decoder).__name__}, not a callable.")
    return Subject(factory, decoder, load_points(points_file), is_users=True)


def load_points(path):
    """Latent points (B, d) from .npy, .npz (its only array), .csv, .txt or .pt."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"--points: there is no file {path}.")
    try:
        points = torch.as_tensor(_read_array(path))
    except Exception as error:  # numpy, torch and pickle raise many kinds
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"--points: cannot read points from {path}: {reason}.") from error
    if points.is_complex():
        raise UsageError(f"--points: {path} must hold real numbers; got {points.dtype}.")
    if points.ndim != 2 or not points.numel():
        raise UsageError(f"--points: {path} must hold points (B, d); got {tuple(points.shape)}.")
    return points if points.is_floating_point() else points.double()


def _read_array(path):
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        arrays = np.load(path, allow_pickle=False)
        if len(arrays.files) != 1:
            raise ValueError(f"it holds {len(arrays.files)} arrays, not one: {arrays.files}")
        return arrays[arrays.files[0]]
    if path.suffix in (".csv", ".txt"):
        return np.loadtxt(path, delimiter="," if path.suffix == ".csv" else None, ndmin=2)
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True, map_location="cpu").detach()
    raise ValueError("its suffix is none of .npy, .npz, .csv, .txt, .pt")
