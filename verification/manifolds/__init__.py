"""The catalogue of manifolds whose curvature is known in closed form."""

from functools import cache
from types import MappingProxyType

from verification.manifolds.families import families
from verification.manifolds.flat import flat_manifolds
from verification.manifolds.graphs import graphs
from verification.manifolds.manifold import Manifold
from verification.manifolds.minimal import minimal_surfaces
from verification.manifolds.revolution import surfaces_of_revolution
from verification.manifolds.spheres import spheres
from verification.manifolds.submanifolds import submanifolds

__all__ = ["Manifold", "catalogue"]


@cache
def catalogue() -> MappingProxyType[str, Manifold]:
    """Every manifold by name, space forms and flat manifolds first."""
    themes = (
        spheres,
        flat_manifolds,
        graphs,
        surfaces_of_revolution,
        minimal_surfaces,
        submanifolds,
        families,
    )
    return MappingProxyType({entry.name: entry for theme in themes for entry in theme()})
