"""Dimension above two, or codimension above one: products, a cone, projective spaces.

Here Ricci is not a multiple of g (products, the cone) and the Weyl tensor does not vanish (CP²), so
errors in index order that surfaces and space forms hide become visible.
"""

from types import MappingProxyType

import sympy as sp

from verification.manifolds.manifold import Manifold
from verification.manifolds.spheres import angles_domain, round_metric, spherical_point
from verification.manifolds.surface import surface

PRODUCT = "do Carmo, Riemannian Geometry, ch. 6; Lee, Introduction to Riemannian Manifolds, ch. 7"

a, b, c = sp.symbols("a b c", positive=True)
theta, phi = sp.symbols("theta phi", real=True)


def submanifolds() -> tuple[Manifold, ...]:
    """S¹×S², S²×S², the cone over S², the Veronese surface, the complex projective plane."""
    return (
        product_of_spheres(1, 2),
        product_of_spheres(2, 2),
        spherical_cone(),
        veronese(),
        projective_plane(),
    )


def product_of_spheres(m: int, n: int) -> Manifold:
    """S^m(a) × S^n(b) in R^{m+n+2}: curvatures of the factors add.

    Ric = (m−1) ĝ_m ⊕ (n−1) ĝ_n with unit round metrics ĝ, R = m(m−1)/a² + n(n−1)/b²,
    |H|² = m²/a² + n²/b².
    """
    first = sp.symbols(f"alpha1:{m + 1}", real=True)
    second = sp.symbols(f"beta1:{n + 1}", real=True)
    metrics = round_metric(first), round_metric(second)
    return Manifold(
        name=f"sphere-{m}-x-sphere-{n}",
        coordinates=(*first, *second),
        immersion=(
            *(a * component for component in spherical_point(first)),
            *(b * component for component in spherical_point(second)),
        ),
        domain=angles_domain(m) + angles_domain(n),
        parameters=MappingProxyType({a: 1.3, b: 0.8}),
        metric=sp.ImmutableMatrix.diag(a**2 * metrics[0], b**2 * metrics[1]),
        ricci=sp.ImmutableMatrix.diag((m - 1) * metrics[0], (n - 1) * metrics[1]),
        scalar=m * (m - 1) / a**2 + n * (n - 1) / b**2,
        mean_curvature_squared=m**2 / a**2 + n**2 / b**2,
        reference=PRODUCT,
    )


def spherical_cone() -> Manifold:
    """The cone (c s ω, s), ω ∈ S², in R⁴: the warped product (1 + c²) ds² + c²s² ĝ.

    Principal curvatures: 0 along the ray and κ = 1/(c s √(1 + c²)) twice; Ric = ĝ/(1 + c²) on S².
    """
    s = sp.Symbol("s", real=True)
    sphere = round_metric((theta, phi))
    kappa_squared = 1 / (c**2 * s**2 * (1 + c**2))
    return Manifold(
        name="cone-3",
        coordinates=(s, theta, phi),
        immersion=(*(c * s * component for component in spherical_point((theta, phi))), s),
        domain=((0.8, 2.0), *angles_domain(2)),
        parameters=MappingProxyType({c: 0.8}),
        metric=sp.ImmutableMatrix.diag(1 + c**2, c**2 * s**2 * sphere),
        ricci=sp.ImmutableMatrix.diag(0, sphere / (1 + c**2)),
        scalar=2 * kappa_squared,
        mean_curvature_squared=4 * kappa_squared,
        reference="O'Neill, Semi-Riemannian Geometry, ch. 7 (warped products)",
    )


def veronese() -> Manifold:
    """RP² as the rank-one projections a·ωωᵀ, ω ∈ S², in Sym(3) ⊂ R⁹.

    |d(ωωᵀ)|² = 2|dω|², so g = 2a² ĝ and K = 1/(2a²). The trace is fixed: the image lies in a sphere
    S⁴ of radius a√(2/3), minimally, whence |H|² = 4/(2a²/3). Radius 1 gives the classical K = 1/3.
    """
    omega = sp.Matrix(spherical_point((theta, phi)))
    return surface(
        name="veronese",
        coordinates=(theta, phi),
        immersion=tuple(a * omega * omega.T),
        domain=angles_domain(2),
        parameters=MappingProxyType({a: 1.3}),
        metric=2 * a**2 * round_metric((theta, phi)),
        gaussian=1 / (2 * a**2),
        mean_curvature_squared=6 / a**2,
        reference="Chern, do Carmo, Kobayashi, Minimal submanifolds of a sphere (1970)",
    )


def projective_plane() -> Manifold:
    """CP² as the rank-one projections a·ww*/|w|², w = (1, z₁, z₂) ∈ C³, in Herm(3) ⊂ R^{18}.

    g = 2a² g_FS with the Fubini–Study metric, z = x + iy,

        g_FS = |dz|²/(1 + |z|²) − |z̄·dz|²/(1 + |z|²)²,   Ric(g_FS) = 6 g_FS,

    so R = 24/(2a²). The image is minimal in a sphere of radius a√(2/3), whence |H|² = 16/(2a²/3).
    """
    x1, y1, x2, y2 = coordinates = sp.symbols("x1 y1 x2 y2", real=True)
    square = 1 + x1**2 + y1**2 + x2**2 + y2**2
    real, imaginary = sp.Matrix([1, x1, x2]), sp.Matrix([0, y1, y2])
    symmetric = (real * real.T + imaginary * imaginary.T) / square
    skew = (imaginary * real.T - real * imaginary.T) / square
    fubini_study = _fubini_study(sp.Matrix([x1, y1, x2, y2]), sp.Matrix([-y1, x1, -y2, x2]), square)
    return Manifold(
        name="cp2",
        coordinates=coordinates,
        immersion=tuple(a * entry for entry in (*symmetric, *skew)),
        domain=((-1.0, 1.0),) * 4,
        parameters=MappingProxyType({a: 0.9}),
        metric=2 * a**2 * fubini_study,
        ricci=6 * fubini_study,
        scalar=12 / a**2,
        mean_curvature_squared=24 / a**2,
        reference="Tai, Minimum imbeddings of compact symmetric spaces of rank one (1968)",
    )


def _fubini_study(point: sp.Matrix, rotated: sp.Matrix, square: sp.Expr) -> sp.ImmutableMatrix:
    """δ/(1+|z|²) − (z zᵀ + iz (iz)ᵀ)/(1+|z|²)² in real coordinates, with ``rotated`` = iz."""
    dyads = point * point.T + rotated * rotated.T
    return sp.ImmutableMatrix(sp.eye(len(point)) / square - dyads / square**2)
