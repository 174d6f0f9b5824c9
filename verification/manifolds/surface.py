"""What the Gauss curvature says of a surface: R = 2K and Ric = K g."""

from collections.abc import Mapping

import sympy as sp

from verification.manifolds.manifold import Manifold


def surface(
    *,
    name: str,
    coordinates: tuple[sp.Symbol, sp.Symbol],
    immersion: tuple[sp.Expr, ...],
    domain: tuple[tuple[float, float], tuple[float, float]],
    parameters: Mapping[sp.Symbol, float],
    metric: sp.ImmutableMatrix,
    gaussian: sp.Expr,
    mean_curvature_squared: sp.Expr,
    reference: str,
) -> Manifold:
    """A two-dimensional manifold from its Gauss curvature K: R = 2K, Ric = K g (Lee, ch. 8)."""
    return Manifold(
        name=name,
        coordinates=coordinates,
        immersion=immersion,
        domain=domain,
        parameters=parameters,
        metric=metric,
        scalar=2 * gaussian,
        ricci=gaussian * metric,
        gaussian=gaussian,
        mean_curvature_squared=mean_curvature_squared,
        reference=reference,
    )
