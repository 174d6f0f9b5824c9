"""Flat manifolds, R = 0 and Ric = 0: curved coordinates, and bending without stretching.

Where the second fundamental form is not zero its terms must cancel, as on flat tori and swiss
rolls; where only the coordinates are curved, Γ ≠ 0 must still give no curvature.

References: do Carmo, *Differential Geometry of Curves and Surfaces*, §3-5 (developable surfaces);
do Carmo, *Riemannian Geometry*, ch. 6, exercise 2 (flat torus); Gray, Abbena, Salamon, *Modern
Differential Geometry of Curves and Surfaces* (spirals).
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold

DEVELOPABLE = "do Carmo, Differential Geometry of Curves and Surfaces, §3-5"
POLAR = "Lee, Introduction to Riemannian Manifolds (2nd ed.), ch. 2"
FLAT_TORUS = "do Carmo, Riemannian Geometry, ch. 6, exercise 2"

u, v = sp.symbols("u v", real=True)
rho, theta, phi = sp.symbols("rho theta phi", real=True)
r, c = sp.symbols("r c", positive=True)


def flat_manifolds() -> tuple[Manifold, ...]:
    """Planes and space in curved coordinates, developable surfaces, flat tori."""
    return (
        plane(),
        polar_plane(),
        spherical_space(),
        cylinder(),
        cone(),
        swiss_roll(),
        flat_torus(2),
        flat_torus(3),
    )


def plane() -> Manifold:
    """(u, v, 0): g = δ."""
    return _flat(
        name="plane",
        coordinates=(u, v),
        immersion=(u, v, sp.S.Zero),
        domain=((-2.0, 2.0), (-2.0, 2.0)),
        metric=sp.ImmutableMatrix.eye(2),
        mean_curvature_squared=sp.S.Zero,
        reference=DEVELOPABLE,
    )


def polar_plane() -> Manifold:
    """(ρ cos θ, ρ sin θ, 0): g = diag(1, ρ²)."""
    return _flat(
        name="plane-polar",
        coordinates=(rho, theta),
        immersion=(rho * sp.cos(theta), rho * sp.sin(theta), sp.S.Zero),
        domain=((0.5, 2.0), (-3.0, 3.0)),
        metric=sp.ImmutableMatrix.diag(1, rho**2),
        mean_curvature_squared=sp.S.Zero,
        reference=POLAR,
    )


def spherical_space() -> Manifold:
    """R³ in spherical coordinates: g = diag(1, ρ², ρ² sin²θ). A decoder with D = d."""
    return _flat(
        name="space-spherical",
        coordinates=(rho, theta, phi),
        immersion=(
            rho * sp.cos(theta),
            rho * sp.sin(theta) * sp.cos(phi),
            rho * sp.sin(theta) * sp.sin(phi),
        ),
        domain=((0.6, 2.0), (0.8, 2.3), (-3.0, 3.0)),
        metric=sp.ImmutableMatrix.diag(1, rho**2, rho**2 * sp.sin(theta) ** 2),
        mean_curvature_squared=sp.S.Zero,
        reference=POLAR,
    )


def cylinder() -> Manifold:
    """(r cos u, r sin u, v): g = diag(r², 1), principal curvatures 1/r and 0."""
    return _flat(
        name="cylinder",
        coordinates=(u, v),
        immersion=(r * sp.cos(u), r * sp.sin(u), v),
        domain=((-3.0, 3.0), (-2.0, 2.0)),
        parameters=MappingProxyType({r: 1.3}),
        metric=sp.ImmutableMatrix.diag(r**2, 1),
        mean_curvature_squared=1 / r**2,
        reference=DEVELOPABLE,
    )


def cone() -> Manifold:
    """(c v cos u, c v sin u, v): g = diag(c²v², 1 + c²), curvatures 1/(c v √(1 + c²)) and 0."""
    return _flat(
        name="cone",
        coordinates=(u, v),
        immersion=(c * v * sp.cos(u), c * v * sp.sin(u), v),
        domain=((-3.0, 3.0), (0.6, 2.0)),
        parameters=MappingProxyType({c: 0.7}),
        metric=sp.ImmutableMatrix.diag(c**2 * v**2, 1 + c**2),
        mean_curvature_squared=1 / (c**2 * v**2 * (1 + c**2)),
        reference=DEVELOPABLE,
    )


def swiss_roll() -> Manifold:
    """The cylinder (c u cos u, v, c u sin u) over an Archimedean spiral.

    g = diag(c²(1 + u²), 1) and |H| is the curvature of the spiral, (2 + u²)/(c (1 + u²)^{3/2}).
    """
    return _flat(
        name="swiss-roll",
        coordinates=(u, v),
        immersion=(c * u * sp.cos(u), v, c * u * sp.sin(u)),
        domain=((1.5, 6.0), (-2.0, 2.0)),
        parameters=MappingProxyType({c: 0.4}),
        metric=sp.ImmutableMatrix.diag(c**2 * (1 + u**2), 1),
        mean_curvature_squared=(2 + u**2) ** 2 / (c**2 * (1 + u**2) ** 3),
        reference="Gray, Abbena, Salamon, Modern Differential Geometry (3rd ed.), ch. 2 (spirals)",
    )


def flat_torus(d: int) -> Manifold:
    """(r_1 cos φ_1, r_1 sin φ_1, …) in R^{2d}: g = diag(r_i²), |H|² = Σ 1/r_i²."""
    angles = sp.symbols(f"phi1:{d + 1}", real=True)
    radii = sp.symbols(f"r1:{d + 1}", positive=True)
    circles = zip(radii, angles, strict=True)
    return _flat(
        name=f"flat-torus-{d}",
        coordinates=angles,
        immersion=tuple(s * f(t) for s, t in circles for f in (sp.cos, sp.sin)),
        domain=((-3.0, 3.0),) * d,
        parameters=MappingProxyType(dict(zip(radii, (1.3, 0.7, 0.9), strict=False))),
        metric=sp.ImmutableMatrix.diag(*(s**2 for s in radii)),
        mean_curvature_squared=sum(1 / s**2 for s in radii),
        reference=FLAT_TORUS,
    )


def _flat(coordinates, **forms) -> Manifold:
    """A manifold with R = 0, Ric = 0 and, for surfaces, K = 0."""
    d = len(coordinates)
    return Manifold(
        coordinates=coordinates,
        scalar=sp.S.Zero,
        ricci=sp.ImmutableMatrix.zeros(d, d),
        gaussian=sp.S.Zero if d == 2 else None,
        **forms,
    )
