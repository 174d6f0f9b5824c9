"""Kernels for the hidden layers of an MLP on 2-jets: y = f(W_L … f(W_2 f(x + b_1) + b_2) … + b_L).

x, the image of the first matrix, and y are stacks of channels (C, B, h), C = 1 + d + d(d+1)/2, as
in :mod:`curvcore.kernels.chain_rule`, whose formulas stand between the products. A program takes P
points at a time through all layers: rows (c, p) times Wᵀ, then the chain rule, and so on. Between
the layers these C P rows stand in a buffer of the program's own, which is written again for every
tile: all buffers together fit into the cache of second level, and what passes through memory is x
and y alone. (Triton takes no part of what is in registers for the operand of a product, and a tile
in full is too large for them.)

Backward computes u and x, what goes into and comes out of every product, anew for a tile, and
leaves u and x̄ of all layers for the weights' gradients W̄ = Σ x̄ uᵀ, a large product each, which are
torch's; so many points go at a time that these are no more than ``_PART`` numbers.

Matrices are padded with zeros to one width H, a power of two; what stands in the padding of a stack
is finite and meets zeros only.
"""

from functools import cache

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from curvcore.kernels.chain_rule import compose, pull_back

WIDTH = 256  # of a layer, at most

_ROWS, _COLUMNS, _INNER = 64, 64, 32  # of a block of a product
_BLOCK = 1024  # entries of a block of the chain rule
_TILE = 2**13  # entries of the stack of P points, about: two for each program are 26 MB on an H100
_PROGRAMS, _REGISTERS = 3, 168  # of a multiprocessor, which has 2¹⁶; and of a thread
_PART = 2**26


@triton.jit
def _multiply(
    stack, matrix, out, TRANSPOSED: tl.constexpr, ROWS: tl.constexpr, H: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """ROWS rows of H entries times the matrix (H, H), or its transpose."""
    for m in range(0, ROWS, BM):
        rows = m + tl.arange(0, BM)[:, None]
        inside = rows < ROWS
        for n in range(0, H, BN):
            columns = n + tl.arange(0, BN)[None, :]
            total = tl.zeros((BM, BN), tl.float32)
            for k in range(0, H, BK):
                inner = k + tl.arange(0, BK)
                left = tl.load(stack + rows * H + inner[None, :], mask=inside, other=0.0)
                if TRANSPOSED:
                    right = tl.load(matrix + columns * H + inner[:, None])
                else:
                    right = tl.load(matrix + inner[:, None] * H + columns)
                total = tl.dot(left, right, total, input_precision=PRECISION)
            tl.store(out + rows * H + columns, total, mask=inside)


@triton.jit
def _activate(
    x, derivatives, row, step, points, width, bias, out, out_row, out_step, out_points, out_width,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    P: tl.constexpr, H: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The chain rule at P points; x is zero beyond ``points`` and ``width``, y is not stored."""
    p = tl.arange(0, P)[:, None]
    for n in range(0, H, BE):
        column = n + tl.arange(0, BE)[None, :]
        inside = (p < points) & (column < width)
        wanted = (p < out_points) & (column < out_width)
        value = tl.load(x + p * row + column, mask=inside, other=0.0) + tl.load(bias + column)
        first = derivatives + (p * (0 if IS_FIRST else row) + column)
        to = out + p * out_row + column
        compose(value, first, step, inside, to, out_step, wanted, D, KIND, IS_FIRST)


@triton.jit
def _pull_back(
    x, derivatives, row, step, out_step, points, width, bias, gradient, out,
    D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    P: tl.constexpr, H: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The adjoint of the chain rule at P points, ȳ in a buffer, x̄ in rows like those of x."""
    p = tl.arange(0, P)[:, None]
    for n in range(0, H, BE):
        column = n + tl.arange(0, BE)[None, :]
        inside = (p < points) & (column < width)
        at = p * row + column
        value = tl.load(x + at, mask=inside, other=0.0) + tl.load(bias + column)
        first = derivatives + (p * (0 if IS_FIRST else row) + column)
        of_y = gradient + p * H + column
        pull_back(
            value, first, step, of_y, P * H, out + at, out_step, inside, D, KIND, IS_FIRST
        )  # fmt: skip


@triton.jit
def _load(
    gradient, row, step, points, width, out,
    C: tl.constexpr, P: tl.constexpr, H: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The gradient at P points into a buffer, with zeros beyond ``points`` and ``width``."""
    p = tl.arange(0, P)[:, None]
    for n in range(0, H, BE):
        column = n + tl.arange(0, BE)[None, :]
        inside = (p < points) & (column < width)
        for c in range(C):
            found = tl.load(gradient + c * step + p * row + column, mask=inside, other=0.0)
            tl.store(out + c * P * H + p * H + column, found)


@triton.jit
def _forward(
    x, derivatives, biases, matrices, buffers, out, points, width, out_width, products,
    C: tl.constexpr, D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    P: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
    BE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    size: tl.constexpr = C * P * H
    u = buffers + tl.program_id(0).to(tl.int64) * (2 * size)
    x_l = u + size
    plane = tl.cast(points, tl.int64) * width
    step = width if IS_FIRST else plane
    out_plane = tl.cast(points, tl.int64) * out_width
    for tile in range(tl.program_id(0), tl.cdiv(points, P), tl.num_programs(0)):
        start = tl.cast(tile, tl.int64) * P
        at = start * width
        live = points - tile * P
        _activate(
            x + at, derivatives + (0 if IS_FIRST else at), width, step, live, width, biases,
            u, H, P * H, P, H, D, KIND, IS_FIRST, P, H, BE,
        )  # fmt: skip
        for n in range(products):
            tl.debug_barrier()
            _multiply(u, matrices + n * H * H, x_l, True, C * P, H, BM, BN, BK, PRECISION)
            tl.debug_barrier()
            bias = biases + (n + 1) * H
            if n + 1 < products:
                _activate(
                    x_l, x_l + P * H, H, P * H, P, H, bias,
                    u, H, P * H, P, H, D, KIND, False, P, H, BE,
                )  # fmt: skip
            else:
                _activate(
                    x_l, x_l + P * H, H, P * H, P, H, bias,
                    out + start * out_width, out_width, out_plane, live, out_width,
                    D, KIND, False, P, H, BE,
                )  # fmt: skip
        tl.debug_barrier()


@triton.jit
def _adjoint(
    x, derivatives, biases, matrices, gradient, buffers, inputs, gradients, out,
    begin, end, points, width, out_width, products,
    C: tl.constexpr, D: tl.constexpr, KIND: tl.constexpr, IS_FIRST: tl.constexpr,
    P: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
    BE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """x̄ of points from ``begin`` to ``end``; u and x̄ of the layers behind, tile by tile."""
    size: tl.constexpr = C * P * H
    of_y = buffers + tl.program_id(0).to(tl.int64) * ((products + 1) * size)
    x_l = of_y + size
    plane = tl.cast(points, tl.int64) * width
    step = width if IS_FIRST else plane
    tiles = tl.cdiv(end - begin, P)
    layer = tl.cast(tiles, tl.int64) * size
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        start = begin + tl.cast(tile, tl.int64) * P
        at = start * width
        live = end - begin - tile * P
        u = inputs + tl.cast(tile, tl.int64) * size
        of_x = gradients + tl.cast(tile, tl.int64) * size
        _activate(
            x + at, derivatives + (0 if IS_FIRST else at), width, step, live, width, biases,
            u, H, P * H, P, H, D, KIND, IS_FIRST, P, H, BE,
        )  # fmt: skip
        for n in range(products):
            tl.debug_barrier()
            x_n = x_l + n * size
            _multiply(
                u + n * layer, matrices + n * H * H, x_n, True, C * P, H, BM, BN, BK, PRECISION
            )  # fmt: skip
            tl.debug_barrier()
            if n + 1 < products:
                _activate(
                    x_n, x_n + P * H, H, P * H, P, H, biases + (n + 1) * H,
                    u + (n + 1) * layer, H, P * H, P, H, D, KIND, False, P, H, BE,
                )  # fmt: skip
        _load(
            gradient + start * out_width, out_width, tl.cast(points, tl.int64) * out_width,
            live, out_width, of_y, C, P, H, BE,
        )  # fmt: skip
        for k in range(products):
            n = products - 1 - k
            x_n = x_l + n * size
            tl.debug_barrier()
            _pull_back(
                x_n, x_n + P * H, H, P * H, P * H, P, H, biases + (n + 1) * H,
                of_y, of_x + n * layer, D, KIND, False, P, H, BE,
            )  # fmt: skip
            tl.debug_barrier()
            _multiply(
                of_x + n * layer, matrices + n * H * H, of_y, False, C * P, H, BM, BN, BK, PRECISION
            )  # fmt: skip
        tl.debug_barrier()
        _pull_back(
            x + at, derivatives + (0 if IS_FIRST else at), width, step, plane, live, width,
            biases, of_y, out + at, D, KIND, IS_FIRST, P, H, BE,
        )  # fmt: skip
        tl.debug_barrier()


def forward(x, rows, weights, biases, d, kind, precision):
    """y (C, B, h_L) from x (C, B, h_1), or from its value (1, B, h_1) and rows (d, h_1).

    Args:
        weights: W_2, …, W_L, each (h_l, h_{l−1}); at least one.
        biases: b_1, …, b_L, each (h_l,) or None.
        precision: of the products, "ieee" or "tf32x3".
    """
    points, out_width = x.shape[1], weights[-1].shape[0]
    out = x.new_empty((_channels(d), points, out_width))
    tile = _tile(d, weights, x.shape[-1])
    programs = _programs(points, tile, x.device)
    buffers = x.new_empty((programs, 2, tile["C"] * tile["P"] * tile["H"]))
    operands = _operands(x, rows, weights, biases, tile["H"])
    with torch.cuda.device_of(x):  # Triton launches on the current one
        _forward[(programs,)](
            *operands, buffers, out, points, x.shape[-1], out_width, len(weights),
            **tile, D=d, KIND=kind, IS_FIRST=rows is not None, PRECISION=precision,
        )  # fmt: skip
    return out


def adjoint(x, rows, weights, biases, gradient, of_parameters, d, kind, precision):
    """x̄ (C, B, h_1), with rows (1 + d, B, h_1); (W̄_2, …); (b̄_2, …), or None for each; from ȳ."""
    points, width = x.shape[1:]
    out = x.new_empty((_channels(d) if rows is None else 1 + d, points, width))
    tile = _tile(d, weights, width)
    operands = *_operands(x, rows, weights, biases, tile["H"]), gradient.contiguous()
    to_weights, to_biases = 0, 0
    for begin, end in _parts(points, tile, len(weights)):
        programs = _programs(end - begin, tile, x.device)
        size = tile["C"] * tile["P"] * tile["H"]
        buffers = x.new_empty((programs, len(weights) + 1, size))
        u, of_x = x.new_empty((2, len(weights), triton.cdiv(end - begin, tile["P"]), size))
        with torch.cuda.device_of(x):
            _adjoint[(programs,)](
                *operands, buffers, u, of_x, out, begin, end, points, width, gradient.shape[-1],
                len(weights), **tile, D=d, KIND=kind, IS_FIRST=rows is not None,
                PRECISION=precision,
            )  # fmt: skip
        if of_parameters:
            to_weight, to_bias = _of_parameters(u, of_x, tile)
            to_weights, to_biases = to_weights + to_weight, to_biases + to_bias
    if not of_parameters:
        return out, [None] * len(weights), [None] * len(weights)
    shapes = [weight.shape for weight in weights]
    return (
        out,
        [w[:rows, :columns] for w, (rows, columns) in zip(to_weights, shapes, strict=True)],
        [b[:rows] for b, (rows, _) in zip(to_biases, shapes, strict=True)],
    )


def _of_parameters(u, of_x, tile):
    """Σ x̄ uᵀ (L − 1, H, H) and Σ x̄ of the values (L − 1, H)."""
    values = of_x.unflatten(2, (tile["C"], tile["P"], tile["H"]))[:, :, 0]
    u, of_x = (t.reshape(len(t), -1, tile["H"]) for t in (u, of_x))
    return of_x.mT @ u, values.sum((1, 2))


def _parts(points, tile, layers):
    """From where to where points go backward at a time."""
    of_tile = 2 * layers * tile["C"] * tile["P"] * tile["H"]
    at_once = tile["P"] * max(1, _PART // of_tile)
    return [(n, min(n + at_once, points)) for n in range(0, points, at_once)]


def _channels(d):
    return 1 + d + d * (d + 1) // 2


def _tile(d, weights, width):
    """The sizes that kernels are compiled for."""
    H = max(16, triton.next_power_of_2(max(width, *(max(w.shape) for w in weights))))
    C = _channels(d)
    P = min(64, max(16, 2 ** ((_TILE // (C * H)).bit_length() - 1)))
    return {
        "C": C, "P": P, "H": H, "BM": _ROWS, "BN": min(_COLUMNS, H), "BK": min(_INNER, H),
        "BE": min(_BLOCK // P, H), **({} if torch.version.hip else {"maxnreg": _REGISTERS}),
    }  # fmt: skip


def _operands(x, rows, weights, biases, H):
    """x, its derivatives, the biases (L, H) and the matrices (L − 1, H, H)."""
    derivatives = x[1:] if rows is None else rows
    biases = [x.new_zeros(H) if bias is None else _padded(bias, H) for bias in biases]
    return (
        x.contiguous(),
        derivatives.contiguous(),
        torch.stack(biases),
        torch.stack([_padded(weight, H) for weight in weights]),
    )


def _padded(tensor, H):
    """The tensor with zeros behind, up to H on every axis."""
    if all(size == H for size in tensor.shape):
        return tensor
    return F.pad(tensor, [n for size in reversed(tensor.shape) for n in (0, H - size)])


def _programs(points, tile, device):
    """How many programs share the tiles: no more than are there at a time."""
    return min(triton.cdiv(points, tile["P"]), _PROGRAMS * _multiprocessors(device))


@cache
def _multiprocessors(device):
    if device.type == "cpu":  # interpreted
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
