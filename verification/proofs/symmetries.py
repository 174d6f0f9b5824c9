"""What every curvature tensor satisfies, on generic symbols.

Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Prop. 7.12 and ch. 8.
"""

from itertools import combinations_with_replacement

import numpy as np

from curvcore import riemann as formulas
from curvcore.arithmetic import einsum
from curvcore.packing import unpack
from verification.proofs.fields import field
from verification.proofs.verdicts import proved, stacked


def of_riemann(geometry, d):
    """The symmetries of R_ijkl and Ric_ij, d ≥ 2."""
    subject, R = f"Riemann, {geometry.formula}, d = {d}", geometry.riemann
    yield proved(
        subject,
        "R_jikl = R_ijlk = −R_ijkl",
        stacked(R + einsum("jikl->ijkl", R), R + einsum("ijlk->ijkl", R)),
    )
    yield proved(subject, "R_klij = R_ijkl", R - einsum("klij->ijkl", R))
    cyclic = R + einsum("iklj->ijkl", R) + einsum("iljk->ijkl", R)
    yield proved(subject, "first Bianchi: R_ijkl + R_iklj + R_iljk = 0", cyclic)
    yield proved(subject, "Ric_ji = Ric_ij", geometry.ricci - geometry.ricci.T)


def of_second_fundamental_form(geometry, d):
    """II_ij is normal: ⟨II_ij, Ψ_k⟩ = 0, whatever C is."""
    products = einsum("aij,ak->ijk", geometry.second_fundamental_form, geometry.jacobian)
    return proved(f"II, {geometry.formula}, d = {d}", "⟨II_ij, Ψ_k⟩ = 0, for every D", products)


def of_surfaces(geometry, u, v):
    """On surfaces R = 2K: by det II and as the sectional curvature of every plane (u, v)."""
    (form,) = geometry.second_fundamental_form
    determinant = form[0, 0] * form[1, 1] - form[0, 1] * form[0, 1]
    g = geometry.metric
    density = g[0, 0] * g[1, 1] - g[0, 1] * g[0, 1]
    yield proved(
        f"surfaces, {geometry.formula}",
        "R = 2 Σ_n det ⟨II, n⟩ / det g over unit normals n",
        geometry.scalar - 2 * determinant / density,
    )
    yield proved(
        f"surfaces, {geometry.formula}",
        "K(u, v) = R/2 for all u, v",
        geometry.sectional(u, v) - geometry.scalar / 2,
    )


def of_the_short_path(d):
    """The contraction over packed pairs is scalar ∘ ricci ∘ riemann, for free S and g⁻¹."""
    pairs = list(combinations_with_replacement("1234"[:d], 2))
    blocks = list(combinations_with_replacement(range(len(pairs)), 2))
    generators = field(
        [f"g{i}{j}" for i, j in pairs] + [f"S{p}_{q}" for p, q in blocks],
    )
    symbols = np.array(list(generators.values()), dtype=object)
    inverse_metric = unpack(symbols[: len(pairs)], d, 2)
    of_pairs = unpack(symbols[len(pairs) :], len(pairs), 2)
    products = unpack(np.moveaxis(unpack(of_pairs, d, 2), 0, -1), d, 2)
    tensor = formulas.riemann(products)
    return proved(
        f"scalar_of_pairs, d = {d}",
        "= scalar ∘ ricci ∘ riemann, for all S_ij,kl and g^ij",
        formulas.scalar_of_pairs(inverse_metric, of_pairs)
        - formulas.scalar(inverse_metric, formulas.ricci(inverse_metric, tensor)),
    )
