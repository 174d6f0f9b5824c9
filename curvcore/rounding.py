"""How far rounding carries R from the truth: an estimate from the numbers at hand.

A decoder's derivatives come with a relative error of about eps in each component vector, as
Ψ_ij + eps |Ψ_ij| ν with |ν| = 1. To first order R changes, by the Gauss equation, by

    δR = 2⟨T^ij, δΨ_ij⟩ − 2⟨T^ij, Γ^k_ij δΨ_k⟩ − 4 Ric^ij ⟨Ψ_i, δΨ_j⟩,   T^ij = H g^ij − II^ij,

and the estimate is eps times the root of the sum of the squares of what each δΨ can contribute.
What cancels between R's own terms, between Ψ_ij and its tangential part, and in g⁻¹ is in there;
what cancels inside the decoder is not to be seen from its derivatives. Projecting leaves eps |Ψ_ij|
of II where there is none, eps² |∇²Ψ|² of R; and the intrinsic formula subtracts terms of the size
of |∇²Ψ|² and |∇³Ψ|.
"""

import torch

from curvcore.arithmetic import einsum


def error_of_scalar(derivatives, frame, formulas, eps):
    """|δR|, (B,), of packed derivatives, their frame, and the formulas in that frame."""
    form, inverse = formulas.second_fundamental_form, formulas.inverse_metric
    raised = einsum("...aij,...ik,...jl->...akl", form, inverse, inverse)
    sensitivity = einsum("...a,...ij->...aij", formulas.mean_curvature, inverse) - raised
    to_first = einsum("...aij,...kij->...ak", sensitivity, formulas.christoffel)
    lengths = derivatives.jacobian.norm(dim=1)
    of_second = 2 * _length(frame.contravariant(sensitivity, 2)) * _length(derivatives.full(2))
    of_first = 2 * _length(frame.contravariant(to_first, 1)) * lengths
    ricci = einsum("...ij,...ik,...jl->...kl", formulas.ricci, inverse, inverse)
    of_metric = 4 * frame.contravariant(ricci, 2) * lengths[:, :, None] * lengths[:, None, :]
    squares = [x.square().flatten(1).sum(1) for x in (of_second, of_first, of_metric)]
    bending = _squared(formulas.derivatives.full(2))
    squares.append((eps * bending).square())
    if formulas.formula == "intrinsic":
        squares += [bending.square(), _squared(formulas.derivatives.full(3))]
    return eps * torch.stack(squares).sum(0).sqrt()


def _squared(tensor):
    """|T|² in an orthonormal frame: (B,)."""
    return tensor.square().flatten(1).sum(1)


def _length(vectors):
    """|x| of vectors of R^D, (B, D, ...) -> (B, ...)."""
    return vectors.norm(dim=1)
