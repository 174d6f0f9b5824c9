"""R for 3 ≤ d ≤ 8 from the packed derivatives, in one kernel, and its gradient in another.

Vectors Ψ_i and Ψ_ij, i ≤ j, in R^N at every point, one program a point. Two Cholesky
factorisations, of the equilibrated metric and of what it is in the frame that the first one gives,
make a frame e_a = E^i_a Ψ_i whose metric m_ab = ⟨e_a, e_b⟩ is the identity up to √κ eps, which is
what rounding of the e_a costs anyhow (Yamamoto et al., Electron. Trans. Numer. Anal. 44, 2015).
With m in the projection and nowhere else,

    h_ab = E^i_a E^j_b Ψ_ij,   Γ^i_ab = E^i_c m^{cf}⟨e_f, h_ab⟩,   II_ab = h_ab − Γ^i_ab Ψ_i,
    R = 2 Σ_{a<b} (⟨II_aa, II_bb⟩ − ⟨II_ab, II_ab⟩),

from the vectors II, as in :mod:`curvcore.projection`, its referee; i, j belong to latent
coordinates, a, b, c, f to the frame. With H = II_aa, T_ab = H δ_ab − II_ab and Ric_ab =
⟨H, II_ab⟩ − ⟨II_ac, II_bc⟩ the first variation of :mod:`curvcore.rounding` is the gradient:

    Ψ̄_ij = 2 E^i_a E^j_b T_ab (twice that for i < j),
    Ψ̄_i = −2 Γ^i_ab T_ab − 4 E^i_a Ric_ab e_b.

Tiles have axes of length P, a power of two, for indices below d: what is beyond is zero. Products
are sums over the first axis of a tile, which lies in a thread. E and Γ go through memory: there a
row is at hand, and the gradient needs them again; everything else it computes anew.
"""

import torch
import triton
import triton.language as tl

_DIMENSION_OF = {d * (d + 3) // 2: d for d in range(3, 9)}  # by K = d + d(d+1)/2


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
def _inverse_factor(matrix, D: tl.constexpr, P: tl.constexpr):
    """L⁻¹ of a symmetric matrix LLᵀ (P, P), by elimination; no number where it is not positive."""
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    inverse = tl.where(i == j, 1.0, 0.0)
    for k in range(D):
        row = tl.sum(tl.where(i == k, matrix, 0.0), 0, keep_dims=True)
        column = tl.sum(tl.where(j == k, matrix, 0.0), 1, keep_dims=True)
        pivot = tl.sum(tl.where(j == k, row, 0.0), 1, keep_dims=True)
        ratios = tl.where(i > k, column / pivot, 0.0)
        inverse -= ratios * tl.sum(tl.where(i == k, inverse, 0.0), 0, keep_dims=True)
        matrix -= ratios * row
    pivots = tl.sum(tl.where(i == j, matrix, 0.0), 1, keep_dims=True)
    return tl.where(i < D, inverse / tl.sqrt(pivots), 0.0)


@triton.jit
def _largest_eigenvalue(matrix, P: tl.constexpr, SQUARINGS: tl.constexpr):
    """tr A^{m+1} / tr A^m of positive A, m = 2^SQUARINGS: at most 7/(e m) below, for d ≤ 8."""
    diagonal = tl.arange(0, P)[:, None] == tl.arange(0, P)[None, :]
    power = matrix
    for _ in range(SQUARINGS):
        power = power / tl.sum(tl.where(diagonal, power, 0.0))
        power = _contracted(power, power)
    return tl.sum(power * matrix) / tl.sum(tl.where(diagonal, power, 0.0))


@triton.jit
def _frame(at, plane, N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr):
    """E[i, a], and the condition number of g as in :func:`curvcore.arithmetic.condition_number`."""
    first, second = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    columns = tl.arange(0, BLOCK)[None, None, :]
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        n = columns + k
        x = _derivative(at + n, first, plane, (first < D) & (n < N))
        products += x * _derivative(at + n, second, plane, (second < D) & (n < N))
    metric = tl.sum(products, 2)
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    # Ones in the diagonal beyond d, which is never the least of the lengths.
    squares = tl.where(i == j, tl.where(i < D, metric, 1.0), 0.0)
    lengths = tl.sqrt(tl.sum(squares, 0, keep_dims=True))
    correlation = metric / lengths / tl.sqrt(tl.sum(squares, 1, keep_dims=True))
    inverse = _inverse_factor(correlation, D, P)
    condition = _largest_eigenvalue(correlation, P, 8)
    condition *= _largest_eigenvalue(_contracted(inverse, inverse), P, 8)
    # Lengths that lost digits, or whose inverse leaves the range.
    shortest = tl.min(tl.where((i == j) & (i < D), metric, float("inf")))
    regular = shortest > 4 * 1.1754943508222875e-38 * condition
    condition = tl.where(regular, condition, float("inf"))
    basis = tl.trans(inverse / lengths)
    again = _inverse_factor(_metric_of(at, plane, basis, N, D, P, BLOCK), D, P)
    return _contracted(tl.trans(basis), tl.trans(again)), condition


@triton.jit
def _metric_of(
    at, plane, basis,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """m_ab = ⟨e_a, e_b⟩."""
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
        products += e[:, None, :] * e[None, :, :]
    return tl.sum(products, 2)


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
    # m⁻¹ = 2I − m up to κ eps², so that nothing but rounding stays of what is tangential.
    inverse = tl.where(i == tl.arange(0, P)[None, :], 2.0, 0.0)
    inverse -= _metric_of(at, plane, basis, N, D, P, BLOCK)
    dual = _contracted(inverse, tl.trans(basis))  # m^{ca} E^i_a, [c, i]
    christoffel = tl.zeros((P, P, P), tl.float32)
    for j in range(D):
        products = tl.zeros((P, P, BLOCK), tl.float32)
        for k in range(0, N, BLOCK):
            n = columns + k
            x = _derivative(at + n, _pair(i, j, D), plane, (i < D) & (n < N))
            e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
            products += x[:, None, :] * e[None, :, :]
        of_row = tl.trans(_contracted(basis, tl.sum(products, 2)))  # ⟨e_c, E^i_a Ψ_ij⟩, [c, a]
        raised = _contracted(dual, of_row)
        christoffel += raised[:, None, :] * _row(frame, j, D, P)[None, :, None]
    return christoffel


@triton.jit
def _row(matrix, i, D: tl.constexpr, P: tl.constexpr):
    """Row i of a matrix (D, D) in memory."""
    j = tl.arange(0, P)
    return tl.load(matrix + i * D + j, mask=j < D, other=0.0)


@triton.jit
def _of_index(christoffel, i, D: tl.constexpr, P: tl.constexpr):
    """Γ^i_ab from memory, (P, P, 1)."""
    b, a = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    return tl.load(christoffel + (i * D + b) * D + a, mask=(a < D) & (b < D), other=0.0)


@triton.jit
def _form(
    at, plane, frame, christoffel, basis, k,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """II_ab of a tile, index order [b, a, n]."""
    i, n = tl.arange(0, P)[:, None], tl.arange(0, BLOCK)[None, :] + k
    form = tl.zeros((P, P, BLOCK), tl.float32)
    for j in range(D):
        x = _derivative(at + n, _pair(i, j, D), plane, (i < D) & (n < N))
        form += _row(frame, j, D, P)[:, None, None] * _contracted(basis, x)[None, :, :]
    n = tl.arange(0, BLOCK)[None, None, :] + k
    for j in range(D):
        form -= _of_index(christoffel, j, D, P) * _derivative(at + n, j, plane, n < N)
    return form


@triton.jit
def _forward(
    vectors, scalar, condition, frame, christoffel, points,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0).to(tl.int64)
    plane = tl.cast(points, tl.int64) * N
    at = vectors + point * N
    frame += point * D * D
    christoffel += point * D * D * D
    basis, kappa = _frame(at, plane, N, D, P, BLOCK)
    tl.store(condition + point, kappa)
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    tl.store(frame + i * D + j, basis, mask=(i < D) & (j < D))
    tl.debug_barrier()  # what one thread has stored, others load
    c, b = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    a = tl.arange(0, P)[None, None, :]
    tl.store(
        christoffel + (c * D + b) * D + a,
        _christoffel(at, plane, frame, basis, N, D, P, BLOCK),
        mask=(a < D) & (b < D) & (c < D),
    )
    tl.debug_barrier()
    sums = tl.zeros((P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, christoffel, basis, k, N, D, P, BLOCK)
        diagonal = tl.sum(tl.where(c == b, form, 0.0), 0)
        sums -= tl.sum(tl.where(c < b, form * form, 0.0), 0)
        # Of a < b only: |II_aa|² must not come in and cancel.
        sums += diagonal * tl.sum(tl.where(c < b, diagonal[:, None, :], 0.0), 0)
    tl.store(scalar + point, 2 * tl.sum(sums))


@triton.jit
def _adjoint(
    vectors, frame, christoffel, weights, out, points,
    N: tl.constexpr, D: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0).to(tl.int64)
    plane = tl.cast(points, tl.int64) * N
    at = vectors + point * N
    frame += point * D * D
    christoffel += point * D * D * D
    i, j = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    basis = tl.load(frame + i * D + j, mask=(i < D) & (j < D), other=0.0)
    b, a = tl.arange(0, P)[:, None, None], tl.arange(0, P)[None, :, None]
    products = tl.zeros((P, P, BLOCK), tl.float32)
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, christoffel, basis, k, N, D, P, BLOCK)
        mean = tl.sum(tl.sum(tl.where(a == b, form, 0.0), 0), 0)
        products += form * mean[None, None, :]
        for c in range(D):
            row = tl.sum(tl.where(b == c, form, 0.0), 0)
            products -= row[:, None, :] * row[None, :, :]
    ricci = tl.sum(products, 2)
    transposed = tl.trans(basis)
    of_first = tl.trans(_contracted(transposed, ricci))  # E^i_a Ric_ab, [b, i]
    weight = tl.load(weights + point)
    columns = tl.arange(0, BLOCK)[None, :]
    for k in range(0, N, BLOCK):
        form = _form(at, plane, frame, christoffel, basis, k, N, D, P, BLOCK)
        mean = tl.sum(tl.sum(tl.where(a == b, form, 0.0), 0), 0)
        sensitivity = 2 * weight * (tl.where(a == b, mean[None, None, :], 0.0) - form)
        n = columns + k
        e = _frame_vectors(at, plane, basis, k, N, D, P, BLOCK)
        gradient = -4 * weight * _contracted(of_first, e)
        for c in range(D):
            along = tl.sum(tl.sum(_of_index(christoffel, c, D, P) * sensitivity, 0), 0)
            gradient -= tl.where(i == c, along[None, :], 0.0)
        _store(out + point * N + n + i * plane, gradient, weight, (i < D) & (n < N))
        for c in range(D):
            of_row = tl.sum(_row(frame, c, D, P)[:, None, None] * sensitivity, 0)
            gradient = _contracted(transposed, of_row)
            gradient = tl.where(i < c, 2 * gradient, gradient)  # the entry is Ψ_ij and Ψ_ji
            target = out + point * N + n + _pair(i, c, D) * plane
            _store(target, gradient, weight, (i <= c) & (n < N))


@triton.jit
def _store(at, gradient, weight, inside):
    """Nothing comes from a point that was masked, not even NaN."""
    tl.store(at, tl.where(weight == 0, 0.0, gradient), mask=inside)


def forward(vectors):
    """R (B,), the condition number of g (B,), E^i_a (B, d, d), Γ^i_ab (B, d, d, d)."""
    count, points, _ = vectors.shape
    d = _DIMENSION_OF[count]
    scalar, condition = (vectors.new_empty(points) for _ in range(2))
    frame, christoffel = vectors.new_empty(points, d, d), vectors.new_empty(points, d, d, d)
    _launch(_forward, d, vectors, scalar, condition, frame, christoffel)
    return scalar, condition, frame, christoffel


def adjoint(vectors, frame, christoffel, weights):
    """The gradient (K, B, N) from that of R (B,), and what :func:`forward` left."""
    gradient = torch.empty_like(vectors)
    _launch(_adjoint, frame.shape[-1], vectors, frame, christoffel, weights, gradient)
    return gradient


def _launch(kernel, d, vectors, *tensors):
    _, points, size = vectors.shape
    with torch.cuda.device_of(vectors):  # Triton launches on the current one
        kernel[(points,)](vectors, *tensors, points, N=size, D=d, **_shape(d, size))


def _shape(d, size):
    """Tiles (P, BLOCK) of two entries a thread; axes before them lie in registers."""
    padded = triton.next_power_of_2(d)
    block = min(max(triton.next_power_of_2(size), 64 // padded), 256 // padded)
    return {"P": padded, "BLOCK": block, "num_warps": padded * block // 64}
