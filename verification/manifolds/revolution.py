"""Surfaces of revolution, and the ellipsoid with three different axes.

For the profile (f(v), h(v)) turned by the angle u (do Carmo, *Differential Geometry of Curves and
Surfaces*, §3-3): g = diag(f², f'² + h'²), with principal curvatures along parallels and meridians

    κ_u = h' / (f √(f'² + h'²)),   κ_v = (f' h'' − f'' h') / (f'² + h'²)^{3/2}.
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold
from verification.manifolds.surface import surface

REVOLUTION = "do Carmo, Differential Geometry of Curves and Surfaces, §3-3 (revolution)"

u, v = sp.symbols("u v", real=True)
a, b, c, r, R = sp.symbols("a b c r R", positive=True)
TURN = (-3.0, 3.0)


def surfaces_of_revolution() -> tuple[Manifold, ...]:
    """Torus, spheroid, hyperboloid, pseudosphere, catenoid; then the triaxial ellipsoid."""
    return (torus(), spheroid(), hyperboloid(), pseudosphere(), catenoid(), ellipsoid())


def _turned(profile: sp.Expr, height: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(f cos u, f sin u, h)."""
    return (profile * sp.cos(u), profile * sp.sin(u), height)


def torus() -> Manifold:
    """The ring torus: K = cos v/(r(R + r cos v)), |H| = (R + 2r cos v)/(r(R + r cos v))."""
    ring = R + r * sp.cos(v)
    return surface(
        name="torus",
        coordinates=(u, v),
        immersion=_turned(ring, r * sp.sin(v)),
        domain=(TURN, TURN),
        parameters=MappingProxyType({R: 1.9, r: 0.9}),
        metric=sp.ImmutableMatrix.diag(ring**2, r**2),
        gaussian=sp.cos(v) / (r * ring),
        mean_curvature_squared=((R + 2 * r * sp.cos(v)) / (r * ring)) ** 2,
        reference="do Carmo, Differential Geometry of Curves and Surfaces, §3-3, example 1",
    )


def spheroid() -> Manifold:
    """Semi-axes a, a, c: K = c²/q², |H|² = c²(a² + q)²/(a²q³), q = a² cos²v + c² sin²v."""
    q = a**2 * sp.cos(v) ** 2 + c**2 * sp.sin(v) ** 2
    return surface(
        name="spheroid",
        coordinates=(u, v),
        immersion=_turned(a * sp.sin(v), c * sp.cos(v)),
        domain=(TURN, (0.6, 2.5)),
        parameters=MappingProxyType({a: 1.2, c: 0.7}),
        metric=sp.ImmutableMatrix.diag(a**2 * sp.sin(v) ** 2, q),
        gaussian=c**2 / q**2,
        mean_curvature_squared=c**2 * (a**2 + q) ** 2 / (a**2 * q**3),
        reference=REVOLUTION,
    )


def hyperboloid() -> Manifold:
    """One sheet: K = −c²/q², |H|² = c²(q − a²)²/(a²q³), q = a² sinh²v + c² cosh²v."""
    q = a**2 * sp.sinh(v) ** 2 + c**2 * sp.cosh(v) ** 2
    return surface(
        name="hyperboloid",
        coordinates=(u, v),
        immersion=_turned(a * sp.cosh(v), c * sp.sinh(v)),
        domain=(TURN, (-1.2, 1.2)),
        parameters=MappingProxyType({a: 1.2, c: 0.7}),
        metric=sp.ImmutableMatrix.diag(a**2 * sp.cosh(v) ** 2, q),
        gaussian=-(c**2) / q**2,
        mean_curvature_squared=c**2 * (q - a**2) ** 2 / (a**2 * q**3),
        reference=REVOLUTION,
    )


def pseudosphere() -> Manifold:
    """The tractrix (sech v, v − tanh v) turned: K = −1/a², κ = sinh v/a and −1/(a sinh v)."""
    return surface(
        name="pseudosphere",
        coordinates=(u, v),
        immersion=_turned(a / sp.cosh(v), a * (v - sp.tanh(v))),
        domain=(TURN, (0.5, 1.8)),
        parameters=MappingProxyType({a: 1.3}),
        metric=a**2 * sp.ImmutableMatrix.diag(sp.cosh(v) ** -2, sp.tanh(v) ** 2),
        gaussian=-1 / a**2,
        mean_curvature_squared=(sp.sinh(v) - 1 / sp.sinh(v)) ** 2 / a**2,
        reference="do Carmo, Differential Geometry of Curves and Surfaces, §3-3, exercise 6",
    )


def catenoid() -> Manifold:
    """(c cosh v cos u, c cosh v sin u, c v): g = c² cosh²v δ, K = −1/(c² cosh⁴v), H = 0."""
    return surface(
        name="catenoid",
        coordinates=(u, v),
        immersion=_turned(c * sp.cosh(v), c * v),
        domain=(TURN, (-1.2, 1.2)),
        parameters=MappingProxyType({c: 1.3}),
        metric=c**2 * sp.cosh(v) ** 2 * sp.ImmutableMatrix.eye(2),
        gaussian=-1 / (c**2 * sp.cosh(v) ** 4),
        mean_curvature_squared=sp.S.Zero,
        reference="do Carmo, Differential Geometry of Curves and Surfaces, §3-5 (minimal surfaces)",
    )


def ellipsoid() -> Manifold:
    """Semi-axes a, b, c: (a sin v cos u, b sin v sin u, c cos v), no symmetry of revolution.

    With the support function h at the point (x, y, z), h⁻² = x²/a⁴ + y²/b⁴ + z²/c⁴:

        K = h⁴/(a²b²c²),   |H| = h³ (a² + b² + c² − |x|²)/(a²b²c²).
    """
    point = (a * sp.sin(v) * sp.cos(u), b * sp.sin(v) * sp.sin(u), c * sp.cos(v))
    axes = (a, b, c)
    support = 1 / sum(x**2 / s**4 for x, s in zip(point, axes, strict=True))
    excess = sum(s**2 for s in axes) - sum(x**2 for x in point)
    volume = a**2 * b**2 * c**2
    stretch = sp.sin(v) * sp.cos(v) * sp.sin(u) * sp.cos(u) * (b**2 - a**2)
    parallel = sp.sin(v) ** 2 * (a**2 * sp.sin(u) ** 2 + b**2 * sp.cos(u) ** 2)
    meridian = sp.cos(v) ** 2 * (a**2 * sp.cos(u) ** 2 + b**2 * sp.sin(u) ** 2)
    return surface(
        name="ellipsoid",
        coordinates=(u, v),
        immersion=point,
        domain=(TURN, (0.6, 2.5)),
        parameters=MappingProxyType({a: 1.2, b: 0.9, c: 0.7}),
        metric=sp.ImmutableMatrix(
            [[parallel, stretch], [stretch, meridian + c**2 * sp.sin(v) ** 2]]
        ),
        gaussian=support**2 / volume,
        mean_curvature_squared=support**3 * excess**2 / volume**2,
        reference="Gray, Abbena, Salamon, Modern Differential Geometry (3rd ed.), ch. 13",
    )
