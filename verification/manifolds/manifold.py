"""A manifold of known curvature: one sympy immersion beside the closed forms of a textbook.

The immersion Ψ is written once. The torch decoder is lambdified from it and the exact proofs
differentiate it, so both speak of the same map. The closed forms are typed in from the literature
and are never computed by the code under test; conventions are those of ``curvcore``:

    g_ij = ⟨∂_iΨ, ∂_jΨ⟩,   R = g^{jl} Ric_jl (2K for d = 2),   H = g^{ij} II_ij (not divided by d).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import sympy as sp
import torch

from verification.manifolds.lambdified import lambdified, random_isometry

Decoder = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class Manifold:
    """An immersion Ψ: R^d → R^D over a box of coordinates, and the curvature it is known to have.

    name: kebab-case, its key in the catalogue.
    coordinates: d real symbols.
    immersion: D expressions in the coordinates and the parameters.
    domain: an interval (low, high) per coordinate; there g has a condition number below 10.
    scalar: the scalar curvature R.
    reference: where the closed forms can be read.
    parameters: the number used for each symbolic parameter outside exact proofs.
    metric, ricci: the matrices g_ij and Ric_ij, where known.
    gaussian: K, for surfaces.
    mean_curvature_squared: |H|², squared so that it stays rational.
    """

    name: str
    coordinates: tuple[sp.Symbol, ...]
    immersion: tuple[sp.Expr, ...]
    domain: tuple[tuple[float, float], ...]
    scalar: sp.Expr
    reference: str
    parameters: Mapping[sp.Symbol, float] = field(default_factory=lambda: MappingProxyType({}))
    metric: sp.ImmutableMatrix | None = None
    ricci: sp.ImmutableMatrix | None = None
    gaussian: sp.Expr | None = None
    mean_curvature_squared: sp.Expr | None = None

    @property
    def dimension(self) -> int:
        """d, the number of coordinates."""
        return len(self.coordinates)

    @property
    def ambient_dimension(self) -> int:
        """D, the number of components of the immersion."""
        return len(self.immersion)

    def sample(self, count: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Points uniform in the coordinate box, float64, (count, d)."""
        low, high = torch.tensor(self.domain, dtype=torch.float64).T
        unit = torch.rand(count, self.dimension, dtype=torch.float64, generator=generator)
        return low + (high - low) * unit

    def decoder(self, ambient: int | None = None, seed: int = 0) -> Decoder:
        """Ψ on torch tensors, (B, d) -> (B, D), in the dtype and on the device of its argument.

        With ``ambient=N`` it is followed by a random isometric embedding x ↦ Qx + b of R^D in R^N,
        QᵀQ = I, which changes no curvature; ``seed`` fixes Q and b.
        """
        immersion = lambdified(self.immersion, self.coordinates, self.parameters)
        if ambient is None:
            return immersion
        embedding = random_isometry(self.ambient_dimension, ambient, seed)
        return lambda z: embedding(immersion(z))

    def closed_form(self, expression: sp.Expr, z: torch.Tensor) -> torch.Tensor:
        """A closed form at the points z, float64: a scalar -> (B,), a d × d matrix -> (B, d, d)."""
        entries = tuple(expression) if isinstance(expression, sp.MatrixBase) else (expression,)
        values = lambdified(entries, self.coordinates, self.parameters)(z.to(torch.float64))
        shape = expression.shape if isinstance(expression, sp.MatrixBase) else ()
        return values.reshape(z.shape[0], *shape)
