"""Toy surfaces to flow: decoders fitted to them, with a quadrature of all of M.

==============  =============================================================  ===========  ======
surface         Ψ, and after it in further coordinates                          latents      ∫R dμ
==============  =============================================================  ===========  ======
``torus``       radii 2 and 1; cos 2φ, sin 2φ, cos 2θ, sin 2θ, times 0.3        torus        0
``sphere``      (x, y, h) of S²; xy, xh, yh, times 0.3                          S²           8π
``dumbbell``    (p x, p y, 1.6 h), p = 1 − 0.55 exp(−(h/0.45)²); likewise       S²           8π
==============  =============================================================  ===========  ======

All are closed: integrations by parts have no boundary terms. Latents of S² are stereographic
coordinates z, which the decoder sees as the point (x, y, h) of S² ⊂ R³: the point at infinity is
like any other. In R³ a decoder can follow less of the flow; with D ≥ 5 coordinates in general
position (∂_iΨ, ∂_i∂_jΨ independent: Nash, Ann. of Math. 63, 1956) it can make every small change of
the metric, as far as its network can.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.errors import TrainingError
from training.flows.minimal import fourier, spherical
from training.functionals import FixedMeasure, LatentSample
from training.measures import QuadratureGrid
from training.models import FromTorus, mlp

DIMENSIONS = {"torus": 7, "sphere": 3, "dumbbell": 6}  # of the ambient space, by default
EVALUATIONS = 1500  # iterations of L-BFGS
POINTS = 1500  # that a decoder is fitted to


@dataclass(frozen=True, eq=False)
class Subject:
    """What is to flow.

    Attributes:
        name: of the surface, or of the run.
        decoder: (B, 2) -> (B, D), float64.
        sample: LatentSample, a quadrature of M.
        fixed: FixedMeasure dm of the flow at fixed dm.
        basis: of the minimal potential.
        grid: latent points in rows and columns, of the pictures: (rows, columns, 2).
        parallels: name -> closed latent curves (n, 2), whose length is told.
        is_closed: whether M has no boundary, so that ∫R dμ is a number of its topology.
        error: of the fit: root of the mean of |Ψ − surface|² over coordinates.
    """

    name: str
    decoder: nn.Module
    sample: LatentSample
    fixed: FixedMeasure
    basis: Callable[[torch.Tensor], torch.Tensor]
    grid: torch.Tensor
    parallels: dict[str, torch.Tensor]
    is_closed: bool = True
    error: float = 0.0


class FromSphere(nn.Module):
    """Stereographic coordinates -> the point of S²: (B, 2) -> (B, 3)."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(2z, |z|² − 1)/(1 + |z|²)."""
        square = z.square().sum(1, keepdim=True)
        return torch.cat([2 * z, square - 1], 1) / (1 + square)


def round_log_density(z: torch.Tensor) -> torch.Tensor:
    """log of the round measure of S² with respect to dz, up to a constant: (2,) -> ()."""
    return -2 * torch.log1p(z.square().sum())


def toy(name, dimension=None, nodes=24, width=32, degree=None, seed=0, evaluations=EVALUATIONS):
    """The Subject of a toy surface.

    Args:
        name: ``"torus"``, ``"sphere"`` or ``"dumbbell"``.
        dimension: D, from 3 to 7 or 6; by default what the table of the module can fill.
        nodes: of the quadrature: ``nodes``² on the torus, ``nodes`` × (``nodes`` + 4) on S².
        width: of the decoder's two hidden layers.
        degree: of the basis of the minimal potential: 4 on the torus, 8 on S² by default.
        seed: of the network before it is fitted.
        evaluations: of L-BFGS, at most.
    """
    dimension = DIMENSIONS.get(name) if dimension is None else dimension
    if name not in DIMENSIONS or not 3 <= dimension <= 7 - (name != "torus"):
        raise TrainingError(f"Toy surfaces are {', '.join(DIMENSIONS)}, in R³ to R⁶ or R⁷.")
    if name == "torus":
        decoder = _network(FromTorus(), 4, width, dimension, seed)
        places = torch.rand(POINTS, 2, dtype=torch.float64, generator=_generator(seed))
        sample = QuadratureGrid((0, 0), (1, 1), nodes, periodic=True).grid(places)
        fixed, basis, grid, parallels = FixedMeasure(), fourier(degree or 4), _unit_grid(), {}
    else:
        decoder = _network(FromSphere(), 3, width, dimension, seed)
        normal = torch.randn(POINTS, 3, dtype=torch.float64, generator=_generator(seed))
        places = stereographic(nn.functional.normalize(normal, dim=1))
        sample, basis = sphere_sample(nodes, nodes + 4), spherical(degree or 8)
        fixed, grid = FixedMeasure(round_log_density), _sphere_grid()
        parallels = {"neck": _parallel(0.0), "bulb": _parallel(0.7)} if name == "dumbbell" else {}
    error = fit(decoder, places, SURFACES[name](places)[:, :dimension], evaluations)
    return Subject(name, decoder, sample, fixed, basis, grid, parallels, True, error)


def fit(decoder, z, x, evaluations=EVALUATIONS):
    """Fit a decoder to points x (n, D) at z (n, 2) by L-BFGS; the root mean square error."""
    search = torch.optim.LBFGS(
        decoder.parameters(), max_iter=evaluations, history_size=30, line_search_fn="strong_wolfe",
        tolerance_grad=1e-12, tolerance_change=1e-14,
    )  # fmt: skip

    def loss():
        search.zero_grad()
        value = nn.functional.mse_loss(decoder(z), x)
        value.backward()
        return value

    search.step(loss)
    with torch.no_grad():
        return nn.functional.mse_loss(decoder(z), x).sqrt().item()


# --- immersions, (n, 2) -> (n, 6 or 7) ------------------------------------------------------------


def _torus(z):
    phi, theta = (2 * math.pi * z).unbind(1)
    ring = 2 + torch.cos(theta)
    first = [ring * torch.cos(phi), ring * torch.sin(phi), torch.sin(theta)]
    double = [f(2 * angle) for angle in (phi, theta) for f in (torch.cos, torch.sin)]
    return torch.stack([*first, *(0.3 * x for x in double)], 1)


def _sphere(z):
    return _of_revolution(z, lambda h: torch.ones_like(h), 1.0)


def _dumbbell(z):
    return _of_revolution(z, lambda h: 1 - 0.55 * torch.exp(-((h / 0.45) ** 2)), 1.6)


def _of_revolution(z, profile, height):
    x, y, h = FromSphere()(z).unbind(1)
    p = profile(h)
    return torch.stack([p * x, p * y, height * h, 0.3 * x * y, 0.3 * x * h, 0.3 * y * h], 1)


SURFACES = {"torus": _torus, "sphere": _sphere, "dumbbell": _dumbbell}


# --- points ---------------------------------------------------------------------------------------


def stereographic(points):
    """Points of S² (..., 3), none the pole h = 1, in stereographic coordinates: (..., 2)."""
    return points[..., :2] / (1 - points[..., 2:])


def sphere_sample(rows, columns):
    """LatentSample of S²: Gauss–Legendre nodes in h, equal ones in the angle."""
    h, weights = np.polynomial.legendre.leggauss(rows)
    angle = 2 * math.pi * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
    h, weights = (torch.from_numpy(a)[:, None].expand(rows, columns) for a in (h, weights))
    z = stereographic(_on_sphere(h, angle.expand(rows, columns))).reshape(-1, 2)
    area = (weights * 2 * math.pi / columns).reshape(-1)
    return LatentSample.weighted(z, area * (1 + z.square().sum(1)) ** 2 / 4)


def _on_sphere(h, angle):
    radius = (1 - h.square()).sqrt()
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), h], -1)


def _parallel(h, count=256):
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return stereographic(_on_sphere(torch.full_like(angle, h), angle))


def _unit_grid(count=49):
    axis = torch.linspace(0, 1, count, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)


def _sphere_grid(rows=41, columns=49):
    h = torch.cos(torch.linspace(0.02, math.pi, rows, dtype=torch.float64))[:, None]
    angle = torch.linspace(0, 2 * math.pi, columns, dtype=torch.float64)
    return stereographic(_on_sphere(h.expand(rows, columns), angle.expand(rows, columns)))


def _network(first, ends, width, dimension, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = mlp((ends, width, width, dimension), "tanh").double()
    return decoder.insert(0, first)


def _generator(seed):
    return torch.Generator().manual_seed(seed)
