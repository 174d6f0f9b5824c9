"""The energy of paths whose nodes are joined by straight lines in R^D, with its derivatives.

With Ψ_k at the nodes, r_k = Ψ_{k+1} − Ψ_k, and Ḡ_k = ½ (G_k + G_{k+1}) where R^D has a metric G
(else I), ρ_k = Ḡ_k r_k:

===================  ================================================  ================
code                 mathematics, k = 1, ..., n − 1                    shape
===================  ================================================  ================
``energy``           f = ½ Σ ⟨r_k, ρ_k⟩; E = 2n f                      (B,)
``gradient``         ∂f/∂z_k^i = ⟨∂_iΨ_k, s_k⟩, s_k = ρ_{k−1} − ρ_k    (B, n−1, d)
``metric``           g_ij at z_k, or its mean by Ḡ_{k−1}, Ḡ_k          (B, n−1, d, d)
``bending``          ⟨∂_i∂_jΨ_k, s_k⟩                                  (B, n−1, d, d)
``coupling``         ⟨∂_iΨ_k, Ḡ_k ∂_jΨ_{k+1}⟩                          (B, n−2, d, d)
``twisting``         of G alone, see ``_curved_model``                 (B, n−2, d, d)
===================  ================================================  ================

The Hessian of f is block tridiagonal: 2g + ``bending``, and ``twisting`` − ``coupling`` beside it.
"""

from typing import NamedTuple

import torch

from curvcore.ambient import AmbientField
from curvcore.api import jet
from curvcore.jets import all_finite
from curvcore.packing import count, unpack
from curvcore.providers.ambient import ambient_arrays, ambient_values, numbers_at, shape_of
from curvcore.providers.automatic import automatic_jet
from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.primitives import call_plainly

_BUT_LAST, _REST = slice(None, -1), slice(1, None)
ENTRIES = 2**22  # of the derivatives that are held at a time
ROUNDINGS = 4  # of each component of Ψ


class Model(NamedTuple):
    """f and its derivatives, see above, and what rounding may do to f, (B,)."""

    energy: torch.Tensor
    rounding: torch.Tensor
    gradient: torch.Tensor
    metric: torch.Tensor
    bending: torch.Tensor
    coupling: torch.Tensor
    twisting: torch.Tensor

    def is_finite(self):
        """For which curves all of it is: (B,)."""
        return torch.isfinite(self.energy) & all_finite(self[2:])

    def where(self, mask, other):
        """This one for some of the curves, the other one for the others."""
        return Model(*(where(mask, *parts) for parts in zip(self, other, strict=True)))

    def of(self, curves):
        """That of some of the curves."""
        return Model(*(part[curves] for part in self))

    def double(self):
        """That in float64."""
        return Model(*(part.double() for part in self))

    def hessian(self, damping=0):
        """The blocks of ∇²f on the diagonal and beside it, with G of Gauss and Newton (1 + μ)-fold.

        Args:
            damping: μ, a number or (B, 1, 1, 1).
        """
        diagonal = 2 * (1 + damping) * self.metric + self.bending
        return diagonal, self.twisting - (1 + damping) * self.coupling


def model_of(decoder, path):
    """The Model of f at paths (B, n+1, d); of the jets of a piece only this much is kept."""
    d = path.shape[2]
    pieces = _pieces(path, numbers_at(decoder, path[:, 0]) * (1 + d + count(d, 2)))
    models = [_model_of_piece(decoder, piece) for piece in pieces]
    return Model(*map(torch.cat, zip(*models, strict=True)))


def lengths_of(decoder, path):
    """Σ √⟨r_k, ρ_k⟩ of paths (B, n+1, d): (B,)."""
    numbers = numbers_at(decoder, path[:, 0])
    return torch.cat([_lengths_of_piece(decoder, piece) for piece in _pieces(path, numbers)])


def where(mask, one, other):
    """Along axis 0."""
    return torch.where(mask.reshape(-1, *(1,) * (one.ndim - 1)), one, other)


def _pieces(path, numbers):
    """Some curves at a time, of which so many ``numbers`` are held for each node."""
    return path.split(max(1, ENTRIES // (path.shape[1] * numbers)))


def _lengths_of_piece(decoder, path):
    nodes, shape = path.flatten(0, 1).clone(), path.shape[:2]
    if not isinstance(decoder, AmbientDecoder):
        value = call_plainly(decoder, nodes).flatten(1)
        return value.unflatten(0, shape).diff(dim=1).norm(dim=2).sum(1)
    value, field = ambient_values(decoder, nodes)
    steps = value.unflatten(0, shape).diff(dim=1)
    return (steps * _between(_at_nodes(field, shape)).applied(steps)).sum(2).sqrt().sum(1)


def _model_of_piece(decoder, path):
    shape, d = path.shape[:2], path.shape[2]
    if isinstance(decoder, AmbientDecoder):
        with torch.autocast(path.device.type, enabled=False):
            nodes = path.flatten(0, 1)
            arrays, field = ambient_arrays(
                automatic_jet, decoder, nodes, 2, shape_of(decoder, nodes), lenient=True
            )
        value, first, second = (x.unflatten(0, shape) for x in arrays)
        return _curved_model(value, first, second[:, 1:-1], _at_nodes(field, shape))
    derived = jet(decoder, path.flatten(0, 1), order=2)
    value = derived.value.unflatten(0, shape)
    first, second = (x.unflatten(0, shape)[:, 1:-1] for x in derived.derivatives().levels())
    steps = value.diff(dim=1)
    bend = -steps.diff(dim=1)
    coupling = torch.einsum("bkai,bkaj->bkij", first[:, :-1], first[:, 1:])
    return Model(
        energy=steps.square().sum((1, 2)) / 2,
        rounding=_rounding(value, steps.norm(dim=2)),
        gradient=torch.einsum("bkai,bka->bki", first, bend),
        metric=torch.einsum("bkai,bkaj->bkij", first, first),
        bending=unpack(torch.einsum("bkap,bka->bkp", second, bend), d, 2),
        coupling=coupling,
        twisting=torch.zeros_like(coupling),
    )


def _rounding(value, lengths, weight=1):
    """What ROUNDINGS of the components of Ψ do to f, where |v|² is ``weight`` times itself in G."""
    sizes = value.norm(dim=2)
    errors = ROUNDINGS * torch.finfo(value.dtype).eps * (sizes[:, 1:] + sizes[:, :-1])
    return (lengths * errors * weight + errors.square() * weight / 2).sum(1)


# --- with a metric of R^D ------------------------------------------------------------------------


def _at_nodes(field, shape):
    return field.map(lambda level: level.unflatten(0, shape))


def _between(field):
    """Ḡ_k."""
    value = field.levels[0]
    return AmbientField(((value[:, 1:] + value[:, :-1]) / 2,), field.is_diagonal)


def _curved_model(value, first, second, field):
    """The Model of Ψ, ∂_iΨ, and of ∂_i∂_jΨ at inner nodes, and of G.

    With r = Ψ_k − Ψ_o a term ½ Ḡ(r, r) has the derivatives at z_k

        Ḡ(r, Ψ_i) + ¼ ∂_iG(r, r),
        Ḡ(Ψ_i, Ψ_j) + Ḡ(r, Ψ_ij) + ½ ∂_iG(r, Ψ_j) + ½ ∂_jG(r, Ψ_i) + ¼ ∂_i∂_jG(r, r),

    and −Ḡ(Ψ_i, Ψ'_j) − ½ ∂_iG(r, Ψ'_j) + ½ ∂_jG'(r, Ψ_i) with z_o too, Ψ' and G' there.
    """
    steps, mean = value.diff(dim=1), _between(field)
    lowered = mean.applied(steps)
    before, after = steps[:, :-1], steps[:, 1:]
    bend, inner = -lowered.diff(dim=1), first[:, 1:-1]
    at = field.map(lambda level: level[:, 1:-1])
    mixed = at.product(1, inner, before - after, "j,i,->ij") / 2
    bending = torch.einsum("bkaij,bka->bkij", second, bend) + mixed + mixed.mT
    gradient = torch.einsum("bkai,bka->bki", inner, bend)
    for step in (before, after):
        gradient = gradient + at.product(1, step, step, "i,,->i") / 4
        bending = bending + at.product(2, step, step, "ij,,->ij") / 4
    one, other = (at.map(lambda level, part=part: level[:, part]) for part in (_BUT_LAST, _REST))
    twisting = one.product(1, steps[:, 1:-1], inner[:, 1:], "i,,j->ij")
    twisting = twisting - other.product(1, steps[:, 1:-1], inner[:, :-1], "j,,i->ij")
    ends = mean.map(lambda level: level[:, :-1] + level[:, 1:])
    between = mean.map(lambda level: level[:, 1:-1])
    lengths, plain = (steps * lowered).sum(2).sqrt(), steps.norm(dim=2)
    weight = lengths / torch.where(plain > 0, plain, 1)
    return Model(
        energy=lengths.square().sum(1) / 2,
        rounding=_rounding(value, lengths, weight),
        gradient=gradient,
        metric=ends.product(0, inner, inner, ",i,j->ij") / 2,
        bending=bending,
        coupling=between.product(0, inner[:, :-1], inner[:, 1:], ",i,j->ij"),
        twisting=twisting / 2,
    )
