"""Numbers made of each quantity that users differentiate, one way by curvcore, one by the book.

Tensors are contracted with a fixed one, W, so that every quantity Q is a number at every point. The
plain way is :class:`verification.referees.Textbook`, which shares no formula with curvcore.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.func import grad, hessian, vmap

import curvcore


@dataclass(frozen=True)
class Quantity:
    """A number Q at every point.

    Attributes:
        name: of the quantity.
        of_geometry: (PullbackGeometry, z) -> Q, (B,).
        of_textbook: (Textbook, point) -> Q at that point.
    """

    name: str
    of_geometry: Callable[[Any, torch.Tensor], torch.Tensor]
    of_textbook: Callable[[Any, torch.Tensor], torch.Tensor]


def quantities(dimension, ambient, wave_number):
    """Every Quantity, for decoders from R^d to R^D; functions on latent space vary like sin kz."""
    generator = torch.Generator().manual_seed(1)
    d = (dimension,)
    entries = [
        _tensor("metric", _random(2 * d, generator)),
        Quantity(
            "volume_density", lambda g, z: g.volume_density, lambda book, p: book.volume_density(p)
        ),
        _tensor("christoffel", _random(3 * d, generator)),
        _tensor("mean_curvature", _random((ambient,), generator)),
        _laplacian(wave_number * _random(d, generator)),
        _tensor("ricci", _random(2 * d, generator)),
        Quantity("scalar", lambda g, z: g.scalar, lambda book, p: book.scalar(p)),
    ]
    plane = _sectional(_random(d, generator), _random(d, generator))
    return [*entries, plane] if dimension > 1 else entries


def units(agreement, wave_number):
    """The size of what is added up in each quantity, at every point, from an ``Agreement``."""
    geometry = curvcore.PullbackGeometry(agreement.jet, on_degenerate="nan")
    metric, inverse, connection = (
        tensor.flatten(1).norm(dim=1)
        for tensor in (geometry.metric, geometry.inverse_metric, geometry.christoffel)
    )
    curvature = agreement.unit
    found = {
        "metric": metric,
        "volume_density": geometry.volume_density,
        "christoffel": connection,
        "mean_curvature": curvature.sqrt(),
        "laplacian": inverse * wave_number * (wave_number + connection),
        "ricci": curvature * metric,
        "scalar": curvature,
        "sectional": curvature,
    }
    return {name: torch.where(unit > 0, unit, 1) for name, unit in found.items()}


def _random(shape, generator):
    tensor = torch.randn(shape, generator=generator, dtype=torch.float64)
    return tensor / tensor.norm()


def _tensor(name, weights):
    """⟨T, W⟩ of a tensor T."""

    def of_geometry(geometry, z):
        return (getattr(geometry, name) * weights.to(z)).flatten(1).sum(1)

    def of_textbook(book, point):
        return (getattr(book, name)(point) * weights.to(point)).sum()

    return Quantity(name, of_geometry, of_textbook)


def _laplacian(wave):
    """Δ sin⟨w, z⟩."""

    def function(point):
        return torch.sin(point @ wave.to(point))

    def of_geometry(geometry, z):
        slope, bend = (vmap(derivative(function))(z) for derivative in (grad, hessian))
        return geometry.laplacian(slope, bend)

    return Quantity("laplacian", of_geometry, lambda book, p: book.laplacian(function, p))


def _sectional(u, v):
    """K(u, v), u and v made of coordinate directions of length one."""

    def in_unit_lengths(metric):
        lengths = metric.diagonal(dim1=-2, dim2=-1).sqrt()
        return u.to(lengths) / lengths, v.to(lengths) / lengths

    def of_geometry(geometry, z):
        return geometry.sectional(*in_unit_lengths(geometry.metric))

    def of_textbook(book, point):
        return book.sectional(point, *in_unit_lengths(book.metric(point)))

    return Quantity("sectional", of_geometry, of_textbook)
