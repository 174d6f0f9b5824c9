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
def compose(
    x, derivatives, step, inside, out, out_step, wanted,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
):  # fmt: skip
    """Store y, y_i, y_ij of a tile, where ``wanted``, from the values x and pointers to x_1 and y.

    Channels are ``step`` and ``out_step`` entries apart; x_i and x_ij are zero but ``inside``.
    """
    y, f1, f2, _ = activation(x, KIND)
    tl.store(out, y, mask=wanted)
    for i in tl.static_range(D):
        xi = tl.load(derivatives + i * step, mask=inside, other=0.0)
        tl.store(out + (1 + i) * out_step, f1 * xi, mask=wanted)
        for j in tl.static_range(i, D):
            xj = tl.load(derivatives + j * step, mask=inside, other=0.0)
            yij = f2 * xi * xj
            if not IS_FIRST:
                at = derivatives + _pair(i, j, D) * step
                yij += f1 * tl.load(at, mask=inside, other=0.0)
            tl.store(out + (1 + _pair(i, j, D)) * out_step, yij, mask=wanted)


@triton.jit
def pull_back(
    x, derivatives, step, gradient, gradient_step, out, out_step, inside,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
):  # fmt: skip
    """Store x̄, x̄_i and, unless ``IS_FIRST``, x̄_ij, from x, pointers to x_1 and to ȳ."""
    _, f1, f2, f3 = activation(x, KIND)
    linear = tl.zeros_like(x)  # Σ ȳ_i x_i + Σ ȳ_ij x_ij
    square = tl.zeros_like(x)  # Σ s_i x_i
    for i in tl.static_range(D):
        xi = tl.load(derivatives + i * step, mask=inside, other=0.0)
        gi = tl.load(gradient + (1 + i) * gradient_step, mask=inside, other=0.0)
        linear += gi * xi
        s = tl.zeros_like(x)
        for j in tl.static_range(i):
            at = gradient + (1 + _pair(j, i, D)) * gradient_step
            gij = tl.load(at, mask=inside, other=0.0)
            s += gij * tl.load(derivatives + j * step, mask=inside, other=0.0)
        for j in tl.static_range(i, D):
            at = gradient + (1 + _pair(i, j, D)) * gradient_step
            gij = tl.load(at, mask=inside, other=0.0)
            s += gij * tl.load(derivatives + j * step, mask=inside, other=0.0)
            if i == j:
                s += gij * xi
            if not IS_FIRST:
                at = derivatives + _pair(i, j, D) * step
                linear += gij * tl.load(at, mask=inside, other=0.0)
                tl.store(out + (1 + _pair(i, j, D)) * out_step, f1 * gij, mask=inside)
        square += s * xi
        tl.store(out + (1 + i) * out_step, f1 * gi + f2 * s, mask=inside)
    g = tl.load(gradient, mask=inside, other=0.0)
    tl.store(out, f1 * g + f2 * linear + 0.5 * f3 * square, mask=inside)


@triton.jit
def _forward(
    value, derivatives, bias, out, size, width,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    column = n % width
    x = tl.load(value + n, mask=inside, other=0.0)
    if HAS_BIAS:
        x += tl.load(bias + column, mask=inside, other=0.0)
    at = column if IS_FIRST else n
    plane = tl.cast(size, tl.int64)  # C of them may be more than 2³¹
    step = width if IS_FIRST else plane
    compose(x, derivatives + at, step, inside, out + n, plane, inside, D, KIND, IS_FIRST)


@triton.jit
def _adjoint(
    value, derivatives, bias, gradient, out, size, width,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    column = n % width
    x = tl.load(value + n, mask=inside, other=0.0)
    if HAS_BIAS:
        x += tl.load(bias + column, mask=inside, other=0.0)
    at = column if IS_FIRST else n
    plane = tl.cast(size, tl.int64)
    step = width if IS_FIRST else plane
    pull_back(
        x, derivatives + at, step, gradient + n, plane, out + n, plane, inside, D, KIND, IS_FIRST
    )


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
    with torch.cuda.device_of(x):  # Triton launches on the current one
        kernel[(triton.cdiv(size, _BLOCK),)](
            x, derivatives, bias, *tensors, size, width,
            **constants, IS_FIRST=rows is not None, HAS_BIAS=bias is not None, BLOCK=_BLOCK,
        )  # fmt: skip
