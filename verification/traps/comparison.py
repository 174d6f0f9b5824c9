"""The same surfaces through other software: geomstats, and R as one writes it down in torch.func.

The unit sphere, a torus, and a decoder trained on digits (LayerNorm and SiLU). geomstats runs on
its torch backend, through ``PullbackMetric.scalar_curvature``, in a process of its own: importing
it changes torch's default dtype. Only curvcore's own errors decide whether a finding passes.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from flint import arb_mat
from torch import nn

import curvcore
from curvcore.providers import PROVIDERS
from verification.decoders import digits_decoder
from verification.isolated import IsolatedError, isolated
from verification.referees import plain_scalar_curvature
from verification.results import Finding
from verification.traps.layers import exact_layer_norm, exact_silu
from verification.traps.truth import Truth, truth

ANGLES = ((1.0, 0.3), (0.6, -1.2), (2.2, 2.0))
TUBE = 2.0  # distance of the tube's centre from the torus's axis; the tube has radius 1
DIGITS = 4
NEGLIGIBLE = 1e-6  # error of a peer: no fault of its derivatives, whatever it lost to rounding


@dataclass(frozen=True)
class Surface:
    """A surface Ψ: R² → R^D with points in float64, and the truth there."""

    name: str
    decoder: Any
    points: torch.Tensor
    truth: Truth


def peers(digits=None):
    """Yield a Finding per surface and peer: is curvcore right, and what does the peer say?

    Args:
        digits: a ``verification.decoders.Subject`` made of Linear, SiLU and LayerNorm, from two
            latent dimensions; by default one is trained, in two seconds.
    """
    surfaces = [*textbook_surfaces(), _digits(digits or digits_decoder(DIGITS, 0))]
    geomstats = _geomstats(surfaces)
    for number, surface in enumerate(surfaces):
        passed, ours = _of_curvcore(surface)
        textbook = plain_scalar_curvature(surface.decoder, surface.points).detach()
        theirs = {
            "geomstats": geomstats if isinstance(geomstats, str) else geomstats[number],
            "nested jacfwd": textbook,
        }
        for peer, scalar in theirs.items():
            said = scalar if isinstance(scalar, str) else _in_words(surface, scalar)
            yield Finding(
                section="traps",
                subject=surface.name,
                statement=f"R is right, whatever {peer} gives",
                figure=f"{peer}: {said}; curvcore: {ours}",
                passed=passed,
            )


def _of_curvcore(surface):
    found = [
        surface.truth.scalar_error(
            curvcore.scalar_curvature(surface.decoder, surface.points, derivatives=name).detach()
        )
        for name in PROVIDERS
    ]
    figures = (f"{name} {error:.0e}" for name, error in zip(PROVIDERS, found, strict=True))
    return all(error <= _allowed(surface) for error in found), ", ".join(figures)


def _allowed(surface):
    return surface.truth.scalar_allowance * torch.finfo(torch.float64).eps


def _in_words(surface, scalar):
    error = surface.truth.scalar_error(scalar)
    if error <= NEGLIGIBLE:
        return f"right to {error:.0e}"
    worst = (scalar - surface.truth.scalar).abs().nan_to_num(torch.inf).argmax()
    return f"wrong by {error:.2g}, R = {scalar[worst]:.3g} for {surface.truth.scalar[worst]:.3g}"


# --- the surfaces -------------------------------------------------------------------------------


def sphere(z):
    """(sin u cos v, sin u sin v, cos u): R = 2."""
    u, v = z[..., 0], z[..., 1]
    return torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], -1)


def torus(z):
    """((2 + cos u) cos v, (2 + cos u) sin v, sin u): R = 2 cos u/(2 + cos u)."""
    u, v = z[..., 0], z[..., 1]
    radius = TUBE + u.cos()
    return torch.stack([radius * v.cos(), radius * v.sin(), u.sin()], -1)


def _exact_sphere(z, theta):
    u, v = z
    return [u.sin() * v.cos(), u.sin() * v.sin(), u.cos()]


def _exact_torus(z, theta):
    u, v = z
    return [(TUBE + u.cos()) * v.cos(), (TUBE + u.cos()) * v.sin(), u.sin()]


def textbook_surfaces():
    """Yield the sphere and the torus."""
    points = torch.tensor(ANGLES, dtype=torch.float64)
    for name, decoder, exact in (
        ("unit sphere", sphere, _exact_sphere),
        ("torus", torus, _exact_torus),
    ):
        yield Surface(name, decoder, points, truth(exact, points))


def _digits(subject):
    decoder, points = subject.at(torch.float64, "cpu")
    exact = _exact_sequential(decoder)
    return Surface(subject.name, decoder, points[:DIGITS], truth(exact, points[:DIGITS]))


def _exact_sequential(decoder):
    """An nn.Sequential in ball arithmetic; its float64 weights are exact numbers."""
    layers = [_exact_layer(module) for module in decoder]

    def function(z, theta):
        for layer in layers:
            z = layer(z)
        return z

    return function


def _exact_layer(module):
    if isinstance(module, nn.SiLU):
        return exact_silu
    if not isinstance(module, nn.Linear | nn.LayerNorm):
        raise TypeError(f"{type(module).__name__} has no twin in ball arithmetic here.")
    weight, bias = (p.detach().flatten().tolist() for p in (module.weight, module.bias))
    if isinstance(module, nn.LayerNorm):
        return lambda h: exact_layer_norm(h, weight, bias, module.eps)
    matrix = arb_mat(*module.weight.shape, weight)

    def linear(h):
        products = (matrix * arb_mat(len(h), 1, h)).entries()
        return [x + b for x, b in zip(products, bias, strict=True)]

    return linear


# --- geomstats ----------------------------------------------------------------------------------


def _geomstats(surfaces):
    """R by geomstats on each surface, or why not."""
    if importlib.util.find_spec("geomstats") is None:
        return "skipped, not installed"
    work = [(surface.decoder, surface.points) for surface in surfaces]
    try:
        return isolated(geomstats_scalar, work, environment={"GEOMSTATS_BACKEND": "pytorch"})
    except IsolatedError as error:
        return f"skipped, {error}"


def geomstats_scalar(work):
    """[(decoder, points)] -> [R (B,)] by geomstats; changes torch's default dtype."""
    from geomstats.geometry.base import ImmersedSet
    from geomstats.geometry.euclidean import Euclidean

    class Immersed(ImmersedSet):
        def __init__(self, decoder, ambient):
            self.decoder, self.ambient = decoder, ambient
            super().__init__(dim=2)

        def _define_embedding_space(self):
            return Euclidean(self.ambient)

        def immersion(self, point):
            return self.decoder(point)

    found = []
    for decoder, points in work:
        metric = Immersed(decoder, decoder(points).shape[1]).metric
        found.append(torch.stack([metric.scalar_curvature(point) for point in points]).detach())
    return found
