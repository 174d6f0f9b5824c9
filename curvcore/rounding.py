"""How far rounding carries R from the truth: an estimate from the numbers at hand.

A decoder's derivatives come with errors δΨ_i and δΨ_ij, of directions of their own. To first order
R changes, by the Gauss equation, by

    δR = 2⟨T^ij, δΨ_ij⟩ − 2⟨T^ij, Γ^k_ij δΨ_k⟩ − 4 Ric^ij ⟨Ψ_i, δΨ_j⟩,   T^ij = H g^ij − II^ij,

and the estimate is the root of the sum of the squares of what each δΨ can contribute. Their lengths
are taken to be

    |δΨ_ij|² = eps² |Ψ_ij|² + |Ψ̃_ij − Ψ_ij|²,

Ψ̃ the decoder with each of its operations moved by a rounding, in a second pass
(:mod:`curvcore.providers.roundings`). What cancels between R's own terms, between Ψ_ij and its
tangential part, and in g⁻¹ is in the first formula, and what cancels inside the decoder in the
second; without a decoder it is not to be seen. Projecting leaves eps |Ψ_ij| of II where there is
none, eps² |∇²Ψ|² of R, and errors g^ii g^jj |δΨ_ij|²; and the intrinsic formula subtracts terms of
the size of |∇²Ψ|² and |∇³Ψ|.

The vectors T^ij and T^ij Γ^k_ij are sums of II_p over pairs p, so that their lengths are quadratic
forms of S_pq = ⟨II_p, II_q⟩: nothing here depends on D but |Ψ_i|, |Ψ_ij| and their errors. At large
d, where S is not to be had, they are taken as vectors, in an orthonormal frame.
"""

import torch

from curvcore.formulas import Formulas
from curvcore.frames import Frame
from curvcore.jets import Derivatives
from curvcore.modes import is_plain_eager
from curvcore.packing import multiplicities, pack, symmetric_square, unpack
from curvcore.projection import ProjectedFormulas
from curvcore.providers.roundings import EXCESS
from curvcore.tangent import TangentSpaces

_NUMBERS_AT_ONCE = 2**22


def error_and_unit(jet, again, channels, frame, formula):
    """|δR| in the unit of length that makes derivatives of order one, and this: (B,) each.

    The estimate has fourth powers of lengths.

    Args:
        jet: a Jet of a map into a Euclidean space.
        again: that of the second pass, of order two at least; or None.
        channels: the isometric derivatives of ``jet``, packed (K, B, N); or None, for R by the sums
            of :mod:`curvcore.frame_sums`.
        frame: as below; not asked for without channels.
        formula: as below.
    """
    derivatives = jet.isometric_derivatives()
    eps = torch.finfo(derivatives.jacobian.dtype).eps
    unit = derivatives.jacobian.abs().amax((1, 2)).double()
    moved = moved_lengths(again and jet.difference(again), unit)
    if channels is None:
        levels = [level.double() / unit[:, None, None] for level in derivatives.levels()]
        return error_of_sums(*levels, moved, eps), unit
    frame = Frame(
        frame.basis.double() * unit[:, None, None], frame.dual_basis.double() / unit[:, None, None]
    )
    channels = channels.double() / unit[:, None]
    return error_of_scalar(channels, moved, frame, formula, eps), unit


def moved_lengths(difference, unit):
    """|Ψ̃_i − Ψ_i| (B, d) and |Ψ̃_ij − Ψ_ij|, packed, of a rounding; zeros without a second pass.

    Args:
        difference: Derivatives of Ψ̃ − Ψ, Ψ̃ moved by ``EXCESS`` roundings; or None.
        unit: of length, (B,).
    """
    if difference is None:
        return unit.new_zeros(len(unit), 1), unit.new_zeros(len(unit), 1)
    first, second, *_ = (level.double() / unit[:, None, None] for level in difference.levels())
    return first.norm(dim=1) / EXCESS, second.norm(dim=1) / EXCESS


def error_of_scalar(channels, moved, frame, formula, eps):
    """|δR|, (B,).

    Args:
        channels: packed derivatives (K, B, N), in a precision that loses nothing beside ``eps``,
            and in units in which their fourth powers are in range.
        moved: the ``moved_lengths`` in these units.
        frame: a :class:`curvcore.frames.Frame`.
        formula: by which R is computed.
        eps: relative error of the derivatives.
    """
    d = frame.basis.shape[-1]
    pairs = d * (d + 1) // 2
    first, second, third = channels.permute(1, 2, 0).tensor_split((d, d + pairs), -1)
    if is_plain_eager():
        formulas = ProjectedFormulas(channels[: d + pairs], frame)
    else:
        formulas = Formulas(frame.derivatives(Derivatives(first, second)), "gauss")
    lengths = first.norm(dim=1), second.norm(dim=1)
    squares = variations(formulas, frame, lengths[0], *errors(lengths, moved, eps))
    bending = bending_squared(formulas)
    squares += [(eps * bending).square(), bending_moved(frame.basis, moved[1]) / eps**2]
    if formula == "intrinsic":
        in_frame = frame.derivatives(Derivatives(first, second, third))
        squares += [bending.square(), in_frame.full(3).square().flatten(1).sum(1)]
    return eps * torch.stack(squares).sum(0).sqrt()


def errors(lengths, moved, eps):
    """|δΨ_i| and |δΨ_ij| over eps, from |Ψ_i|, |Ψ_ij| and how far a rounding moves them."""
    return [torch.hypot(own, by / eps) for own, by in zip(lengths, moved, strict=True)]


def variations(formulas, frame, lengths, first, second):
    """The squares of what δΨ_ij, and δΨ_i in both its places, can contribute: (B,) each.

    ``lengths``: |Ψ_i| (B, d); ``first``: |δΨ_i|; ``second``: |δΨ_ij|, packed.
    """
    inverse, products = formulas.inverse_metric, formulas.products_of_pairs
    twice, trace = multiplicities(inverse), pack(inverse, 2)
    # T^p = W^pq II_q
    weights = trace[:, :, None] * (trace * twice)[:, None, :] - symmetric_square(inverse).mT
    of_second = symmetric_square(frame.basis.mT).mT @ weights
    of_first = frame.basis @ (formulas.christoffel_of_pairs * twice) @ weights
    ricci = frame.contravariant(inverse @ formulas.ricci @ inverse, 2)
    return [
        (4 * _lengths_squared(of_second, products) * second.square() * twice).sum(1),
        (4 * _lengths_squared(of_first, products) * first.square()).sum(1),
        (4 * ricci * lengths[:, :, None] * first[:, None, :]).square().sum((1, 2)),
    ]


def bending_squared(formulas):
    """|∇²Ψ|² in the frame, Σ_ij |II_ij|² + g_kl Γ^k_ij Γ^l_ij: (B,)."""
    christoffel = formulas.christoffel_of_pairs
    tangential = (formulas.metric @ christoffel * christoffel).sum(1)
    normal = torch.diagonal(formulas.products_of_pairs, dim1=-2, dim2=-1)
    return ((normal + tangential) * multiplicities(formulas.metric)).sum(1)


def bending_moved(basis, second):
    """The square of Σ_ij g^ii g^jj |δΨ_ij|², what errors alone bend: (B,)."""
    inverse = basis.square().sum(-1)  # g^ii
    pairs = pack(inverse[:, :, None] * inverse[:, None, :], 2) * multiplicities(basis)
    return (pairs * second.square()).sum(1).square()


def _lengths_squared(weights, products):
    """|W^q II_q|² for each row of W (B, ..., P): (B, ...)."""
    return (weights @ products * weights).sum(-1).clamp_min(0)


def error_of_sums(first, second, moved, eps):
    """The same of R by the sums of :mod:`curvcore.frame_sums`, some points at a time: (B,).

    Args:
        first: Ψ_i (B, N, d), as precise and in such units as the channels above.
        second: Ψ_ij, packed (B, N, P).
        moved: as above.
        eps: as above.
    """
    size = max(1, _NUMBERS_AT_ONCE // (first.shape[1] * first.shape[2] ** 2))
    lengths = first.norm(dim=1), second.norm(dim=1)
    tensors = first, second, lengths[0], *errors(lengths, moved, eps), moved[1]
    pieces = zip(*(tensor.split(size) for tensor in tensors), strict=True)
    return torch.cat([_error_of_vectors(*piece, eps) for piece in pieces])


def _error_of_vectors(first, second, lengths, of_first, of_second, moved, eps):
    """All are sums over the N components of vectors; of one point, some components at a time."""
    d, frame = first.shape[-1], TangentSpaces(first.mT).frame()
    size = max(1, _NUMBERS_AT_ONCE // (len(first) * d**2))
    pieces = [*zip((first @ frame).split(size, 1), second.split(size, 1), strict=True)]
    christoffel = 0  # Γ^c_ab (B, d, d²)
    for basis, part in pieces:
        bent = _bent(frame, part)
        christoffel = christoffel + basis.mT @ bent
    to_second = to_first = ricci = bending = 0
    for basis, part in pieces:
        bent = bent if len(pieces) == 1 else _bent(frame, part)
        bending = bending + bent.square().sum((1, 2))
        normal = (bent - basis @ christoffel).unflatten(2, (d, d))
        trace, rows = normal.diagonal(dim1=2, dim2=3).sum(-1), normal.movedim(1, 3).flatten(2)
        ricci = ricci + (trace[:, None] @ normal.flatten(2)).view(-1, d, d) - rows @ rows.mT
        sensitivity = torch.diag_embed(trace[..., None].expand(-1, -1, d)) - normal  # T^ab
        to_second = to_second + _both(frame, sensitivity).square().sum(1)
        to_first = to_first + (frame @ (christoffel @ sensitivity.flatten(2).mT)).square().sum(2)
    squares = [
        4 * to_second * unpack(of_second.square(), d, 2),
        4 * to_first * of_first.square(),
        (4 * (frame @ ricci @ frame.mT) * lengths[:, :, None] * of_first[:, None]).square(),
        (eps * bending).square()[:, None],
        bending_moved(frame, moved)[:, None] / eps**2,
    ]
    return eps * torch.cat([square.flatten(1) for square in squares], 1).sum(1).sqrt()


def _bent(frame, second):
    """∂_a∂_bΨ (B, n, d²) of ∂_i∂_jΨ, packed (B, n, P)."""
    return _both(frame.mT, unpack(second, frame.shape[-1], 2)).flatten(2)


def _both(matrix, tensors):
    """M t Mᵀ of t (B, n, d, d)."""
    return matrix[:, None] @ tensors @ matrix.mT[:, None]
