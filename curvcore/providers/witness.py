"""Is a jet right? Two checks that take other paths through torch than the jet did.

They cost a few evaluations, whatever D is, and catch what no table of faulty operations can list:
operations hidden in TorchScript or custom kernels, functions for which torch has no derivative and
silently takes zero, parts of a decoder that run without gradient, faults of ``vmap``.
"""

import torch
from torch.func import grad, jacfwd

from curvcore.errors import (
    DecoderError,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from curvcore.modes import one_thread_of_forward_mode
from curvcore.providers.primitives import PrimitiveOperations, call_plainly


def check_jet(decoder, point_map, z, jet):
    """Raise if ``jet`` cannot be that of ``decoder``, of which ``point_map`` is a single row.

    The values are compared with those of all rows together; the first derivative with finite
    differences in one direction, at every point; the highest with forward over reverse mode, for
    one combination ⟨w, Ψ⟩ of the outputs, at the first and the last point where the jet is finite.

    Raises:
        RowsNotIndependentError, DecoderError: about the values.
        UnsupportedOperationError: about the derivatives.
    """
    z = z.detach().contiguous()
    with torch.no_grad():
        check_rows_independent(decoder, z, jet.value)
        _compare_with_differences(decoder, z, jet)
        finite = [array.detach().flatten(1).isfinite().all(1) for array in jet.arrays()]
        regular = torch.stack(finite).all(0).nonzero()[:, 0].tolist()
        for point in sorted({regular[0], regular[-1]} if regular else ()):
            _compare_with_reverse_mode(point_map, z, jet, point)


def check_rows_independent(decoder, z, value):
    """Raise unless decoder(z), all rows together, is ``value``, computed one by one.

    Rows that are coupled but equal do not show it; so three others, near the first, are compared.
    """
    _compare_rows(call_plainly(decoder, z.clone()), value)
    spread = z[:1].abs().amax().clamp(min=1) / 8
    rows = z[:1] + spread * _random(3 * z.shape[1], z).reshape(3, -1)
    alone = torch.cat([call_plainly(decoder, row[None].clone()) for row in rows])
    _compare_rows(call_plainly(decoder, rows.clone()), alone)


def _compare_rows(together, alone):
    if len(together) != len(alone):
        raise DecoderError(
            f"decoder must map z (B, d) to (B, ...); B = {len(alone)} gave "
            f"{tuple(together.shape)}. Keep the batch axis first."
        )
    difference = (together.reshape(alone.shape) - alone).abs()
    tolerance = torch.finfo(alone.dtype).eps ** 0.5 * alone.abs().nan_to_num(0, 0, 0).amax()
    different = difference > tolerance
    different |= together.reshape(alone.shape).isfinite() != alone.isfinite()
    if different.any():
        raise RowsNotIndependentError(
            "The decoder's output at a point changes with the other points in the batch (or from "
            f"call to call), by {float(difference[different].max()):.1e}. Curvature needs a map of "
            "single points. Call decoder.eval() or remove what couples the rows."
        )


def _compare_with_differences(decoder, z, jet):
    """∂_uΨ against central differences, which say themselves how far they can be trusted.

    At three steps: the first suits a Ψ that varies over distances like 1 or |z|, the second one
    that varies faster, the third latent coordinates in a much larger unit, points within a step of
    zero. Only what is wrong at all is; where rounding leaves nothing of the third, it acquits if
    the first has not converged.
    """
    eps, size = torch.finfo(z.dtype).eps, z.abs().amax(1, keepdim=True)
    step = eps ** (1 / 3) * size.clamp(min=1)
    wrong, converged = _differs(decoder, z, jet, step)
    if wrong.any():
        wrong &= _differs(decoder, z, jet, step / 16)[0]
    other_unit = ((size > 0) & (size < step))[:, 0]
    if (wrong & other_unit).any():
        differs, tells = _differs(decoder, z, jet, eps ** (1 / 4) * size)
        wrong &= ~other_unit | differs | (converged & ~tells)
    if wrong.any():
        point = int(wrong.nonzero()[0, 0])
        raise UnsupportedOperationError(
            f"The decoder's first derivative disagrees with finite differences, at point {point} "
            "first. Part of it runs without gradient (torch.no_grad, inference_mode, detach), or "
            "torch has a wrong derivative formula for an operation in it, or takes it for constant "
            "(TorchScript, a custom kernel or autograd.Function). Write it from primitives. Tiny "
            "latent coordinates in float32 cannot be checked: rescale them, or use float64."
        )


def _differs(decoder, z, jet, step):
    """At which points (B,) ∂_uΨ is not what differences say, and where these have converged."""
    eps = torch.finfo(z.dtype).eps
    direction = _random(z.shape[1], z)
    coarse, fine = _quotients(decoder, z, jet, step)
    expected = jet.jacobian @ direction
    # Of the value, and of z + h u.
    moved = (jet.jacobian.abs() @ z.abs()[..., None]).amax(1)
    rounding = (8 * jet.value.abs().amax(1, keepdim=True) + moved) * eps / step
    doubt = 4 * (coarse - fine).abs().amax(1, keepdim=True) + rounding
    size = fine.abs().amax(1, keepdim=True)
    # False for NaN: not this check's affair.
    differs = ((expected - fine).abs() > doubt + size / 100).any(1)
    return differs, (doubt < size / 4)[:, 0]


def _quotients(decoder, z, jet, step):
    """Central difference quotients of Ψ at twice this step, and at it: (B, D) each."""
    direction = _random(z.shape[1], z)
    return [
        _difference(decoder, z, h * direction).reshape(jet.value.shape) / h
        for h in (2 * step, step)
    ]


def _difference(decoder, z, offset):
    ahead, behind = (call_plainly(decoder, z + sign * offset / 2).flatten(1) for sign in (1, -1))
    return ahead - behind


def _compare_with_reverse_mode(point_map, z, jet, point):
    weights = _random(jet.ambient_dimension, z)
    transform = grad(lambda z: point_map(z) @ weights)
    for _ in range(jet.order - 1):
        transform = jacfwd(transform)
    # Forward over reverse mode is wrong on some operations as well.
    with one_thread_of_forward_mode(), PrimitiveOperations():
        expected = transform(z[point])
    arrays = [array[point] for array in jet.arrays()]
    projected = torch.tensordot(weights, arrays[-1], dims=1)
    sizes = [torch.tensordot(weights.abs(), array.abs(), dims=1) for array in arrays]
    eps = torch.finfo(z.dtype).eps
    # The highest derivative may vanish by cancellation of terms as large as the lower ones.
    allowed = eps**0.5 * sizes[-1] + 1000 * eps * max(size.max() for size in sizes)
    if ((projected - expected).abs() > allowed).any():
        error = float(((projected - expected).abs() / sizes[-1].max()).max())
        raise UnsupportedOperationError(
            f"Derivatives of order {jet.order} by nested forward mode and by forward over reverse "
            f"mode differ by {error:.1e} on this decoder: torch has a wrong derivative formula for "
            "an operation hidden in it (TorchScript, a custom kernel or autograd.Function). Write "
            "that operation from primitives."
        )


def _random(size, like):
    """The same random vector every time, leaving torch's generators alone."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(size, generator=generator, dtype=torch.float64, device="cpu").to(like)
