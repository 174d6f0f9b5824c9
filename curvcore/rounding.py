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
second; without a decoder it is not to be seen. Where II vanishes, errors leave g^ii g^jj |δΨ_ij|²
of R; and the intrinsic formula subtracts terms of the size of |∇²Ψ|² and |∇³Ψ|.

The vectors T^ij and T^ij Γ^k_ij are sums of II_p over pairs p, so that their lengths are quadratic
forms of S_pq = ⟨II_p, II_q⟩: nothing here depends on D but |Ψ_i|, |Ψ_ij| and their errors. At large
d, where S is not to be had, they are taken as vectors, in an orthonormal frame.
"""

from functools import lru_cache

import torch

from curvcore import riemann
from curvcore.constants import identity
from curvcore.formulas import Formulas
from curvcore.frames import Frame
from curvcore.packing import multiplicities, pack, symmetric_square, unpack
from curvcore.providers.roundings import EXCESS
from curvcore.tangent import TangentSpaces

_NUMBERS_AT_ONCE = 2**22


def error_and_unit(jet, again, metric, formulas, frame, formula):
    """|δR| in the unit of length that makes derivatives of order one, and this: (B,) each.

    The estimate has fourth powers of lengths.

    Args:
        jet: a Jet of a map into a Euclidean space.
        again: that of the second pass, of order two at least; or None.
        metric: g_ij (B, d, d).
        formulas: the ProjectedFormulas of ``jet``, where there are such.
        frame: the :class:`curvcore.frames.Frame` that they are in; None for R by the sums of
            :mod:`curvcore.frame_sums`.
        formula: by which R is computed.
    """
    derivatives = jet.isometric_derivatives()
    eps = torch.finfo(derivatives.jacobian.dtype).eps
    unit = metric.diagonal(dim1=1, dim2=2).amax(1).double().sqrt()
    moved = moved_lengths(again and jet.difference(again), unit)
    if frame is None:
        levels = [level.double() / unit[:, None, None] for level in derivatives.levels()]
        return error_of_sums(*levels, moved, eps), unit
    frame = Frame(
        frame.basis.double() * unit[:, None, None], frame.dual_basis.double() / unit[:, None, None]
    )
    lengths = _lengths(derivatives, unit)
    if formulas is not None:
        return error_of_scalar(formulas.in_units(unit), lengths, moved, frame, eps), unit
    in_frame = frame.derivatives(derivatives.map(lambda level: level / unit[:, None, None]))
    is_gauss = formula == "gauss"
    third = None if is_gauss else in_frame.full(3).square().flatten(1).sum(1)
    return error_of_scalar(Formulas(in_frame, "gauss"), lengths, moved, frame, eps, third), unit


def _lengths(derivatives, unit):
    """|Ψ_i| (B, d) and |Ψ_ij|, packed, in units of length (B,)."""
    d = derivatives.dimension
    channels = derivatives.stacked()[: d + d * (d + 1) // 2]
    lengths = (channels / unit[:, None].to(channels.dtype)).norm(dim=2).double().mT
    return lengths[:, :d], lengths[:, d:]


def moved_lengths(difference, unit):
    """|Ψ̃_i − Ψ_i| (B, d) and |Ψ̃_ij − Ψ_ij|, packed, of a rounding; zeros without a second pass.

    Args:
        difference: Derivatives of Ψ̃ − Ψ, Ψ̃ moved by ``EXCESS`` roundings; or None.
        unit: of length, (B,).
    """
    if difference is None:
        return unit.new_zeros(len(unit), 1), unit.new_zeros(len(unit), 1)
    return tuple(lengths / EXCESS for lengths in _lengths(difference, unit))


def error_of_scalar(formulas, lengths, moved, frame, eps, third=None):
    """|δR|, (B,).

    Args:
        formulas: of the gauss equation, in the frame, in double precision.
        lengths: |Ψ_i| and |Ψ_ij|, in units in which their fourth powers are in range.
        moved: the ``moved_lengths`` in these units.
        frame: a :class:`curvcore.frames.Frame`.
        eps: relative error of the derivatives.
        third: |∇³Ψ|² in the frame, if R is by the intrinsic formula.
    """
    squares = variations(formulas, frame, lengths[0], *errors(lengths, moved, eps), eps)
    squares += [] if third is None else [bending_squared(formulas).square(), third]
    return eps * torch.stack(squares).sum(0).sqrt()


def errors(lengths, moved, eps):
    """|δΨ_i| and |δΨ_ij| over eps, from |Ψ_i|, |Ψ_ij| and how far a rounding moves them."""
    return [torch.hypot(own, by / eps) for own, by in zip(lengths, moved, strict=True)]


def variations(formulas, frame, lengths, first, second, eps):
    """The squares of what δΨ_ij, and δΨ_i in both its places, can contribute, over eps: (B,) each.

    In the frame g = I.

    Args:
        formulas, frame, eps: as above.
        lengths: |Ψ_i| (B, d).
        first, second: |δΨ_i| and |δΨ_ij|, packed, over eps.
    """
    products, basis = formulas.products_of_pairs, frame.basis
    twice, one = multiplicities(basis), identity(basis.shape[-1], basis.dtype, basis.device)
    # T^p = (t t − I)^pq II_q, t the pairs of two equal indices
    of_second = symmetric_square(basis.mT).mT
    of_first = basis @ (formulas.christoffel_of_pairs * twice)
    trace = pack(one, 2)
    rows = torch.cat([of_second, of_first], 1)
    rows = (rows @ trace)[..., None] * trace - rows
    squares = (rows @ products * rows).sum(-1).clamp_min(0)
    ricci = frame.contravariant(_ricci(products, basis.shape[-1]), 2)
    return [
        4 * (squares * torch.cat([second.square() * twice, first.square()], 1)).sum(1),
        (4 * ricci * lengths[:, :, None] * first[:, None, :]).square().sum((1, 2)),
        (eps * _bending(basis, second)).square(),
    ]


def _ricci(products, d):
    """Ric_ab = S_cc,ab − S_ca,cb of S_pq (B, P, P), in one product: (B, d, d)."""
    weights = _weights_of_ricci(d, products.dtype, products.device)
    return (products.flatten(1) @ weights).unflatten(1, (d, d))


@lru_cache(maxsize=64)
def _weights_of_ricci(d, dtype, device):
    """Those of S_pq in Ric_ab: (P², d²)."""
    pairs = d * (d + 1) // 2
    with torch.inference_mode(False):
        tables = torch.eye(pairs**2, dtype=dtype, device=device).view(-1, pairs, pairs)
        products = unpack(unpack(tables, d, 2).permute(0, 2, 3, 1), d, 2)
        ricci = riemann.ricci(torch.eye(d, dtype=dtype, device=device), riemann.riemann(products))
        return ricci.flatten(1)


def bending_squared(formulas):
    """|∇²Ψ|² in the frame, Σ_ij |II_ij|² + g_kl Γ^k_ij Γ^l_ij: (B,)."""
    christoffel = formulas.christoffel_of_pairs
    tangential = (formulas.metric @ christoffel * christoffel).sum(1)
    normal = torch.diagonal(formulas.products_of_pairs, dim1=-2, dim2=-1)
    return ((normal + tangential) * multiplicities(formulas.metric)).sum(1)


def _bending(basis, second):
    """Σ_ij g^ii g^jj |δΨ_ij|², what errors alone bend: (B,)."""
    inverse = basis.square().sum(-1)  # g^ii
    pairs = pack(inverse[:, :, None] * inverse[:, None, :], 2) * multiplicities(basis)
    return (pairs * second.square()).sum(1)


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
    tensors = first, second, lengths[0], *errors(lengths, moved, eps)
    pieces = zip(*(tensor.split(size) for tensor in tensors), strict=True)
    return torch.cat([_error_of_vectors(*piece, eps) for piece in pieces])


def _error_of_vectors(first, second, lengths, of_first, of_second, eps):
    """All are sums over the N components of vectors; of one point, some components at a time."""
    d, frame = first.shape[-1], TangentSpaces(first.mT).frame()
    size = max(1, _NUMBERS_AT_ONCE // (len(first) * d**2))
    pieces = [*zip((first @ frame).split(size, 1), second.split(size, 1), strict=True)]
    christoffel = 0  # Γ^c_ab (B, d, d²)
    for basis, part in pieces:
        bent = _bent(frame, part)
        christoffel = christoffel + basis.mT @ bent
    to_second = to_first = ricci = 0
    for basis, part in pieces:
        bent = bent if len(pieces) == 1 else _bent(frame, part)
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
        (eps * _bending(frame, of_second)).square()[:, None],
    ]
    return eps * torch.cat([square.flatten(1) for square in squares], 1).sum(1).sqrt()


def _bent(frame, second):
    """∂_a∂_bΨ (B, n, d²) of ∂_i∂_jΨ, packed (B, n, P)."""
    return _both(frame.mT, unpack(second, frame.shape[-1], 2)).flatten(2)


def _both(matrix, tensors):
    """M t Mᵀ of t (B, n, d, d)."""
    return matrix[:, None] @ tensors @ matrix.mT[:, None]
