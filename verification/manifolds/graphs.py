"""Graphs of functions: paraboloids, saddles, a Monge patch, a complex curve.

For z = f(x, y), with W² = 1 + |∇f|² (do Carmo, *Differential Geometry of Curves and Surfaces*,
§3-3):

    K = det ∇²f / W⁴,   |H|² = ((1 + f_y²) f_xx − 2 f_x f_y f_xy + (1 + f_x²) f_yy)² / W⁶.
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold
from verification.manifolds.surface import surface

GRAPH = "do Carmo, Differential Geometry of Curves and Surfaces, §3-3 (graphs)"

x, y = sp.symbols("x y", real=True)
a, b, c, p = sp.symbols("a b c p", positive=True)


def graphs() -> tuple[Manifold, ...]:
    """Graphs over R^d in R^{d+1}, and one holomorphic graph in C²."""
    return (
        elliptic_paraboloid(),
        hyperbolic_paraboloid(),
        monkey_saddle(),
        monge_patch(),
        *(paraboloid(d) for d in (2, 3, 4)),
        complex_parabola(),
    )


def elliptic_paraboloid() -> Manifold:
    """z = x²/2a + y²/2b: K = 1/(ab (1 + x²/a² + y²/b²)²)."""
    square = 1 + x**2 / a**2 + y**2 / b**2
    return surface(
        name="elliptic-paraboloid",
        coordinates=(x, y),
        immersion=(x, y, x**2 / (2 * a) + y**2 / (2 * b)),
        domain=((-1.5, 1.5), (-1.5, 1.5)),
        parameters=MappingProxyType({a: 1.3, b: 0.8}),
        metric=sp.ImmutableMatrix(
            [[1 + x**2 / a**2, x * y / (a * b)], [x * y / (a * b), 1 + y**2 / b**2]]
        ),
        gaussian=1 / (a * b * square**2),
        mean_curvature_squared=((1 + y**2 / b**2) / a + (1 + x**2 / a**2) / b) ** 2 / square**3,
        reference=GRAPH,
    )


def hyperbolic_paraboloid() -> Manifold:
    """z = xy/c: K = −c²/(c² + x² + y²)², |H|² = 4x²y²/(c² + x² + y²)³."""
    square = c**2 + x**2 + y**2
    return surface(
        name="hyperbolic-paraboloid",
        coordinates=(x, y),
        immersion=(x, y, x * y / c),
        domain=((-1.5, 1.5), (-1.5, 1.5)),
        parameters=MappingProxyType({c: 1.2}),
        metric=sp.ImmutableMatrix(
            [[1 + y**2 / c**2, x * y / c**2], [x * y / c**2, 1 + x**2 / c**2]]
        ),
        gaussian=-(c**2) / square**2,
        mean_curvature_squared=4 * x**2 * y**2 / square**3,
        reference=GRAPH,
    )


def monkey_saddle() -> Manifold:
    """z = x³ − 3xy²: K = −36(x² + y²)/(1 + 9(x² + y²)²)², zero at the planar point only.

    In |H|², (1 + f_y²) f_xx − 2 f_x f_y f_xy + (1 + f_x²) f_yy = 54(−x⁵ + 2x³y² + 3xy⁴).
    """
    square = 1 + 9 * (x**2 + y**2) ** 2
    slope_x, slope_y = 3 * (x**2 - y**2), -6 * x * y
    return surface(
        name="monkey-saddle",
        coordinates=(x, y),
        immersion=(x, y, x**3 - 3 * x * y**2),
        domain=((-0.7, 0.7), (-0.7, 0.7)),
        parameters=MappingProxyType({}),
        metric=sp.ImmutableMatrix(
            [[1 + slope_x**2, slope_x * slope_y], [slope_x * slope_y, 1 + slope_y**2]]
        ),
        gaussian=-36 * (x**2 + y**2) / square**2,
        mean_curvature_squared=54**2 * (-(x**5) + 2 * x**3 * y**2 + 3 * x * y**4) ** 2 / square**3,
        reference="Gray, Abbena, Salamon, Modern Differential Geometry (3rd ed.), ch. 13",
    )


def monge_patch() -> Manifold:
    """z = a sin x · e^{y/2}, through the graph formulas with each derivative of f written out."""
    wave, slope, growth = sp.sin(x), sp.cos(x), sp.exp(y / 2)
    f_x, f_y = a * slope * growth, a * wave * growth / 2
    f_xx, f_xy, f_yy = -a * wave * growth, a * slope * growth / 2, a * wave * growth / 4
    square = 1 + f_x**2 + f_y**2
    bending = (1 + f_y**2) * f_xx - 2 * f_x * f_y * f_xy + (1 + f_x**2) * f_yy
    return surface(
        name="monge-patch",
        coordinates=(x, y),
        immersion=(x, y, a * wave * growth),
        domain=((-1.5, 1.5), (-1.5, 1.5)),
        parameters=MappingProxyType({a: 0.7}),
        metric=sp.ImmutableMatrix([[1 + f_x**2, f_x * f_y], [f_x * f_y, 1 + f_y**2]]),
        gaussian=(f_xx * f_yy - f_xy**2) / square**2,
        mean_curvature_squared=bending**2 / square**3,
        reference=GRAPH,
    )


def paraboloid(d: int) -> Manifold:
    """The graph of |x|²/2p over R^d, a hypersurface of revolution with ρ = |x|.

    Principal curvatures: κ_r = p²/(p² + ρ²)^{3/2} along the meridian, once, and
    κ_t = 1/(p² + ρ²)^{1/2} across it, d − 1 times. By the Gauss equation

        R = 2(d−1) κ_r κ_t + (d−1)(d−2) κ_t²,   |H| = κ_r + (d−1) κ_t,
        Ric_ij = λ_t δ_ij + x_i x_j/(p² + ρ²)²,   λ_t = κ_t (κ_r + (d−2) κ_t).
    """
    point = sp.Matrix(sp.symbols(f"x1:{d + 1}", real=True))
    rho_squared = point.dot(point)
    square = p**2 + rho_squared
    radial_tangential, tangential_squared = p**2 / square**2, 1 / square
    dyad, identity = sp.ImmutableMatrix(point * point.T), sp.ImmutableMatrix.eye(d)
    return Manifold(
        name=f"paraboloid-{d}",
        coordinates=tuple(point),
        immersion=(*point, rho_squared / (2 * p)),
        domain=((-1.2, 1.2),) * d,
        parameters=MappingProxyType({p: 1.1}),
        metric=identity + dyad / p**2,
        scalar=2 * (d - 1) * radial_tangential + (d - 1) * (d - 2) * tangential_squared,
        ricci=(radial_tangential + (d - 2) * tangential_squared) * identity + dyad / square**2,
        gaussian=radial_tangential if d == 2 else None,
        mean_curvature_squared=(p**2 + (d - 1) * square) ** 2 / square**3,
        reference="do Carmo, Riemannian Geometry, ch. 6 (Gauss equation for hypersurfaces)",
    )


def complex_parabola() -> Manifold:
    """The graph w = z²/c in C² = R⁴, a minimal surface of codimension 2.

    Any holomorphic graph w = f(z) has g = (1 + |f'|²) |dz|², K = −2|f''|²/(1 + |f'|²)³ and H = 0.
    """
    conformal = 1 + 4 * (x**2 + y**2) / c**2
    return surface(
        name="complex-parabola",
        coordinates=(x, y),
        immersion=(x, y, (x**2 - y**2) / c, 2 * x * y / c),
        domain=((-1.2, 1.2), (-1.2, 1.2)),
        parameters=MappingProxyType({c: 1.4}),
        metric=conformal * sp.ImmutableMatrix.eye(2),
        gaussian=-8 / (c**2 * conformal**3),
        mean_curvature_squared=sp.S.Zero,
        reference="Lawson, Lectures on Minimal Submanifolds, ch. 1 (complex submanifolds)",
    )
