"""Members of the families of ``high_dimension`` in dimensions 3 and 4.

The immersions are written out here. The closed forms are those that serve any dimension, but for
the graph of two forms, whose short polynomials are typed in.
"""

from types import MappingProxyType

import numpy as np
import sympy as sp

from verification.manifolds import high_dimension
from verification.manifolds.manifold import Manifold
from verification.manifolds.spheres import stereographic_point

REFERENCE = "Lee, Introduction to Riemannian Manifolds (2nd ed.), ch. 8 (Gauss equation)"

a, b = sp.symbols("a b", positive=True)
PARAMETERS = MappingProxyType({a: 1.3, b: 0.8})


def families() -> tuple[Manifold, ...]:
    """S²×S² in stereographic coordinates, a paraboloid without symmetry, a graph over R³ in R⁵."""
    return product_of_spheres(), anisotropic_paraboloid(), quadratic_graph()


def product_of_spheres() -> Manifold:
    """S²(a) × S²(b), each in stereographic coordinates."""
    z = sp.symbols("x1:5", real=True)
    spheres = zip((a, b), (z[:2], z[2:]), strict=True)
    return _member(
        "sphere-2-x-sphere-2-stereographic",
        z,
        [radius * entry for radius, x in spheres for entry in stereographic_point(x)],
        high_dimension.spheres_closed_forms(_row(z), (2, 2), (a, b)),
        reach=0.6,
    )


def anisotropic_paraboloid() -> Manifold:
    """The graph of (a x² − b y² + z²/2)/2 over R³."""
    z = sp.symbols("x1:4", real=True)
    coefficients = np.array([a, -b, sp.Rational(1, 2)], dtype=object)
    height = sum(k * x**2 for k, x in zip(coefficients, z, strict=True)) / 2
    return _member(
        "paraboloid-3-anisotropic",
        z,
        [*z, height],
        high_dimension.paraboloid_closed_forms(_row(z), coefficients),
        reach=1.0,
    )


def quadratic_graph() -> Manifold:
    """The graph of two quadratic forms over R³, a xy and b yz.

    With matrices A^α, P = (A^1 z, A^2 z), M = I + PᵀP, Δ = det M, W = adj M, G = Δ I − P W Pᵀ,

        g = I + PPᵀ,  Ric = W_αβ (tr(GA^α) A^β − A^α G A^β)/Δ²,
        |H|² = W_αβ tr(GA^α) tr(GA^β)/Δ³,  R = |H|² − W_αβ tr(GA^α GA^β)/Δ³,

    polynomials over powers of Δ, where ``high_dimension`` inverts matrices.
    """
    x, y, z = coordinates = sp.symbols("x y z", real=True)
    heights = a * x * y, b * y * z
    forms = [sp.hessian(height, coordinates) for height in heights]
    slopes = sp.Matrix.hstack(*(form * sp.Matrix(coordinates) for form in forms))
    normals = sp.eye(2) + slopes.T * slopes
    delta, weights = sp.expand(normals.det()), normals.adjugate()
    raised = (delta * sp.eye(3) - slopes * weights * slopes.T).applyfunc(sp.expand)
    shapes = [raised * form for form in forms]
    traces = sp.Matrix([shape.trace() for shape in shapes])
    squares = sp.Matrix(2, 2, lambda m, n: (shapes[m] * shapes[n]).trace())
    mean_squared = sp.expand((traces.T * weights * traces)[0])
    form_squared = sp.expand((weights * squares).trace())
    ricci = sp.zeros(3)
    for m, n in np.ndindex(2, 2):
        ricci += weights[m, n] * (traces[m] * forms[n] - forms[m] * shapes[n])
    return Manifold(
        name="quadratic-graph-3",
        coordinates=coordinates,
        immersion=(*coordinates, *heights),
        domain=((-0.8, 0.8),) * 3,
        parameters=PARAMETERS,
        metric=sp.ImmutableMatrix(sp.eye(3) + slopes * slopes.T),
        ricci=sp.ImmutableMatrix(ricci.applyfunc(sp.expand) / delta**2),
        scalar=(mean_squared - form_squared) / delta**3,
        mean_curvature_squared=mean_squared / delta**3,
        reference=REFERENCE,
    )


def _member(name, coordinates, immersion, closed_forms, reach) -> Manifold:
    d = len(coordinates)
    return Manifold(
        name=name,
        coordinates=coordinates,
        immersion=tuple(immersion),
        domain=((-reach, reach),) * d,
        parameters=PARAMETERS,
        metric=sp.ImmutableMatrix(closed_forms.metric[0]),
        ricci=sp.ImmutableMatrix(closed_forms.ricci[0]),
        scalar=closed_forms.scalar[0],
        mean_curvature_squared=closed_forms.mean_curvature_squared[0],
        reference=REFERENCE,
    )


def _row(coordinates):
    return np.array([coordinates], dtype=object)
