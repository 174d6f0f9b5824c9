"""R = |H|² − |II|² and Ric in an orthonormal frame: the traced Gauss equation, and the shipped one.

A frame E^i_a is free, and g is the metric in which it is orthonormal, g⁻¹ = E Eᵀ; the other inner
products of the 2-jet are free as well. So the identities hold for every immersion and every frame.

    e_a = E^i_a Ψ_i,  Ψ_ab = E^i_a E^j_b Ψ_ij,  II_ab = Ψ_ab − Σ_c ⟨Ψ_ab, e_c⟩ e_c,  H = Σ_a II_aa.

Reference: Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Thm 8.5, traced once and twice.
"""

from itertools import product

import numpy as np

from curvcore import arithmetic
from curvcore.arithmetic import einsum
from curvcore.geometry import PullbackGeometry
from verification.proofs.immersions import GenericImmersion
from verification.proofs.verdicts import proved, stacked


def findings(d):
    """The projected II is the shipped one, and R and Ric are contractions of it."""
    immersion, frame = framed_immersion(d)
    jet, geometry = immersion.jet, PullbackGeometry(immersion.jet)
    tangents = einsum("ni,ia->na", jet.jacobian, frame)
    form = second_fundamental_form(tangents, einsum("ia,jb,nij->nab", frame, frame, jet.hessian))
    subject = f"orthonormal frames, d = {d}"
    yield proved(
        subject,
        "⟨e_a, e_b⟩ = δ_ab and ⟨II_ab, e_c⟩ = 0, for every D",
        stacked(
            einsum("na,nb->ab", tangents, tangents) - np.identity(d, dtype=int),
            einsum("nab,nc->abc", form, tangents),
        ),
    )
    yield proved(
        subject, "|H|² − |II|² is R of the contracted Riemann", scalar(form) - geometry.scalar
    )
    yield proved(
        subject,
        "⟨H, II_ab⟩ − Σ_c ⟨II_ac, II_bc⟩ is Ric of the contracted Riemann",
        ricci(form) - einsum("ia,jb,ij->ab", frame, frame, geometry.ricci),
    )


def framed_immersion(d):
    """A generic immersion and a frame E^i_a (d, d), of which its metric is made."""
    names = [f"E{i + 1}{a + 1}" for i, a in product(range(d), repeat=2)]
    immersion = GenericImmersion(d, extra=names)
    frame = np.array([immersion.generators[name] for name in names], dtype=object).reshape(d, d)
    metric = arithmetic.inverse(einsum("ia,ja->ij", frame, frame))
    indices = product(range(d), repeat=2)
    immersion.products |= {frozenset(((i,), (j,))): metric[i, j] for i, j in indices}
    return immersion, frame


def second_fundamental_form(tangents, hessian):
    """II_ab = Ψ_ab − Σ_c ⟨Ψ_ab, e_c⟩ e_c."""
    tangential = einsum("nab,nc->abc", hessian, tangents)
    return hessian - einsum("abc,nc->nab", tangential, tangents)


def scalar(form):
    """R = |H|² − |II|²."""
    H = einsum("naa->n", form)
    return H @ H - (form * form).sum()


def ricci(form):
    """Ric_ab = ⟨H, II_ab⟩ − Σ_c ⟨II_ac, II_bc⟩."""
    H = einsum("naa->n", form)
    return einsum("n,nab->ab", H, form) - einsum("nac,nbc->ab", form, form)
