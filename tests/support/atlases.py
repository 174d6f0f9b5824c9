"""Small atlases."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import curvcore

SHARD = 50


def network(d=2, D=9, dtype=torch.float32, seed=0):
    """A smooth decoder."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, D)).to(dtype)


def latents(count=230, d=2, dtype=np.float32):
    """Points (count, d)."""
    return np.random.default_rng(1).normal(size=(count, d)).astype(dtype)


def written(folder, **options):
    """The atlas of the network at all latents."""
    options = {"rows_per_shard": SHARD} | options
    return curvcore.atlas(network(), latents(), folder, **options)


def contents(folder):
    """name -> bytes, of all files, hidden ones too."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def one_line(error):
    """The message of an error, which must be one line."""
    assert "\n" not in str(error.value)
    return str(error.value)
