"""Minimal surfaces in R³ that are neither graphs nor of revolution: H = 0 and K ≤ 0.

Reference: do Carmo, *Differential Geometry of Curves and Surfaces*, §3-5.
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold
from verification.manifolds.surface import surface

REFERENCE = "do Carmo, Differential Geometry of Curves and Surfaces, §3-5 (minimal surfaces)"

u, v = sp.symbols("u v", real=True)
c = sp.Symbol("c", positive=True)


def minimal_surfaces() -> tuple[Manifold, ...]:
    """Helicoid and Enneper's surface."""
    return (helicoid(), enneper())


def helicoid() -> Manifold:
    """(v cos u, v sin u, c u): g = diag(c² + v², 1), K = −c²/(c² + v²)²."""
    return surface(
        name="helicoid",
        coordinates=(u, v),
        immersion=(v * sp.cos(u), v * sp.sin(u), c * u),
        domain=((-3.0, 3.0), (-2.0, 2.0)),
        parameters=MappingProxyType({c: 0.9}),
        metric=sp.ImmutableMatrix.diag(c**2 + v**2, 1),
        gaussian=-(c**2) / (c**2 + v**2) ** 2,
        mean_curvature_squared=sp.S.Zero,
        reference=REFERENCE,
    )


def enneper() -> Manifold:
    """(u − u³/3 + uv², v − v³/3 + u²v, u² − v²): g = (1 + u² + v²)² δ, K = −4/(1 + u² + v²)⁴."""
    conformal = 1 + u**2 + v**2
    return surface(
        name="enneper",
        coordinates=(u, v),
        immersion=(u - u**3 / 3 + u * v**2, v - v**3 / 3 + u**2 * v, u**2 - v**2),
        domain=((-1.2, 1.2), (-1.2, 1.2)),
        parameters=MappingProxyType({}),
        metric=conformal**2 * sp.ImmutableMatrix.eye(2),
        gaussian=-4 / conformal**4,
        mean_curvature_squared=sp.S.Zero,
        reference=REFERENCE,
    )
