"""Views of autoencoders that were not trained, and what stands in matplotlib's axes."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from tests.support.immersions import RandomImmersion
from training.data.scaling import CommonScale
from training.models import AutoEncoder
from training.module import RegularizedAutoEncoder
from training.pictures import View, views

CURVES = {
    "loss": {"train": (np.arange(3.0), np.array([3.0, 0.2, 0.1])), "val": (np.ones(1), np.ones(1))},
    "entropy": {"train": (np.arange(3.0), np.array([1.0, -2.0, 0.5])), "val": (np.ones(0),) * 2},
}


def make_module(data, d=2, terms=None):
    """An untrained autoencoder of these data."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        auto = AutoEncoder(nn.Linear(data.dimension, d), RandomImmersion(3, d, data.dimension))
    module = RegularizedAutoEncoder(auto, terms, data_dimension=data.dimension).double().eval()
    module.scale = CommonScale.fit(data.points)
    return module


def make_view(data, d=2, name="mine", terms=None, **fields):
    """Its View."""
    arrays = views.arrays(make_module(data, d, terms), data)
    return replace(View(name=name, curves=CURVES, **arrays), **fields)


def panels_of(figure):
    """title -> axes."""
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def colour_bar_of(figure):
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    return bar


def points_of(ax):
    (points,) = [c for c in ax.collections if "PathCollection" in type(c).__name__ or
                 "Path3DCollection" in type(c).__name__]  # fmt: skip
    return points


def mesh_of(ax):
    (mesh,) = [c for c in ax.collections if type(c).__name__ == "QuadMesh"]
    return mesh
