"""Gradient Ricci solitons in random coordinates: Ric + ∇²f = 0, or g/2τ, at every point.

=========  ====================================  ==================  ======================
soliton    g                                     f                   R + |∇f|² (− f/τ)
=========  ====================================  ==================  ======================
Gaussian   flat R^d                              |x|²/4τ             0
sphere     round S^d, r² = 2(d−1)τ               0                   d/2τ
cylinder   S² × R, r² = 2τ                       x²/4τ               1/τ
cigar      (dx² + dy²)/(1 + x² + y²), steady     −log(1 + x² + y²)   4
=========  ====================================  ==================  ======================

The last column is constant on every soliton (Hamilton). References: Hamilton, *The formation of
singularities in the Ricci flow* (1995), §20; Chow et al., *The Ricci Flow: Techniques and
Applications* I, ch. 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

import curvcore
from verification.identities import convergence, perelman, surfaces

TAU = 0.7


@dataclass(frozen=True)
class Soliton:
    """An immersion and a potential on coordinates in a box, τ (None: steady), and the constant."""

    name: str
    immersion: Callable
    potential: Callable
    box: tuple
    tau: float | None
    constant: float


def solitons():
    """The table above, in several dimensions."""
    for d in (2, 3):
        yield Soliton(
            f"Gaussian R^{d}",
            surfaces.clifford_torus,
            lambda x: x.square().sum(1) / (4 * TAU),
            ((-2, 2),) * d,
            TAU,
            0,
        )
    for d in (2, 3, 4):
        radius = math.sqrt(2 * (d - 1) * TAU)
        yield Soliton(
            f"round S^{d}",
            lambda z, radius=radius: surfaces.sphere(z, radius),
            lambda z: 0 * z[:, 0],
            ((1.3, 1.8),) * (d - 1) + ((0, 2 * math.pi),),
            TAU,
            d / (2 * TAU),
        )
    yield Soliton(
        "cylinder S² × R",
        lambda z: surfaces.cylinder(z, math.sqrt(2 * TAU)),
        lambda z: z[:, 2].square() / (4 * TAU),
        ((1.3, 1.8), (0, 2 * math.pi), (-2, 2)),
        TAU,
        1 / TAU,
    )
    yield Soliton(
        "cigar in R³",
        surfaces.cigar,
        lambda z: -torch.log(1 + z.square().sum(1)),
        ((-2, 2), (-2, 2)),
        None,
        4,
    )


def findings(full, seed):
    """Yield the two Findings of every soliton, at random points."""
    generator = torch.Generator().manual_seed(seed)
    for soliton in solitons():
        yield from residuals(soliton, generator, points=4096 if full else 128)


@torch.no_grad()
def residuals(soliton, generator, points):
    """Yield the Findings of Ric + ∇²f (− g/2τ) = 0 and of Hamilton's constant."""
    low, high = torch.tensor(soliton.box, dtype=torch.float64).T
    unit = torch.rand(points, len(low), generator=generator, dtype=torch.float64)
    z = low + (high - low) * unit
    # Coordinates move by √WAVES · size/frequency = 0.62 at most: away from the poles still.
    chart = surfaces.diffeomorphism(len(low), generator, size=0.25, frequency=1)
    geometry = curvcore.pullback(lambda z: soliton.immersion(chart(z)), z)
    f = perelman.potential(lambda z: soliton.potential(chart(z)), z)
    tau = soliton.tau
    allowed = convergence.rounding(perelman.size(geometry, f) + (0 if tau is None else 1 / tau))
    tensor = perelman.soliton_tensor(geometry, f, tau)
    residual = perelman.length(geometry, tensor, 2)
    claim = "Ric + ∇²f = 0" if tau is None else "Ric + ∇²f = g/2τ"
    yield convergence.pointwise(soliton.name, claim, residual, allowed)

    constant = perelman.f_integrand(geometry, f)
    if tau is not None:
        constant = constant - f.value / tau
        allowed = allowed + convergence.rounding(f.value.abs() / tau)
    claim = f"R + |∇f|²{'' if tau is None else ' − f/τ'} constant"
    yield convergence.pointwise(soliton.name, claim, constant - soliton.constant, allowed)
