"""Kernels for y = f(x + b) entry by entry on 2-jets, all channels in one pass over memory.

Channels stand first, (1 + d + d(d+1)/2, B, h): the value, then x_i, then x_ij with i ≤ j in the
order of :mod:`curvcore.packing`; b (h,) belongs to the value alone.

=============  =======================================================================
kernel         formula
=============  =======================================================================
``forward``    y = f;  y_i = f' x_i;  y_ij = f' x_ij + f'' x_i x_j
``adjoint``    x̄_ij = f' ȳ_ij;  x̄_i = f' ȳ_i + f'' s_i,  s_i = Σ_j (1 + δ_ij) ȳ_ij x_j;
               x̄ = f' ȳ + f'' (Σ_i ȳ_i x_i + Σ_{i≤j} ȳ_ij x_ij) + ½ f''' Σ_i s_i x_i
=============  =======================================================================

Of the first layer, x_i are the rows of a matrix (d, h), the same at every point, and x_ij = 0
(``IS_FIRST``). Referee: :mod:`curvcore.providers.fused.chain_rule`.
"""

import torch
import triton
import triton.language as tl

from curvcore.kernels.activations import activation

_BLOCK = 512


@triton.jit
def _pair(i: tl.constexpr, j: tl.constexpr, D: tl.constexpr):
    """Where x_ij, i ≤ j, stands among the derivatives."""
    return D + i * D - i * (i - 1) // 2 + j - i


@triton.jit
def _forward(
    value, derivatives, bias, out, size, width,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    column = n % width
    x = tl.load(value + n, mask=inside)
    if HAS_BIAS:
        x += tl.load(bias + column, mask=inside)
    y, f1, f2, _ = activation(x, KIND)
    tl.store(out + n, y, mask=inside)
    at = column if IS_FIRST else n
    step = width if IS_FIRST else size
    for i in tl.static_range(D):
        xi = tl.load(derivatives + i * step + at, mask=inside)
        tl.store(out + (1 + i) * size + n, f1 * xi, mask=inside)
        for j in tl.static_range(i, D):
            xj = tl.load(derivatives + j * step + at, mask=inside)
            yij = f2 * xi * xj
            if not IS_FIRST:
                yij += f1 * tl.load(derivatives + _pair(i, j, D) * size + n, mask=inside)
            tl.store(out + (1 + _pair(i, j, D)) * size + n, yij, mask=inside)


@triton.jit
def _adjoint(
    value, derivatives, bias, gradient, out, size, width,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    column = n % width
    x = tl.load(value + n, mask=inside)
    if HAS_BIAS:
        x += tl.load(bias + column, mask=inside)
    _, f1, f2, f3 = activation(x, KIND)
    at = column if IS_FIRST else n
    step = width if IS_FIRST else size
    linear = tl.zeros_like(x)  # Σ ȳ_i x_i + Σ ȳ_ij x_ij
    square = tl.zeros_like(x)  # Σ s_i x_i
    for i in tl.static_range(D):
        xi = tl.load(derivatives + i * step + at, mask=inside)
        gi = tl.load(gradient + (1 + i) * size + n, mask=inside)
        linear += gi * xi
        s = tl.zeros_like(x)
        for j in tl.static_range(i):
            gij = tl.load(gradient + (1 + _pair(j, i, D)) * size + n, mask=inside)
            s += gij * tl.load(derivatives + j * step + at, mask=inside)
        for j in tl.static_range(i, D):
            gij = tl.load(gradient + (1 + _pair(i, j, D)) * size + n, mask=inside)
            s += gij * tl.load(derivatives + j * step + at, mask=inside)
            if i == j:
                s += gij * xi
            if not IS_FIRST:
                xij = tl.load(derivatives + _pair(i, j, D) * size + n, mask=inside)
                linear += gij * xij
                tl.store(out + (1 + _pair(i, j, D)) * size + n, f1 * gij, mask=inside)
        square += s * xi
        tl.store(out + (1 + i) * size + n, f1 * gi + f2 * s, mask=inside)
    g = tl.load(gradient + n, mask=inside)
    tl.store(out + n, f1 * g + f2 * linear + 0.5 * f3 * square, mask=inside)


def forward(x, rows, bias, d, kind):
    """y (C, B, h) from x (C, B, h) before b is added, or from its value (1, B, h), rows (d, h)."""
    out = x.new_empty((1 + d + d * (d + 1) // 2, *x.shape[1:]))
    _launch(_forward, x, rows, bias, out, D=d, KIND=kind)
    return out


def adjoint(x, rows, bias, gradient, d, kind):
    """x̄ (C, B, h) from ȳ (C, B, h); with rows without x̄_ij: (1 + d, B, h)."""
    out = torch.empty_like(gradient if rows is None else gradient[: 1 + d])
    _launch(_adjoint, x, rows, bias, gradient, out, D=d, KIND=kind)
    return out


def _launch(kernel, x, rows, bias, *tensors, **constants):
    size, width = x[0].numel(), x.shape[-1]
    derivatives = x[1:] if rows is None else rows.contiguous()
    kernel[(triton.cdiv(size, _BLOCK),)](
        x, derivatives, bias, *tensors, size, width,
        **constants, IS_FIRST=rows is not None, HAS_BIAS=bias is not None, BLOCK=_BLOCK,
    )  # fmt: skip
