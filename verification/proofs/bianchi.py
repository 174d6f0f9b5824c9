"""The contracted second Bianchi identity, ∇^i Ric_ij = ½ ∂_j R: Lee, Prop. 7.18."""

import numpy as np

from curvcore.arithmetic import einsum
from curvcore.geometry import PullbackGeometry
from curvcore.jets import Jet
from curvcore.providers.symbolic import symbolic_jet
from verification.exact.fields import FunctionField
from verification.manifolds import catalogue
from verification.proofs.fields import Derivation
from verification.proofs.immersions import GenericImmersion
from verification.proofs.verdicts import proved

STATEMENT = "contracted second Bianchi: ∇^i Ric_ij = ½ ∂_j R"
SAMPLE = ("torus", "monkey-saddle", "catenoid", "paraboloid-3", "cone-3", "sphere-1-x-sphere-2")


def of_generic_immersions(d):
    """The identity for every immersion of R^d, in inner products up to ⟨Ψ_ij, Ψ_klm⟩."""
    immersion = GenericImmersion(d, differentiable=True)
    derivations = [Derivation(immersion.product_derivatives(i)) for i in range(d)]
    geometry = PullbackGeometry(immersion.jet)
    subject = f"generic immersion, d = {d}"
    return proved(subject, f"{STATEMENT}, for every D", _residual(geometry, derivations))


def of_the_catalogue(names, formula):
    """The identity on manifolds of the catalogue, at all points and for all parameters."""
    for name in names:
        manifold = catalogue()[name]
        function_field = FunctionField(manifold.immersion)
        symbolic = symbolic_jet(manifold.immersion, manifold.coordinates, order=3)
        jet = Jet(*(function_field.embed(array) for array in symbolic.arrays()))
        derivations = [
            Derivation(function_field.generator_derivatives(x), default=0)
            for x in manifold.coordinates
        ]
        residual = _residual(PullbackGeometry(jet, formula=formula), derivations)
        yield proved(f"{name}, {formula}", STATEMENT, residual)


def _residual(geometry, derivations):
    """∇^i Ric_ij − ½ ∂_j R, with ∇_k Ric_ij = ∂_k Ric_ij − Γ^m_ki Ric_mj − Γ^m_kj Ric_im."""
    ricci, christoffel = geometry.ricci, geometry.christoffel
    derivative = np.stack([derive(ricci) for derive in derivations])
    turning = einsum("mki,mj->kij", christoffel, ricci)
    covariant = derivative - turning - einsum("kij->kji", turning)
    gradient = np.array([derive(geometry.scalar) for derive in derivations], dtype=object)
    return einsum("ik,kij->j", geometry.inverse_metric, covariant) - gradient / 2
