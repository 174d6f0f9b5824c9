"""Rules for functions of square matrices.

The jet of X = A⁻¹B solves, level by level, with the same matrix every time::

    A X_i = B_i − A_i X,   A X_ij = B_ij − A_ij X − A_i X_j − A_j X_i,   and so on;

that of A = L Lᵀ, with Φ(P) the lower triangle of P and half its diagonal::

    L_i = L Φ(L⁻¹ A_i L⁻ᵀ),   L_ij likewise from A_ij − L_i L_jᵀ − L_j L_iᵀ,   and so on.

Of a matrix without inverse or factor they are NaN, where torch ends the whole batch.
"""

import math

import torch

from curvcore.errors import MissingRuleError
from curvcore.providers import primitives
from curvcore.providers.fused.product_rules import cross, cross_second
from curvcore.providers.fused.products import bilinear
from curvcore.providers.fused.registry import composite, is_jet, named
from curvcore.providers.matrices import (
    cholesky_or_nan,
    inverse_or_nan,
    symmetric_of,
)

for _function in named("det", "cholesky_inverse"):  # written once, for both providers
    composite(_function)(primitives.PRIMITIVES[_function])


@composite(torch.linalg.eigh)
def _eigh(A, UPLO="L"):
    _refuse_complex(A, "eigh")  # of which torch has no gradient by this way
    return primitives.PRIMITIVES[torch.linalg.eigh](A, UPLO)


@composite(torch.linalg.eigvalsh)
def _eigvalsh(A, UPLO="L"):
    return _eigh(A, UPLO).eigenvalues


def _refuse_complex(x, name):
    if x.is_complex():
        raise MissingRuleError(
            f"derivatives='fused' has no rule for {name} of complex matrices. Write "
            "derivatives='autodiff'."
        )


# --- A X = B --------------------------------------------------------------------------------------


def _levels(x, order):
    """The levels of a jet at every point, None for those that vanish."""
    levels = x.like(x.value, x.channels_at_every_point()).levels if is_jet(x) else ()
    return [*levels, *[None] * (order - len(levels))]


def _solved(a, b, solve):
    """The jet of X with A X = B, matrices of one batch shape; ``solve``: R ↦ A⁻¹R of stacks."""
    like = a if is_jet(a) else b
    x = solve(b.value if is_jet(b) else b)
    a, b, found = _levels(a, like.order), _levels(b, like.order), []
    for k in range(like.order):
        terms = [] if a[k] is None else [a[k] @ x]
        if k == 1 and a[0] is not None:
            terms.append(cross(a[0], found[0], torch.matmul))
        if k == 2 and a[0] is not None:
            terms.append(cross_second(found[1], a[0], lambda second, first: first @ second))
        if k == 2 and a[1] is not None:
            terms.append(cross_second(a[1], found[0], torch.matmul))
        right = [] if b[k] is None else [b[k]]
        if not terms and not right:
            break
        found.append(solve(sum(right[1:] + [-term for term in terms], start=(right or [0])[0])))
    return like.like(x, torch.cat(found))


def _system(a, b):
    """A and B of one batch shape, and whether B is a vector, as in torch.linalg.solve."""
    is_vector = b.ndim == 1 or b.shape == a.shape[:-1]
    b = b.unsqueeze(-1) if is_vector else b
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:]), is_vector


@composite(torch.linalg.solve)
def _solve(a, B, *, left=True):
    if not left:
        return _solve(a.mT, B.mT).mT
    a, B, is_vector = _system(a, B)
    inverse = inverse_or_nan(a.value if is_jet(a) else a)
    x = _solved(a, B, lambda right: inverse @ right)
    return x.squeeze(-1) if is_vector else x


@composite(*named("inv", "inverse"))
def _inverse(a):
    inverse = inverse_or_nan(a.value)
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(a.shape)
    return _solved(a, identity, lambda right: inverse @ right)


@composite(torch.linalg.solve_triangular)
def _solve_triangular(a, B, *, upper, left=True, unitriangular=False):
    if not left:
        transposed = {"upper": not upper, "unitriangular": unitriangular}
        return _solve_triangular(a.mT, B.mT, **transposed).mT
    a = a.triu(int(unitriangular)) if upper else a.tril(-int(unitriangular))
    batch = torch.broadcast_shapes(a.shape[:-2], B.shape[:-2])
    a, B = a.expand(*batch, *a.shape[-2:]), B.expand(*batch, *B.shape[-2:])
    matrix = a.value if is_jet(a) else a

    def solve(right):
        return torch.linalg.solve_triangular(
            matrix, right, upper=upper, unitriangular=unitriangular
        )

    return _solved(a, B, solve)


@composite(*named("cholesky_solve"))
def _cholesky_solve(B, L, upper=False):
    factor = L.mT if upper else L
    _refuse_complex(factor, "cholesky_solve")
    y = torch.linalg.solve_triangular(factor, B, upper=False)
    return torch.linalg.solve_triangular(factor.mT, y, upper=True)


@composite(torch.linalg.matrix_power)
def _matrix_power(a, n):
    if n < 0:
        return _matrix_power(torch.linalg.inv(a), -n)
    power = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(a.shape)
    for _ in range(n):
        power = a @ power
    return power


# --- A = L Lᵀ -------------------------------------------------------------------------------------


@composite(torch.linalg.cholesky)
def _cholesky(a, *, upper=False):
    _refuse_complex(a, "cholesky")
    a = symmetric_of(a, upper)
    factor = cholesky_or_nan(a.value)
    half = torch.ones_like(factor).tril() - torch.eye(factor.shape[-1]).to(factor) / 2

    def differential(right):
        half_way = torch.linalg.solve_triangular(factor, right, upper=False)
        both = torch.linalg.solve_triangular(factor, half_way.mT, upper=False).mT
        return factor @ (half * both)

    levels, found = _levels(a, a.order), []
    for k, level in enumerate(levels):
        right = 0 if level is None else level
        if k == 1:
            right = right - cross(found[0], found[0].mT, torch.matmul)
        if k == 2:
            mixed = cross_second(found[1], found[0].mT, torch.matmul)
            right = right - mixed - mixed.mT
        found.append(differential(right))
    root = a.like(factor, torch.cat(found))
    return root.mT if upper else root


# --- determinants ---------------------------------------------------------------------------------


@composite(*named("slogdet"))
def _slogdet(a):
    """log|det(A + N)| = log|det A| + tr E − tr E²/2 + tr E³/3 for E = A⁻¹N, N⁴ = 0."""
    _refuse_complex(a, "slogdet")
    with_nan = inverse_or_nan(a.value)
    e = a.like(torch.zeros_like(a.value), with_nan @ a.channels_at_every_point())
    logarithm, power = _trace(e), e
    for n in range(2, a.order + 1):
        power = bilinear(torch.matmul, power, e)
        logarithm = logarithm - (-1) ** n * _trace(power) / n
    sign, value = primitives.PRIMITIVES[torch.slogdet](a.value)
    result = a.like(value, logarithm.channels)
    return torch.return_types.linalg_slogdet((sign.detach(), result))


def _trace(a):
    return a.diagonal(dim1=-2, dim2=-1).sum(-1)


@composite(*named("logdet"))
def _logdet(a):
    sign, logarithm = _slogdet(a)
    return logarithm + sign.log()


# --- exp A ----------------------------------------------------------------------------------------

_DEGREE = 18  # (1/2)^19/19! is below eps of float64


@composite(*named("matrix_exp"))
def _matrix_exp(a):
    """Taylor's polynomial of A/2^s, |A/2^s| ≤ 1/2 in the largest row sum, squared s times."""
    size = float(a.value.detach().abs().sum(-1).max())
    squarings = max(0, math.ceil(math.log2(2 * size))) if 0 < size < math.inf else 0
    scaled = a * 0.5**squarings
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(a.shape)
    total = identity + scaled / _DEGREE
    for n in range(_DEGREE - 1, 0, -1):
        total = identity + scaled @ total / n
    for _ in range(squarings):
        total = total @ total
    return total
