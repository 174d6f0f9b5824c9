"""F and W where they are known, on immersions that hide it.

    round S^d, f constant:          F = d(d − 1)/r²,   W = τ d(d − 1)/r² + f − d;
    flat R^n, f = |x|²/4τ:          F = n/2τ,          W = 0;
    conformally flat T², dm = dz:   F = 0.

The last: with g = e^{2u} g₀, g₀ constant and dm uniform, f = 2u + const and R = −2 e^{−2u} Δu, so
(R + |∇f|²) dm = −2 div(e^{−2u} ∇u) dz. References: Perelman, arXiv:math/0211159, §1 and §3.
"""

import math

import torch

import curvcore
from verification.identities import convergence, meshes, perelman, surfaces

TAU = 0.6
# e^{−f} < 1e-17 outside |x| = √(160 τ); coordinates differ from x by √WAVES · size/frequency.
HALF_WIDTH = math.sqrt(160 * TAU) + 0.62


@torch.no_grad()
def findings(full, seed):
    """Yield the Findings."""
    generator = torch.Generator().manual_seed(seed)
    for d in (2, 3, 4):
        yield from sphere(d)
    yield from gaussian(2, (12, 24, 48), generator)
    for _ in range(4 if full else 1):
        yield conformal_torus(generator)
    if full:
        yield from gaussian(3, (12, 24, 52), generator)


def _functional(geometry, mesh, f, tau=None):
    """F or W, and what rounding may cost."""
    factor = 1 if tau is None else (4 * math.pi * tau) ** (-mesh.z.shape[1] / 2)
    measure = factor * mesh.weights * torch.exp(-f.value) * geometry.volume_density
    value = (measure * perelman.integrand(geometry, f, tau)).sum()
    size = perelman.size(geometry, f) * (1 if tau is None else tau) + 1 + f.value.abs()
    return value, convergence.rounding((measure * size).sum())


def sphere(d, radius=1.3, sizes=(2, 6, 12)):
    """Yield the Findings of F and W on S^d with f = log Vol, and − d/2 log 4πτ for W."""
    volume = 2 * math.pi ** ((d + 1) / 2) / math.gamma((d + 1) / 2) * radius**d
    curvature = d * (d - 1) / radius**2
    gauge = math.log(volume) - d / 2 * math.log(4 * math.pi * TAU)
    expected = {"F": (None, math.log(volume), curvature)}
    expected["W"] = (TAU, gauge, TAU * curvature + gauge - d)
    for name, (tau, constant, exact) in expected.items():
        measured = []
        for n in sizes:
            mesh = meshes.spherical(n, d, azimuths=4)
            geometry = curvcore.pullback(lambda z: surfaces.sphere(z, radius), mesh.z)
            f = perelman.Potential(torch.full_like(mesh.weights, constant), 0 * mesh.z)
            value, bound = _functional(geometry, mesh, f, tau)
            measured.append(convergence.Measured(n, abs(value - exact), bound))
        closed = "d(d−1)/r²" if tau is None else "τd(d−1)/r² + f − d"
        yield convergence.spectral(f"round S^{d}, f constant", f"{name} = {closed}", measured)


def gaussian(d, sizes, generator):
    """Yield the Findings of F = n/2τ and W = 0 for flat R^n, f = |x|²/4τ.

    R^n is wound round a torus in R^{2n}, isometrically, and x a random diffeomorphism of its
    coordinates.
    """
    to_flat = surfaces.diffeomorphism(d, generator, size=0.25, frequency=1)
    for name, tau, exact in (("F = n/2τ", None, d / (2 * TAU)), ("W = 0", TAU, 0)):
        factor = (4 * math.pi * TAU) ** (-d / 2)
        offset = 0 if tau else -math.log(factor)
        measured = []
        for n in sizes:
            mesh = meshes.box(n, d, HALF_WIDTH)
            geometry = curvcore.pullback(lambda z: surfaces.clifford_torus(to_flat(z)), mesh.z)
            f = perelman.potential(
                lambda z, c=offset: to_flat(z).square().sum(1) / (4 * TAU) + c, mesh.z
            )
            value, bound = _functional(geometry, mesh, f, tau)
            measured.append(convergence.Measured(n, abs(value - exact), bound))
        yield convergence.spectral(f"flat R^{d}, f = |x|²/4τ", name, measured)


def conformal_torus(generator, sizes=(2, 3, 48)):
    """The Finding that F = 0 on a ring torus in isothermal coordinates, inverted in a random point.

    Inversions are conformal, so these are isothermal coordinates of the image. The integrand is
    Δ(e^{−2u}), and e^{−u} = |x − p|²/(a + cos θ) is a trigonometric polynomial of degree 1, since
    |x|² = 2a (a + cos θ) + 1 − a²: quadrature is exact from n = 3 on.
    """
    centre = torch.randn(3, generator=generator, dtype=torch.float64)
    centre = 5 * centre / centre.norm()
    decoder = surfaces.inverted(surfaces.conformal_torus(2.0), centre)
    measured = []
    for n in sizes:
        mesh = meshes.periodic(n, 2)
        geometry = curvcore.pullback(decoder, mesh.z)
        uniform = torch.full_like(mesh.weights, -2 * math.log(2 * math.pi))
        f = perelman.fixed_measure(geometry, perelman.Potential(uniform, 0 * mesh.z))
        value, bound = _functional(geometry, mesh, f)
        measured.append(convergence.Measured(n, abs(value), bound))
    statement = "F = 0"
    return convergence.spectral("conformal torus, dm uniform", statement, measured)
