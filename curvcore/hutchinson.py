"""Unbiased estimates of R from second derivatives along a few random directions.

For independent random tangent vectors u, v with mean zero and covariance g⁻¹, by the Gauss equation

    R = E h(u, v),   h(u, v) = ⟨II(u, u), II(v, v)⟩ − |II(u, v)|² = Riem(u, v, u, v).

Of k of them the mean U of h over all pairs is taken, a U-statistic (Hoeffding, Ann. Math. Statist.
19, 1948), after Hutchinson's estimate of a trace (Commun. Stat. Simul. Comput. 19, 1990).
"""

from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from numbers import Integral, Real
from typing import Literal

import torch

from curvcore.constants import indices
from curvcore.display import Displayed
from curvcore.errors import InputError

DISTRIBUTIONS = ("rademacher", "gaussian")


@dataclass(frozen=True)
class Hutchinson:
    """How R is estimated: from k = ``probes`` random vectors at each point, all pairs of them.

    The estimate U is unbiased, and so is its gradient. Its cost, beside that of ∇Ψ and of a
    factorisation of g, is that of k first and k(k+1)/2 second derivatives, whatever d is. With
    components in an orthonormal frame,

        Var U = (4 (k − 2) Var Ric(u, u) + 2 Var h(u, v))/(k (k − 1)),

    which is 8 |Ric|²/k + 6 |Riem|²/(k (k − 1)) for normal probes. Random signs have never more:

        Var Ric(u, u) = 2 Σ_{a≠b} Ric_ab²,
        Var h(u, v) = 4 Σ_{a≠b} Ric_ab² + Σ_{a≠c, b≠d} (R_abcd + R_adcb)².

    For many dimensions. In two, all k random signs are parallel with probability 2^(1 − k), and
    estimate and standard error are then 0, whatever R is; up to d = 8 R itself costs no more.

    Args:
        probes: k, 2 at least; 4 for a standard error and an estimate of R².
        distribution: of components in a frame: ``"rademacher"``, random signs, or ``"gaussian"``.
        generator: of the probes, on the device of the points; by default torch's own.
        matrix_free: work without ∇Ψ, by products with it (:mod:`curvcore.matrix_free`): for
            decoders of images, whose d × D numbers a point do not fit. Slower, and without
            gradients. Probes are projections of random vectors of R^D, drawn piece by piece. A
            metric that is degenerate is not noticed: directions that Ψ does not see are left out.
        tolerance: of its least squares, |Jᵀr| ≤ tolerance |Jᵀb|: their error is about κ(J) times
            that.
        max_iterations: of its conjugate gradients.

    Raises:
        InputError: an argument cannot be used.
    """

    probes: int = 8
    distribution: Literal["rademacher", "gaussian"] = "rademacher"
    generator: torch.Generator | None = field(default=None, repr=False)
    matrix_free: bool = False
    tolerance: float = 1e-4
    max_iterations: int = 1000

    def __post_init__(self):
        if not _is_whole(self.probes) or self.probes < 2:
            raise InputError(
                f"probes must be an integer from 2 on, R needs a plane; got {self.probes!r}."
            )
        if self.distribution not in DISTRIBUTIONS:
            raise InputError(
                f"distribution must be one of {DISTRIBUTIONS}; got {self.distribution!r}."
            )
        if not isinstance(self.tolerance, Real) or not 0 < self.tolerance < 1:
            raise InputError(f"tolerance must lie between 0 and 1; got {self.tolerance!r}.")
        if not _is_whole(self.max_iterations) or self.max_iterations < 1:
            raise InputError(
                f"max_iterations must be a positive integer; got {self.max_iterations!r}."
            )
        if self.generator is not None and not isinstance(self.generator, torch.Generator):
            raise InputError(
                f"generator must be a torch.Generator; got {type(self.generator).__name__}."
            )

    def draw(self, z, components=None):
        """Random vectors at points z (B, d), one for each probe: (B, k, d or ``components``)."""
        generator = self.generator
        if generator is not None and generator.device.type != z.device.type:
            raise InputError(
                f"The generator is on {generator.device} and z on {z.device}. Write "
                f"torch.Generator({str(z.device)!r})."
            )
        shape = (len(z), self.probes, components or z.shape[1])
        options = {"generator": generator, "dtype": z.dtype, "device": z.device}
        if self.distribution == "gaussian":
            return torch.randn(shape, **options)
        return torch.randint(2, shape, **options).mul_(2).sub_(1)


@dataclass(frozen=True, repr=False)
class ScalarEstimate(Displayed):
    """R as estimated at B points.

    Attributes:
        value: U (B,), unbiased, differentiable.
        standard_error: of U (B,), not differentiable; NaN from fewer than four probes. With
            Student's quantile of k − 1 degrees of freedom it bounds a 95 % interval, nearly: one
            that holds R less often where estimates are skewed, as those of normal probes are.
        square: an unbiased estimate of R² (B,), differentiable, which may be negative; NaN from
            fewer than four probes.
        residual: |Jᵀr|/|Jᵀb| of the worst least squares of a point (B,); None unless matrix-free.
        iterations: conjugate gradients that it took, (B,); None unless matrix-free.
    """

    value: torch.Tensor
    standard_error: torch.Tensor
    square: torch.Tensor
    residual: torch.Tensor | None = None
    iterations: torch.Tensor | None = None


def _is_whole(value):
    return isinstance(value, Integral) and not isinstance(value, bool)


def estimate_of(normal, probes):
    """The ScalarEstimate from II(u_i, u_j), packed: (B, k(k+1)/2, N)."""
    h = _kernel(normal, probes)
    k, rows = probes, h.sum(2)
    total = rows.sum(1)
    value = total / (k * (k - 1))
    if k < 4:
        return ScalarEstimate(value, *[torch.full_like(value, torch.nan)] * 2)
    error = _standard_error(h.detach())
    distinct = total.square() - 4 * rows.square().sum(1) + 2 * h.square().sum((1, 2))
    return ScalarEstimate(value, error, distinct / (k * (k - 1) * (k - 2) * (k - 3)))


def squared_covector(first, second, slopes, square):
    """|∂ log √det g − s|²_g, unbiased, over all pairs and triples of three or more probes: (B,).

    With q_ij = ⟨∂_iΨ, ∂_i∂_jΨ⟩ along the probes, E[q_ij | u_j] = ∂_j log √det g, so that q_ij q_lj
    has the mean |∂ log √det g|², and q_ij s_j that of the product with s.

    Args:
        first: ∂_iΨ along the probes, (B, k, N).
        second: ∂_i∂_jΨ, packed (B, k(k+1)/2, N).
        slopes: s(u_i), (B, k).
        square: |s|²_g, (B,).
    """
    k = slopes.shape[1]
    pairs = second[:, indices(_places(k), second.device)].unflatten(1, (k, k))
    q = _without_diagonal((first[:, :, None] * pairs).sum(-1))
    sums = q.sum(1)
    triples = (sums.square() - q.square().sum(1)).sum(1) / (k * (k - 1) * (k - 2))
    return triples - 2 * (sums * slopes).sum(1) / (k * (k - 1)) + square


def _places(k):
    """Where the pairs ij of k vectors are among the packed ones."""
    pairs = combinations_with_replacement(range(k), 2)
    place = {pair: n for n, pair in enumerate(pairs)}
    return tuple(place[min(i, j), max(i, j)] for i in range(k) for j in range(k))


def _kernel(normal, k):
    """h(u_i, u_j) for i ≠ j, and zero for i = j: (B, k, k)."""
    places = _places(k)
    own = normal[:, indices(places[:: k + 1], normal.device)]
    squares = normal.square().sum(-1)[:, indices(places, normal.device)]
    return _without_diagonal(own @ own.mT - squares.unflatten(1, (k, k)))


def _standard_error(h):
    """That of U, by components of variance: h_ij = R + α_i + α_j + ε_ij.

    Var U = 4 Var α/k + 2 Var ε/(k (k − 1)), both by analysis of variance, that of α not below zero.
    """
    k, unit = h.shape[1], h.abs().amax((1, 2), keepdim=True)
    h = h / torch.where(unit > 0, unit, 1)  # squares stay in range
    means = h.sum(2) / (k - 1)
    value = means.mean(1)
    effects = (means - value[:, None]) * (k - 1) / (k - 2)
    rest = h - value[:, None, None] - effects[:, :, None] - effects[:, None]
    of_rest = _without_diagonal(rest).square().sum((1, 2)) / (k * (k - 3))
    of_effects = effects.square().sum(1) / (k - 1) - of_rest / (k - 2)
    variance = 4 * of_effects.clamp(min=0) / k + 2 * of_rest / (k * (k - 1))
    return variance.sqrt() * unit[:, 0, 0]


def _without_diagonal(matrix):
    return matrix - torch.diag_embed(matrix.diagonal(dim1=1, dim2=2))
