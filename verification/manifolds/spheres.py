"""Round spheres in two charts: the curvature of a space form, and the test of every sign.

References: Lee, *Introduction to Riemannian Manifolds* (2nd ed.), chs. 3 and 8 (model spaces);
do Carmo, *Riemannian Geometry*, ch. 6 (the sphere as a totally umbilical hypersurface).
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold

REFERENCE = "Lee, Introduction to Riemannian Manifolds (2nd ed.), chs. 3 and 8"

r = sp.Symbol("r", positive=True)
PARAMETERS = MappingProxyType({r: 1.3})


def spheres() -> tuple[Manifold, ...]:
    """S^1 … S^4, each in spherical coordinates and in stereographic projection."""
    charts = (spherical_sphere, stereographic_sphere)
    return tuple(chart(d) for d in range(1, 5) for chart in charts)


def spherical_point(angles: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    """The unit vector (cos θ1, sin θ1 cos θ2, …, sin θ1 ⋯ cos θd, sin θ1 ⋯ sin θd)."""
    sines = sp.S.One
    point = []
    for angle in angles:
        point.append(sines * sp.cos(angle))
        sines *= sp.sin(angle)
    return (*point, sines)


def round_metric(angles: tuple[sp.Symbol, ...]) -> sp.ImmutableMatrix:
    """The unit round metric diag(1, sin²θ1, sin²θ1 sin²θ2, …)."""
    squares = [sp.sin(angle) ** 2 for angle in angles]
    return sp.ImmutableMatrix.diag(*(sp.prod(squares[:i]) for i in range(len(angles))))


def stereographic_point(plane: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    """The unit vector (2x, |x|² − 1)/(1 + |x|²), projected from the north pole."""
    square = sum(x**2 for x in plane)
    return (*(2 * x / (1 + square) for x in plane), (square - 1) / (1 + square))


def stereographic_metric(plane: tuple[sp.Symbol, ...]) -> sp.ImmutableMatrix:
    """The unit round metric 4δ_ij/(1 + |x|²)²."""
    factor = 4 / (1 + sum(x**2 for x in plane)) ** 2
    return factor * sp.ImmutableMatrix.eye(len(plane))


def angles_domain(d: int) -> tuple[tuple[float, float], ...]:
    """Polar angles away from both poles, and an azimuth short of the full circle."""
    return ((0.8, 2.3),) * (d - 1) + ((-3.0, 3.0),)


def spherical_sphere(d: int) -> Manifold:
    """S^d of radius r in spherical coordinates."""
    angles = sp.symbols(f"theta1:{d + 1}", real=True)
    return _sphere(
        f"sphere-{d}", angles, angles_domain(d), spherical_point(angles), round_metric(angles)
    )


def stereographic_sphere(d: int) -> Manifold:
    """S^d of radius r in stereographic coordinates."""
    plane = sp.symbols(f"x1:{d + 1}", real=True)
    return _sphere(
        f"sphere-{d}-stereographic",
        plane,
        ((-1.2, 1.2),) * d,
        stereographic_point(plane),
        stereographic_metric(plane),
    )


def _sphere(name, coordinates, domain, unit_point, unit_metric) -> Manifold:
    """g = r² ĝ, Ric = (d − 1) ĝ, R = d(d − 1)/r², |H|² = d²/r², with ĝ the unit round metric."""
    d = len(coordinates)
    return Manifold(
        name=name,
        coordinates=coordinates,
        immersion=tuple(r * component for component in unit_point),
        domain=domain,
        parameters=PARAMETERS,
        metric=r**2 * unit_metric,
        ricci=(d - 1) * unit_metric,
        scalar=d * (d - 1) / r**2,
        gaussian=1 / r**2 if d == 2 else None,
        mean_curvature_squared=d**2 / r**2,
        reference=REFERENCE,
    )
