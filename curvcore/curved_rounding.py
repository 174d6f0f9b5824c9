"""How far rounding carries R with an ambient metric: the estimate of :mod:`curvcore.rounding`.

X_ij = LᵀΨ_ij + N_ij, N and the V of the Gauss equation (:mod:`curvcore.ambient`) are sums of terms
that may cancel, and each of these errs by eps of itself. So X_ij errs by eps of the root of the sum
of the squares of its terms, and V by the same of its own; and both by what a rounding inside the
decoder, or inside G, moves them.
"""

import torch

from curvcore.ambient import AmbientField
from curvcore.arithmetic import einsum
from curvcore.errors import InputError
from curvcore.formulas import Formulas
from curvcore.frames import Frame
from curvcore.packing import multiplicities, pack, symmetric_square
from curvcore.providers.roundings import EXCESS
from curvcore.rounding import errors, moved_lengths, variations


def error_of_curved(jet, again, frame, formula):
    """|δR| and the unit of length that it is in: (B,) each.

    Args:
        jet: an AmbientJet of order two at least.
        again: that of the second pass, or None.
        frame: a :class:`curvcore.frames.Frame`.
        formula: by which R is computed.

    Raises:
        InputError: that is the intrinsic one.
    """
    if formula != "gauss":
        raise InputError("With an ambient metric rounding is estimated for formula='gauss' alone.")
    eps = torch.finfo(jet.jacobian.dtype).eps
    frame = Frame(frame.basis.double(), frame.dual_basis.double())
    field = jet.field.map(torch.Tensor.double)
    derivatives = jet.derivatives().map(torch.Tensor.double)
    formulas = Formulas(frame.derivatives(derivatives), "gauss")
    first, second, slopes = (x.double() for x in (jet.jacobian, jet.hessian, jet.slopes))
    lengths = derivatives.jacobian.norm(dim=1), _covariant(field, first, second, slopes).sqrt()
    unit = first.new_ones(len(first))
    moved = moved_lengths(again and jet.difference(again), unit)
    squares = variations(formulas, frame, lengths[0], *errors(lengths, moved, eps), eps)
    squares.append(_bending(field, first, pack(second, 2), slopes, frame))
    if again is not None:
        squares.append(_moved_bending(jet, again, frame) / eps**2)
    return eps * torch.stack(squares).sum(0).sqrt(), unit


def _moved_bending(jet, again, frame):
    """The squares of what V of the second pass adds to R, in the frame: (B,)."""
    difference = (again.bending() - jet.bending()).double() / EXCESS
    return (_weights(frame.basis) * frame.of_pairs(difference)).square().sum((1, 2))


def _covariant(field, first, second, slopes):
    """The squares of LᵀΨ_ij and of the terms of N_ij: (B, P)."""
    plain = field.components(pack(second, 2)).square().sum(1)
    return plain + _connection(field, first, slopes).sum(1)


def _connection(field, first, slopes):
    """The squares of the terms of N, by component: (B, D, P)."""
    lowered = field.lowered(first)
    parts = pack(lowered, 2), pack(lowered.mT, 2), slopes
    return sum((field.components_of_covectors(part) / 2).square() for part in parts)


def _bending(field, first, second, slopes, frame):
    """The squares of what the terms of V add to R, in the frame: (B,)."""
    square = symmetric_square(frame.basis)
    levels = [field.levels[0]]
    levels += [frame.lowered(level, rank) for rank, level in enumerate(field.levels[1:], 1)]
    first, second, slopes = first @ frame.basis, second @ square, slopes @ square
    turned = AmbientField(tuple(levels), field.is_diagonal)
    connected = _connection(turned, first, slopes).sum(1)
    squared = AmbientField((None, None, levels[2].square()), field.is_diagonal)
    curved = pack(squared.product(2, first.square(), first.square(), "jk,i,l->iljk"), 2)
    curved = pack(einsum("...ilp->...pil", curved), 2)
    curved = curved + second.square().mT @ slopes.square()
    curved = curved + connected[..., :, None] * connected[..., None, :]
    weights = _weights(frame.basis).square()
    return (weights * (curved + curved.mT)).sum((1, 2))


def _weights(matrix):
    """How often each S_pq stands in R = Σ_ik S_ii,kk − S_ik,ik: (P, P)."""
    twice = multiplicities(matrix)
    trace = pack(torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device), 2)
    return trace[:, None] * trace + (twice - 2 * trace).diag()
