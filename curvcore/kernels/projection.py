"""R for 3 ≤ d ≤ 8 from the packed derivatives, in one kernel, and its gradient in another.

Vectors Ψ_i and Ψ_ij, i ≤ j, in R^N at every point, one program a point. Two Cholesky
factorisations, of the equilibrated metric and of what it is in the frame that the first one gives,
make a frame e_a = E^i_a Ψ_i in which the metric is the identity up to √κ eps, which is what
rounding of the e_a costs anyhow (Yamamoto et al., Electron. Trans. Numer. Anal. 44, 2015). Then

    h_ab = E^i_a E^j_b Ψ_ij,   Γ^i_ab = E^i_c ⟨e_c, h_ab⟩,   II_ab = h_ab − Γ^i_ab Ψ_i,
    R = 2 Σ_{a<b} (⟨II_aa, II_bb⟩ − ⟨II_ab, II_ab⟩),

from the vectors II, as in :mod:`curvcore.projection`, its referee; i, j belong to latent
coordinates, a, b, c to the frame. With T_ab = H δ_ab − II_ab and Ric_ab = ⟨H, II_ab⟩ − ⟨II_ac,
II_bc⟩ the first variation of :mod:`curvcore.rounding` is the gradient:

    Ψ̄_ij = 2 E^i_a E^j_b T_ab (twice that for i < j),
    Ψ̄_i = −2 Γ^i_ab T_ab − 4 E^i_a Ric_ab e_b.

Tiles have axes of length P, a power of two, for indices below d: what is beyond is zero.
"""

import torch
import triton
import triton.language as tl
from torch.autograd import Function

DIMENSIONS = range(3, 9)


@triton.jit
def _contracted(matrix, tile):
    """Σ_i M[i, a] x[i, n]: (P, P), (P, n) -> (P, n)."""
    return tl.sum(matrix[:, :, None] * tile[:, None, :], 0)


@triton.jit
def _derivative(at, index, plane, inside):
    """The vectors with these places in the packing."""
    return tl.load(at + index * plane, mask=inside, other=0.0)


@triton.jit
def _pair(i, j, D: tl.constexpr):
    """Where Ψ_ij stands among the derivatives, in either order of i and j."""
    least, most = tl.minimum(i, j), tl.maximum(i, j)
    return D + least * D - least * (least - 1) // 2 + most - least


@triton.jit
def _orthonormal(metric, D: tl.constexpr, P: tl.constexpr):
    """E with EᵀgE ≈ I, by elimination: L⁻¹ of C = L Δ Lᵀ, C = g equilibrated: (P, P) -> [i, a]."""
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    metric = tl.where((i == j) & (i >= D), 1.0, metric)
    squares = tl.where(i == j, metric, 0.0)
    lengths = tl.sqrt(tl.sum(squares, 0, keep_dims=True))
    rest = metric / lengths / tl.sqrt(tl.sum(squares, 1, keep_dims=True))
    inverse = tl.where(i == j, 1.0, 0.0)
    for k in tl.static_range(D):
        row = tl.sum(tl.where(i == k, rest, 0.0), 0, keep_dims=True)
        column = tl.sum(tl.where(j == k, rest, 0.0), 1, keep_dims=True)
        pivot = tl.sum(tl.where(j == k, row, 0.0), 1, keep_dims=True)
        ratios = tl.where(i > k, column / pivot, 0.0)
        inverse -= ratios * tl.sum(tl.where(i == k, inverse, 0.0), 0, keep_dims=True)
        rest -= ratios * row
    pivots = tl.sum(tl.where(i == j, rest, 0.0), 1, keep_dims=True)
    return tl.trans(tl.where(i < D, inverse / (tl.sqrt(pivots) * lengths), 0.0))


@triton.jit
def _frame(at, plane, N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr):
    """g_ij, and E[i, a]."""
    first, second = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    columns = tl.arange(0, BLOCK)[None, None, :]
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        n = columns + k
        x = _derivative(at + n, first, plane, (first < D) & (n < N))
        products += x * _derivative(at + n, second, plane, (second < D) & (n < N))
    metric = tl.sum(products, 2)
    basis = _orthonormal(metric, D, P)
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
        products += e[:, None, :] * e[None, :, :]
    again = _orthonormal(tl.sum(products, 2), D, P)
    return metric, _contracted(tl.trans(basis), again)


@triton.jit
def _frame_vectors(
    at, plane, basis, k,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """e_a[n] of a tile: (P, BLOCK)."""
    i, n = tl.arange(0, P)[:, None], tl.arange(0, BLOCK)[None, :] + k
    return _contracted(basis, _derivative(at + n, i, plane, (i < D) & (n < N)))


@triton.jit
def _christoffel(
    at, plane, frame, basis,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Γ^i_ab, index order [i, b, a]."""
    i, columns = tl.arange(0, P)[:, None], tl.arange(0, BLOCK)[None, :]
    transposed = tl.trans(basis)
    gamma = tl.zeros((P, P, P), tl.float32)
    for j in tl.static_range(D):
        products = tl.zeros((P, P, BLOCK), tl.float32)
        for k in range(0, N, BLOCK):
            n = columns + k
            x = _derivative(at + n, _pair(i, j, D), plane, (i < D) & (n < N))
            e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
            products += x[:, None, :] * e[None, :, :]
        of_row = tl.trans(_contracted(basis, tl.sum(products, 2)))  # ⟨e_c, E^i_a Ψ_ij⟩, [c, a]
        raised = _contracted(transposed, of_row)
        gamma += raised[:, None, :] * _row(frame, j, D, P)[None, :, None]
    return gamma


@triton.jit
def _row(matrix, i, D: tl.constexpr, P: tl.constexpr):
    """Row i of a matrix (D, D) in memory."""
    j = tl.arange(0, P)
    return tl.load(matrix + i * D + j, mask=j < D, other=0.0)


@triton.jit
def _of_index(gamma, i, D: tl.constexpr, P: tl.constexpr):
    """Γ^i_ab from memory, (P, P, 1)."""
    b, a = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    return tl.load(gamma + (i * D + b) * D + a, mask=(a < D) & (b < D), other=0.0)


@triton.jit
def _form(
    at, plane, frame, gamma, basis, k,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """II_ab of a tile, index order [b, a, n]."""
    i, n = tl.arange(0, P)[:, None], tl.arange(0, BLOCK)[None, :] + k
    form = tl.zeros((P, P, BLOCK), tl.float32)
    for j in tl.static_range(D):
        x = _derivative(at + n, _pair(i, j, D), plane, (i < D) & (n < N))
        form += _row(frame, j, D, P)[:, None, None] * _contracted(basis, x)[None, :, :]
    n = tl.arange(0, BLOCK)[None, None, :] + k
    for j in tl.static_range(D):
        form -= _of_index(gamma, j, D, P) * _derivative(at + n, j, plane, n < N)
    return form


@triton.jit
def _forward(
    vectors, scalar, metric, frame, gamma, plane,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0).to(tl.int64)
    at = vectors + point * N
    frame += point * D * D
    gamma += point * D * D * D
    g, basis = _frame(at, plane, N, D, P, BLOCK)
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    inside = (i < D) & (j < D)
    tl.store(metric + point * D * D + i * D + j, g, mask=inside)
    tl.store(frame + i * D + j, basis, mask=inside)
    tl.debug_barrier()  # what one thread has stored, others load
    c, b = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    a = tl.arange(0, P)[None, None, :]
    tl.store(
        gamma + (c * D + b) * D + a,
        _christoffel(at, plane, frame, basis, N, D, P, BLOCK),
        mask=(a < D) & (b < D) & (c < D),
    )
    tl.debug_barrier()
    sums = tl.zeros((P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, gamma, basis, k, N, D, P, BLOCK)
        diagonal = tl.sum(tl.where(c == b, form, 0.0), 0)
        sums -= tl.sum(tl.where(c < b, form * form, 0.0), 0)
        # Of a < b only: |II_aa|² must not come in and cancel.
        sums += diagonal * tl.sum(tl.where(c < b, diagonal[:, None, :], 0.0), 0)
    tl.store(scalar + point, 2 * tl.sum(sums))


@triton.jit
def _adjoint(
    vectors, frame, gamma, weights, out, plane,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0).to(tl.int64)
    at = vectors + point * N
    frame += point * D * D
    gamma += point * D * D * D
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    basis = tl.load(frame + i * D + j, mask=(i < D) & (j < D), other=0.0)
    b, a = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, gamma, basis, k, N, D, P, BLOCK)
        mean = tl.sum(tl.sum(tl.where(a == b, form, 0.0), 0), 0)
        products += form * mean[None, None, :]
        for c in tl.static_range(D):
            row = tl.sum(tl.where(b == c, form, 0.0), 0)
            products -= row[:, None, :] * row[None, :, :]
    ricci = tl.sum(products, 2)
    transposed = tl.trans(basis)
    of_first = tl.trans(_contracted(transposed, ricci))  # E^i_a Ric_ab, [b, i]
    weight = tl.load(weights + point)
    columns = tl.arange(0, BLOCK)[None, :]
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, gamma, basis, k, N, D, P, BLOCK)
        mean = tl.sum(tl.sum(tl.where(a == b, form, 0.0), 0), 0)
        sensitivity = 2 * weight * (tl.where(a == b, mean[None, None, :], 0.0) - form)
        n = columns + k
        e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
        gradient = -4 * weight * _contracted(of_first, e)
        for c in tl.static_range(D):
            along = tl.sum(tl.sum(_of_index(gamma, c, D, P) * sensitivity, 0), 0)
            gradient -= tl.where(i == c, along[None, :], 0.0)
        _store(out + point * N + n + i * plane, gradient, weight, (i < D) & (n < N))
        for c in tl.static_range(D):
            of_row = tl.sum(_row(frame, c, D, P)[:, None, None] * sensitivity, 0)
            gradient = _contracted(transposed, of_row)
            gradient = tl.where(i < c, 2 * gradient, gradient)  # the entry is Ψ_ij and Ψ_ji
            target = out + point * N + n + _pair(i, c, D) * plane
            _store(target, gradient, weight, (i <= c) & (n < N))


@triton.jit
def _store(at, gradient, weight, inside):
    """Nothing comes from a point that was masked, not even NaN."""
    tl.store(at, tl.where(weight == 0, 0.0, gradient), mask=inside)


class Scalar(Function):
    """(vectors (K, B, N), d, plain) -> R (B,), g (B, d, d), by kernels.

    ``plain`` is the same R by torch's operations, for derivatives beyond the first.
    """

    @staticmethod
    def forward(ctx, vectors, d, plain):
        vectors = vectors.contiguous()
        points = vectors.shape[1]
        scalar, metric = vectors.new_empty(points), vectors.new_empty(points, d, d)
        frame, gamma = torch.empty_like(metric), vectors.new_empty(points, d, d, d)
        _launch(_forward, d, vectors, scalar, metric, frame, gamma)
        ctx.save_for_backward(vectors, frame, gamma)
        ctx.plain = plain
        ctx.mark_non_differentiable(metric)
        return scalar, metric

    @staticmethod
    def backward(ctx, weights, _):
        vectors, frame, gamma = ctx.saved_tensors
        if torch.is_grad_enabled():
            scalar = ctx.plain(vectors)
            return *torch.autograd.grad(scalar, vectors, weights, create_graph=True), None, None
        gradient = torch.empty_like(vectors)
        _launch(_adjoint, frame.shape[-1], vectors, frame, gamma, weights.contiguous(), gradient)
        return gradient, None, None


def _launch(kernel, d, vectors, *tensors):
    _, points, size = vectors.shape
    if points:
        kernel[(points,)](vectors, *tensors, points * size, N=size, D=d, **_shape(d, size))


def _shape(d, size):
    """Tiles of 512 entries (P, BLOCK), four a thread, so that the axes before them lie in one."""
    padded = triton.next_power_of_2(d)
    block = min(max(triton.next_power_of_2(size), 128 // padded), 512 // padded)
    return {"P": padded, "BLOCK": block, "num_warps": padded * block // 128}
