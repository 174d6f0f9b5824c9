"""Gauss–Bonnet: ∫ K dA = 2πχ on closed surfaces, and Chern's theorem in dimension four.

    ∫ K dA = 2πχ,                                  K = R/2                       (d = 2),
    ∫ (|Rm|² − 4 |Ric|² + R²) dμ = 32π² χ                                        (d = 4).

References: do Carmo, *Differential Geometry of Curves and Surfaces*, §4-5; Chern, *A simple
intrinsic proof of the Gauss–Bonnet formula* (1944); Besse, *Einstein Manifolds*, 6.31.
"""

import cmath
import math

import torch

import curvcore
from verification.identities import convergence, meshes, perelman, surfaces

MOEBIUS, RADIUS = 0.6, 2.0
CHUNK = 8192
# The Euler density is quadratic: an error δ of Rm makes one of (2 + 4·2 + …) |Rm| δ.
DENSITY_TERMS = 10


def findings(full, seed):
    """Yield the Findings: sphere and torus, whose rates are known, and perturbations of each."""
    generator = torch.Generator().manual_seed(seed)
    yield surface(
        "sphere, Möbius chart",
        surfaces.moebius_sphere(MOEBIUS),
        meshes.spherical,
        sizes=(4, 8, 12, 16, 24),
        characteristic=2,
        rate=moebius_rate(),
    )
    yield surface(
        "ring torus, conformal chart",
        surfaces.conformal_torus(RADIUS),
        meshes.periodic,
        sizes=(4, 8, 12, 16, 24, 32),
        characteristic=0,
        rate=torus_rate(),
    )
    for count in range(4 if full else 1):
        yield surface(
            f"perturbed sphere {count + 1}",
            surfaces.perturbed(surfaces.sphere, 3, generator),
            meshes.spherical,
            sizes=(6, 12, 24, 48),
            characteristic=2,
        )
        yield surface(
            f"perturbed torus {count + 1}",
            surfaces.perturbed(surfaces.conformal_torus(RADIUS), 3, generator),
            meshes.periodic,
            sizes=(12, 24, 48, 96),
            characteristic=0,
        )
    if full:
        yield four_dimensional(generator)


def moebius_rate():
    """1/ρ², ρ the sum of half-axes of Bernstein's ellipse through the pole nearest to [0, π].

    dA = (1 − b²) sin θ/(1 + b cos θ)² dθ dφ has double poles where cos θ = −1/b, that is at
    θ = π + i arcosh(1/b), or t = 1 + (2i/π) arcosh(1/b) when [0, π] is scaled to [−1, 1].
    """
    t = 1 + 2j / math.pi * math.acosh(1 / MOEBIUS)
    return abs(t + cmath.sqrt(t * t - 1)) ** -2


def torus_rate():
    """e^{−α}, α = arcosh a: K dA = −Δ log(a + cos θ) dφ dw has double poles where cos w = a."""
    return math.exp(-math.acosh(RADIUS))


def gaussian_curvature(geometry):
    """K = R/2."""
    return geometry.scalar / 2


def surface(subject, decoder, rule, *, sizes, characteristic, rate=None):
    """The Finding that ∫ K dA − 2πχ falls to rounding."""

    def measured(n):
        mesh = rule(n, 2)
        geometry = curvcore.pullback(decoder, mesh.z)
        area = mesh.weights * geometry.volume_density
        found = (area * gaussian_curvature(geometry)).sum()
        bound = convergence.rounding((area * perelman.size(geometry)).sum())
        return convergence.Measured(n, abs(found - 2 * math.pi * characteristic), bound)

    with torch.no_grad():
        errors = [measured(n) for n in sizes]
    return convergence.spectral(subject, f"∫K dA = 2πχ, χ = {characteristic}", errors, rate)


def euler_density(geometry):
    """|Rm|² − 4 |Ric|² + R²: (B,)."""
    riemann = perelman.length(geometry, geometry.riemann, 4)
    ricci = perelman.length(geometry, geometry.ricci, 2)
    return riemann.square() - 4 * ricci.square() + geometry.scalar.square()


def four_dimensional(generator, sizes=(4, 8, 12, 18)):
    """The Finding of Chern's theorem on a perturbed S² × S², χ = 4, where Weyl does not vanish."""
    decoder = surfaces.perturbed(surfaces.product_of_spheres, 6, generator, size=0.1, frequency=0.5)
    unit = 32 * math.pi**2

    def measured(n):
        mesh = _squared(meshes.spherical(n, 2, n))
        total = bound = 0
        for z, weights in zip(mesh.z.split(CHUNK), mesh.weights.split(CHUNK), strict=True):
            geometry = curvcore.pullback(decoder, z)
            volume = weights * geometry.volume_density
            total += (volume * euler_density(geometry)).sum()
            curvature = perelman.length(geometry, geometry.riemann, 4)
            bound += DENSITY_TERMS * (volume * curvature * perelman.size(geometry)).sum()
        return convergence.Measured(n, abs(total / unit - 4), convergence.rounding(bound / unit))

    with torch.no_grad():
        errors = [measured(n) for n in sizes]
    statement = "∫(|Rm|² − 4|Ric|² + R²) dμ = 32π²χ, χ = 4"
    return convergence.spectral("perturbed S² × S²", statement, errors)


def _squared(mesh):
    """The product of a mesh with itself."""
    n = len(mesh.z)
    z = torch.cat([mesh.z.repeat_interleave(n, 0), mesh.z.repeat(n, 1)], 1)
    return meshes.Mesh(z, mesh.weights.repeat_interleave(n) * mesh.weights.repeat(n))
