"""Geodesics as polynomials: few numbers a curve, for very many curves.

With P_k the Legendre polynomials of [0, 1], of length one, and t_q, w_q the nodes of Gauss,

    γ(t) = a + t(b − a) + Σ_k c_k φ_k(t),   φ_k(t) = ∫₀ᵗ P_k,   k = 1, ..., K,
    E(c) = ½ Σ_q w_q g_ij(γ) γ̇^i γ̇^j,

is least where γ is a geodesic, at constant speed. Newton's method on E, damped in the metric
G = Σ_q w_q g_ij φ̇_k φ̇_n of changes of c, as in :mod:`curvcore.geodesics`. A field gives g and its
derivatives at the nodes (:mod:`curvcore.statistics.fields`). E is ½d² of its ends, whose Hessian in
a is what eliminating c from that of E leaves.

===========  =====================================================  =================
code         mathematics                                            shape
===========  =====================================================  =================
``ends``     a, b                                                   (2, d, B)
``c``        c_k                                                    (d, B, K)
``x``        γ(t_q)                                                 (d, B, Q)
===========  =====================================================  =================
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from curvcore.geodesics import lowered, raised

ITERATIONS = 40  # at most
_OTHER = 41  # terms, of which the rule has 65 nodes
_DONE = 1e-8  # of E, that a Newton step promises
_MOST_DAMPING = 1e6


class Curves(NamedTuple):
    """B geodesics, or what they are to become; :meth:`of` some of them.

    Attributes:
        ends, c: see above.
        length: √(2E), that of γ where its speed is constant, (B,).
        stationary: whether Newton's method has converged, (B,).
        minimal: whether the Hessian of E is positive definite, (B,).
        inside: whether γ is in the box of the spline, (B,).
        uncertainty: how far off g may be along γ, relative, (B,).
    """

    ends: torch.Tensor
    c: torch.Tensor
    length: torch.Tensor
    stationary: torch.Tensor
    minimal: torch.Tensor
    inside: torch.Tensor
    uncertainty: torch.Tensor

    def of(self, chosen):
        """Some of the curves, by index or mask."""
        return Curves(self.ends[..., chosen], self.c[:, chosen], *(x[chosen] for x in self[2:]))

    def where(self, mask, other):
        """These, and the ``other`` ones where ``mask`` (B,) is not."""
        c = torch.where(mask[:, None], self.c, other.c)
        pairs = [(self.ends, other.ends), *zip(self[2:], other[2:], strict=True)]
        ends, *rest = (torch.where(mask, one, two) for one, two in pairs)
        return Curves(ends, c, *rest)

    def finer(self, terms):
        """ends and c of the same curves with more terms."""
        return self.ends, torch.nn.functional.pad(self.c, (0, terms - self.c.shape[-1]))


class Basis(NamedTuple):
    """Nodes, weights (Q,), φ_k, φ̇_k (K, Q), the matrix that fits c (Q, K), and ``products``.

    These are of φ̇φ̇, φ̇φ and φφ, (Q, K²), as they stand in the Hessian.
    """

    nodes: torch.Tensor
    weights: torch.Tensor
    value: torch.Tensor
    slope: torch.Tensor
    fit: torch.Tensor

    def products(self):
        """φ̇φ̇, φ̇φ, φφ at the nodes, (Q, K²) each."""
        pairs = (self.slope, self.slope), (self.slope, self.value), (self.value, self.value)
        return tuple(torch.einsum("kq,nq->qkn", *pair).flatten(1) for pair in pairs)

    def with_start(self):
        """With 1 − t, what moves a, as the last φ."""
        value = torch.cat([self.value, 1 - self.nodes[None]])
        slope = torch.cat([self.slope, -torch.ones_like(self.nodes[None])])
        return self._replace(value=value, slope=slope)


@lru_cache(maxsize=16)
def basis(terms):
    """The Basis of so many terms."""
    nodes, weights = np.polynomial.legendre.leggauss(3 * terms // 2 + 4)
    vander = np.polynomial.legendre.legvander(nodes, terms + 1).T
    norm = np.sqrt(2 * np.arange(1, terms + 1)[:, None] + 1)
    value = (vander[2:] - vander[:-2]) / (2 * norm)
    slope = norm * vander[1:-1]
    arrays = (nodes + 1) / 2, weights / 2, value, slope
    nodes, weights, value, slope = map(torch.from_numpy, arrays)
    return Basis(nodes, weights, value, slope, torch.linalg.pinv(value))


def joined(curves):
    """All of several Curves of as many terms."""
    ends, c, *rest = zip(*curves, strict=True)
    return Curves(torch.cat(ends, 2), torch.cat(c, 1), *map(torch.cat, rest))


def fitted(ends, x, terms):
    """c of the curves that come nearest to points x (d, B, Q) at the nodes."""
    b = basis(terms)
    return (x - _line(ends, b)) @ b.fit


def shortest(field, ends, c, done=_DONE):
    """The Curves of least energy near those of c, to steps that promise ``done`` of E."""
    found = _minimised(field, ends, c, done)
    x = _position(ends, found[0], basis(c.shape[-1]))
    inside, uncertainty = field.contains(x).all(-1), field.relative_error(x).amax(-1)
    return Curves(ends, *found, inside, uncertainty)


def length_at_other_nodes(field, curves):
    """√(2E) by a rule of many nodes, which sees what is between those of the curves' own, (B,)."""
    b, terms = basis(_OTHER), curves.c.shape[-1]
    b = b._replace(value=b.value[:terms], slope=b.slope[:terms])
    speed = (curves.ends[1] - curves.ends[0])[..., None] + curves.c @ b.slope
    g = field.metric(_position(curves.ends, curves.c, b).flatten(1)).unflatten(-1, speed.shape[1:])
    return torch.einsum("q,ijbq,ibq,jbq->b", b.weights, g, speed, speed).clamp(min=0).sqrt()


def start_derivatives(field, curves):
    """∂/∂a and ∂²/∂a² of ½d²(a, b), (B, d) and (B, d, d), at geodesics."""
    b = basis(curves.c.shape[-1])
    model = _model(field, b, curves.ends, curves.c, b.with_start())
    d, batch, terms = curves.c.shape
    size = (batch, d, terms + 1, d, terms + 1)
    hessian = (model.metric + model.rest).reshape(size)
    inner = hessian[:, :, :-1, :, :-1].reshape(batch, d * terms, -1)
    beside = hessian[:, :, :-1, :, -1].reshape(batch, d * terms, d)
    solved = torch.linalg.solve_ex(inner, beside).result
    outer = hessian[:, :, -1, :, -1] - beside.mT @ solved
    return model.gradient.unflatten(1, (d, terms + 1))[:, :, -1], outer


def _minimised(field, ends, c, done_at):
    d, batch, terms = c.shape
    b, result = basis(terms), c.clone()
    energy = c.new_zeros(batch)
    stationary, minimal = (torch.zeros(batch, dtype=torch.bool) for _ in range(2))
    active, damping = torch.arange(batch), c.new_zeros(batch)
    model = _model(field, b, ends, c)
    for _ in range(ITERATIONS):
        step, promised, definite, damping = _newton_step(model, damping)
        ahead = c + step.unflatten(1, (d, terms)).transpose(0, 1)
        done = promised <= done_at * model.energy
        # The last step is taken without a look: E falls by what it promises, to the third order.
        result[:, active] = torch.where(done[:, None], ahead, c)
        energy[active] = torch.where(done, model.energy - promised, model.energy)
        stationary[active], minimal[active] = done, definite
        kept = ~done & (damping <= _MOST_DAMPING)
        if not kept.any():
            break
        active, ends, damping, model = active[kept], ends[..., kept], damping[kept], model.of(kept)
        c, ahead = c[:, kept], ahead[:, kept]
        trial = _model(field, b, ends, ahead)
        accepted = trial.energy < model.energy
        c = torch.where(accepted[:, None], ahead, c)
        model = trial.where(accepted, model)
        damping = torch.where(accepted, lowered(damping), raised(damping))
    return result, (2 * energy).sqrt(), stationary, minimal


# --- Newton's method ------------------------------------------------------------------------------


class _Model(NamedTuple):
    """E (B,), ∇E (B, dK), G and ∇²E − G (B, dK, dK)."""

    energy: torch.Tensor
    gradient: torch.Tensor
    metric: torch.Tensor
    rest: torch.Tensor

    def where(self, mask, other):
        return _Model(
            *(
                torch.where(mask.reshape(-1, *(1,) * (one.ndim - 1)), one, two)
                for one, two in zip(self, other, strict=True)
            )
        )

    def of(self, chosen):
        return _Model(*(part[chosen] for part in self))


def _line(ends, b):
    start, end = ends[..., None]
    return torch.lerp(start, end, b.nodes)


def _position(ends, c, b):
    return _line(ends, b) + c @ b.value


def _model(field, b, ends, c, moved=None):
    """The Model at c of changes along the functions of ``moved``, by default those of b."""
    d, batch, _ = c.shape
    speed = (ends[1] - ends[0])[..., None] + c @ b.slope
    parts = field.parts(_position(ends, c, b).flatten(1), speed.flatten(1))
    weighted = [b.weights.repeat(batch) * part for part in parts]
    energy, momentum, force, g, mixed, bend = (x.unflatten(-1, (batch, -1)) for x in weighted)
    moved = moved or b
    functions = len(moved.value)

    def products(array, table):
        """Σ_q of (l, m, B, Q) with (Q, K²): (B, l, k, m, n)."""
        return (array @ table).unflatten(3, (functions, functions)).permute(2, 0, 3, 1, 4)

    first, cross, last = map(products, (g, mixed, bend), moved.products())
    gradient = momentum @ moved.slope.mT + force @ moved.value.mT
    size = (batch, d * functions)
    return _Model(
        energy.sum(1),
        gradient.transpose(0, 1).reshape(size),
        first.reshape(*size, -1),
        (cross + cross.permute(0, 3, 4, 1, 2) + last).reshape(*size, -1),
    )


def _newton_step(model, damping):
    """p with (∇²E + μG)p = −∇E, ⟨p, −∇E⟩(1 + μ)/2, whether ∇²E > 0, and μ, raised where it must."""
    definite = torch.linalg.cholesky_ex(model.metric + model.rest).info == 0
    while True:
        matrix = model.metric * (1 + damping)[:, None, None] + model.rest
        factor, info = torch.linalg.cholesky_ex(matrix)
        failed = info > 0
        if not (failed & (damping <= _MOST_DAMPING)).any():
            break
        damping = torch.where(failed, raised(damping), damping)
    right = -model.gradient[..., None]
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    step = torch.linalg.solve_triangular(factor.mT, half, upper=True)[..., 0]
    promised = half.square().sum((1, 2)) * (1 + damping) / 2
    failed |= ~step.isfinite().all(1)
    step = torch.where(failed[:, None], 0, step)
    promised = torch.where(failed, math.inf, promised)
    return step, promised, definite, damping
