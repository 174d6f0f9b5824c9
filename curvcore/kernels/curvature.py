"""R of a surface from its packed derivatives, in one kernel, and its gradient in another.

For d = 2, vectors Ψ_1, Ψ_2, Ψ_11, Ψ_12, Ψ_22 in R^N at every point. The formulas are those of
:mod:`curvcore.geometry`: in the frame e_a = E^i_a Ψ_i that makes g nearly the identity
(:func:`curvcore.arithmetic.almost_orthonormal`), with g̃ what g is there,

    h_ab = E^i_a E^j_b Ψ_ij,  Γ^c_ab = g̃^{cd}⟨e_d, h_ab⟩,  II_ab = h_ab − Γ^c_ab e_c,
    R = 2 (⟨II_11, II_22⟩ − ⟨II_12, II_12⟩) / det g̃,

from the vectors II, and not from differences of inner products. The gradient is the first variation

    δR = 2⟨T^ab, δh_ab⟩ − 2⟨T^ab Γ^c_ab, δe_c⟩ − 4 Ric^ab⟨e_a, δe_b⟩,  T^ab = H g̃^ab − II^ab,

of :mod:`curvcore.rounding`, with Ric = R g̃/2 for a surface.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def _vectors(at, inside, plane, a, b, q):
    """e_1, e_2, h_11, h_12, h_22 of a tile."""
    u1 = tl.load(at, mask=inside, other=0.0)
    u2 = tl.load(at + plane, mask=inside, other=0.0)
    w11 = tl.load(at + 2 * plane, mask=inside, other=0.0)
    w12 = tl.load(at + 3 * plane, mask=inside, other=0.0)
    w22 = tl.load(at + 4 * plane, mask=inside, other=0.0)
    e1 = a * u1
    e2 = b * u1 + q * u2
    h11 = a * a * w11
    h12 = a * (b * w11 + q * w12)
    h22 = b * (b * w11 + 2 * q * w12) + q * q * w22
    return e1, e2, h11, h12, h22


@triton.jit
def _geometry(start, vectors, points, N: tl.constexpr, plane, P: tl.constexpr, BLOCK: tl.constexpr):
    """Frame, inverse metric and Christoffel symbols in it, and what R is made of, at P points."""
    rows = start + tl.arange(0, P).to(tl.int64)[:, None]
    columns = tl.arange(0, BLOCK)[None, :]
    g11 = tl.zeros((P, 1), tl.float32)
    g12 = tl.zeros((P, 1), tl.float32)
    g22 = tl.zeros((P, 1), tl.float32)
    for k in range(0, N, BLOCK):
        inside = (rows < points) & (columns + k < N)
        at = vectors + rows * N + columns + k
        u1 = tl.load(at, mask=inside, other=0.0)
        u2 = tl.load(at + plane, mask=inside, other=0.0)
        g11 += tl.sum(u1 * u1, 1, keep_dims=True)
        g12 += tl.sum(u1 * u2, 1, keep_dims=True)
        g22 += tl.sum(u2 * u2, 1, keep_dims=True)
    length1, length2 = tl.sqrt(g11), tl.sqrt(g22)
    cosine = g12 / (length1 * length2)
    sine = tl.sqrt((1 - cosine) * (1 + cosine))
    a = 1 / length1
    b = -cosine / (sine * length1)
    q = 1 / (sine * length2)
    m11, m12, m22 = g11 * 0, g11 * 0, g11 * 0
    b111, b112, b122, b211, b212, b222 = m11, m11, m11, m11, m11, m11
    for k in range(0, N, BLOCK):
        inside = (rows < points) & (columns + k < N)
        e1, e2, h11, h12, h22 = _vectors(vectors + rows * N + columns + k, inside, plane, a, b, q)
        m11 += tl.sum(e1 * e1, 1, keep_dims=True)
        m12 += tl.sum(e1 * e2, 1, keep_dims=True)
        m22 += tl.sum(e2 * e2, 1, keep_dims=True)
        b111 += tl.sum(e1 * h11, 1, keep_dims=True)
        b112 += tl.sum(e1 * h12, 1, keep_dims=True)
        b122 += tl.sum(e1 * h22, 1, keep_dims=True)
        b211 += tl.sum(e2 * h11, 1, keep_dims=True)
        b212 += tl.sum(e2 * h12, 1, keep_dims=True)
        b222 += tl.sum(e2 * h22, 1, keep_dims=True)
    determinant = m11 * m22 - m12 * m12
    i11, i12, i22 = m22 / determinant, -m12 / determinant, m11 / determinant
    c111, c112, c122 = i11 * b111 + i12 * b211, i11 * b112 + i12 * b212, i11 * b122 + i12 * b222
    c211, c212, c222 = i12 * b111 + i22 * b211, i12 * b112 + i22 * b212, i12 * b122 + i22 * b222
    product = m11 * 0  # ⟨II_11, II_22⟩ − |II_12|²
    for k in range(0, N, BLOCK):
        inside = (rows < points) & (columns + k < N)
        e1, e2, h11, h12, h22 = _vectors(vectors + rows * N + columns + k, inside, plane, a, b, q)
        n11 = h11 - c111 * e1 - c211 * e2
        n12 = h12 - c112 * e1 - c212 * e2
        n22 = h22 - c122 * e1 - c222 * e2
        product += tl.sum(n11 * n22 - n12 * n12, 1, keep_dims=True)
    scalar = 2 * product / determinant
    return a, b, q, i11, i12, i22, c111, c112, c122, c211, c212, c222, scalar, cosine, g11, g22


@triton.jit
def _forward(
    vectors, scalar, condition, points, N: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr
):
    start = tl.program_id(0).to(tl.int64) * P
    plane = tl.cast(points, tl.int64) * N
    _, _, _, _, _, _, _, _, _, _, _, _, R, cosine, g11, g22 = _geometry(
        start, vectors, points, N, plane, P, BLOCK
    )
    rows = start + tl.arange(0, P)[:, None]
    tl.store(scalar + rows, R, mask=rows < points)
    c = tl.abs(cosine)
    kappa = (1 + c) / (1 - c)
    # As arithmetic.condition_number: lengths that lost digits, or whose inverse leaves the range.
    regular = tl.minimum(g11, g22) > 4 * 1.1754943508222875e-38 * kappa
    tl.store(condition + rows, tl.where(regular, kappa, float("inf")), mask=rows < points)


@triton.jit
def _adjoint(vectors, weights, out, points, N: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr):
    start = tl.program_id(0).to(tl.int64) * P
    plane = tl.cast(points, tl.int64) * N
    a, b, q, i11, i12, i22, c111, c112, c122, c211, c212, c222, R, _, _, _ = _geometry(
        start, vectors, points, N, plane, P, BLOCK
    )
    rows = start + tl.arange(0, P).to(tl.int64)[:, None]
    columns = tl.arange(0, BLOCK)[None, :]
    weight = tl.load(weights + rows, mask=rows < points, other=0.0)
    for k in range(0, N, BLOCK):
        inside = (rows < points) & (columns + k < N)
        at = rows * N + columns + k
        e1, e2, h11, h12, h22 = _vectors(vectors + at, inside, plane, a, b, q)
        n11 = h11 - c111 * e1 - c211 * e2
        n12 = h12 - c112 * e1 - c212 * e2
        n22 = h22 - c122 * e1 - c222 * e2
        mean = i11 * n11 + 2 * i12 * n12 + i22 * n22
        # II with one index raised, II^a_b, then both.
        r11, r12 = i11 * n11 + i12 * n12, i11 * n12 + i12 * n22
        r21, r22 = i12 * n11 + i22 * n12, i12 * n12 + i22 * n22
        t11 = 2 * weight * (mean * i11 - (r11 * i11 + r12 * i12))
        t12 = 2 * weight * (mean * i12 - (r11 * i12 + r12 * i22))
        t22 = 2 * weight * (mean * i22 - (r21 * i12 + r22 * i22))
        ricci = 2 * weight * R
        f1 = -(c111 * t11 + 2 * c112 * t12 + c122 * t22) - ricci * (i11 * e1 + i12 * e2)
        f2 = -(c211 * t11 + 2 * c212 * t12 + c222 * t22) - ricci * (i12 * e1 + i22 * e2)
        t12 = 2 * t12  # the packed entry stands for Ψ_12 and Ψ_21
        at += out
        _store(at, a * f1 + b * f2, weight, inside)
        _store(at + plane, q * f2, weight, inside)
        _store(at + 2 * plane, a * a * t11 + a * b * t12 + b * b * t22, weight, inside)
        _store(at + 3 * plane, a * q * t12 + 2 * b * q * t22, weight, inside)
        _store(at + 4 * plane, q * q * t22, weight, inside)


@triton.jit
def _store(at, gradient, weight, inside):
    """Nothing comes from a point that was masked, not even NaN."""
    tl.store(at, tl.where(weight == 0, 0.0, gradient), mask=inside)


def forward(vectors):
    """R (B,) and the condition number of g (B,), from vectors (5, B, N)."""
    scalar, condition = (vectors.new_empty(vectors.shape[1]) for _ in range(2))
    _launch(_forward, vectors, scalar, condition)
    return scalar, condition


def adjoint(vectors, weights):
    """The gradient (5, B, N) from that of R (B,)."""
    gradient = torch.empty_like(vectors)
    _launch(_adjoint, vectors, weights, gradient)
    return gradient


def _launch(kernel, vectors, *tensors):
    _, points, size = vectors.shape
    block = min(triton.next_power_of_2(size), 1024)
    tile = max(1, 1024 // block)
    with torch.cuda.device_of(vectors):  # Triton launches on the current one
        kernel[(triton.cdiv(points, tile),)](vectors, *tensors, points, N=size, P=tile, BLOCK=block)
