"""Is a jet right? Checks that take other paths through torch than the jet did.

They cost a few evaluations, whatever D is, and catch what no table of faulty operations can list:
operations hidden in TorchScript or custom kernels, functions for which torch has no derivative and
silently takes zero, parts of a decoder that run without gradient, faults of ``vmap``.
"""

import torch
from torch.autograd.function import BackwardCFunction
from torch.func import grad, jacfwd

from curvcore.errors import (
    CurvatureError,
    DecoderError,
    InputError,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from curvcore.modes import one_thread_of_forward_mode
from curvcore.providers.bound import AmbientDecoder, of_rows, rows_of
from curvcore.providers.differences import check_jacobian, fixed_random
from curvcore.providers.lower_precision import operations_in_lower_precision
from curvcore.providers.outputs import check_output
from curvcore.providers.primitives import PrimitiveOperations, call_plainly

_FLOATS_NEAR, _NOISES = (-4, -2, 2, 4), 16


def check_jet(decoder, point_map, z, jet):
    """Raise if ``jet`` cannot be that of ``decoder``, of which ``point_map`` is a single row.

    The values are compared with those of all rows together; the first derivative with finite
    differences, at every point (:mod:`curvcore.providers.differences`); the highest with forward
    over reverse mode, for one combination ⟨w, Ψ⟩ of the outputs, at the first and the last point
    where the jet is finite.

    Raises:
        RowsNotIndependentError, DecoderError: about the values.
        UnsupportedOperationError: about the derivatives.
    """
    try:
        _check(decoder, point_map, z, jet)
    except CurvatureError as error:
        lowered = operations_in_lower_precision(decoder, z.detach())
        if not lowered:
            raise
        listed = ", ".join(f"{name} ({dtype})" for name, dtype in lowered.items())
        raise UnsupportedOperationError(
            f"The decoder computes in a lower precision than that of z, {z.dtype}: {listed}. What "
            "is rounded so moves in leaps, which no derivative sees. Give it points and weights in "
            f"that precision, or let these operations keep {z.dtype}. It was noticed so: {error}"
        ) from error


def _check(decoder, point_map, z, jet):
    z = z.detach().contiguous()
    with torch.no_grad():
        check_rows_independent(decoder, z, jet.value, lambda: _custom_functions(point_map, z[0]))
        check_jacobian(decoder, z, jet.jacobian)
        finite = [array.detach().flatten(1).isfinite().all(1) for array in jet.arrays()]
        regular = torch.stack(finite).all(0).nonzero()[:, 0].tolist()
        for point in sorted({regular[0], regular[-1]} if regular else ()):
            _compare_with_reverse_mode(point_map, z, jet, point)


def check_rows_independent(decoder, z, value, hidden=frozenset):
    """Raise unless decoder(z), all rows together, is ``value``, computed one by one.

    If it is not, and rows by themselves are what they are together, what made ``value`` of them is
    to blame; ``hidden`` tells the names of what may hide there.

    Rows that are coupled but equal do not show it; so three others, near the first, are compared,
    behind a row from far away, since the first may decide for all.
    """
    together = call_plainly(decoder, z.clone())
    try:
        _compare_rows(together, value)
    except RowsNotIndependentError as error:
        _compare_rows(
            together, torch.cat([call_plainly(decoder, z[n : n + 1]) for n in range(len(z))])
        )
        raise UnsupportedOperationError(
            "The decoder has another value where it is differentiated than it has outside: torch's "
            "transforms, or a rule, do not do what the decoder does "
            f"({_hiding(hidden())}). Write that operation from torch's own."
        ) from error
    size = z.abs().amax(0)
    size = torch.where(size > 0, size, 1)
    rows = z[:1] + size / 8 * fixed_random(3 * z.shape[1], z).reshape(3, -1)
    far = size * fixed_random(z.shape[1], z) - z[:1]
    alone = torch.cat([call_plainly(decoder, row[None].clone()) for row in rows])
    try:
        beside = call_plainly(decoder, torch.cat([far, rows]))[1:]
    except Exception:  # a decoder may refuse points that are far away
        beside = call_plainly(decoder, rows.clone())
    _compare_rows(beside, alone)


def check_rows_belong(decoder, z):
    """Raise unless the inputs that have a row for each point do belong to the points.

    A tensor for all points that happens to have as many rows is told by the output at single ones.
    """
    if isinstance(decoder, AmbientDecoder):
        decoder = decoder.immersion
    names = ", ".join(rows_of(decoder))
    with torch.no_grad():
        together = call_plainly(decoder, z.detach().clone())
        check_output(together, z, torch.Tensor)
        for point in sorted({0, len(z) // 2, len(z) - 1}):
            row = slice(point, point + 1)
            try:
                alone = call_plainly(of_rows(decoder, row), z[row].detach().clone())
                _compare_rows(together[row], alone)
            except Exception as error:
                raise InputError(
                    f"{names} of {len(z)} rows: taken for one row a point, "
                    f"but point {point} alone is decoded otherwise ({error}). Name those that are, "
                    "curvcore.bind(decoder, per_row=[...], ...): the others are for all points."
                ) from error


def _compare_rows(together, alone):
    if not isinstance(together, torch.Tensor):
        raise RowsNotIndependentError(
            f"The decoder returned a {type(together).__name__} for a tensor: it keeps the output "
            "of another call. Remove the cache, or key it by the values of z."
        )
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


def _compare_with_reverse_mode(point_map, z, jet, point):
    weights = fixed_random(jet.ambient_dimension, z)

    def combination(z):
        return point_map(z) @ weights

    transform = grad(combination)
    for _ in range(jet.order - 1):
        transform = jacfwd(transform)

    def expected_at(z):
        # Forward over reverse mode is wrong on some operations as well.
        with one_thread_of_forward_mode(), PrimitiveOperations():
            return transform(z)

    expected = expected_at(z[point])
    arrays = [array[point] for array in jet.arrays()]
    projected = torch.tensordot(weights, arrays[-1], 1)
    sizes = [torch.tensordot(weights.abs(), array.abs(), dims=1) for array in arrays]
    units = _lengths(*sizes)
    sizes = [_in_units(units, size) for size in sizes]
    eps = torch.finfo(z.dtype).eps
    # The highest derivative may vanish by cancellation of terms as large as the lower ones.
    allowed = eps**0.5 * sizes[-1] + 1000 * eps * max(size.max() for size in sizes)
    # What is subnormal is zero, or nearly, by one way or the other.
    lost = torch.full_like(projected, torch.finfo(z.dtype).tiny).double() * weights.abs().sum()
    allowed = allowed + _in_units(units, lost)
    error = _in_units(units, projected - expected).abs()
    if (error > allowed).any():  # by no more than it moves from one float to the next, perhaps
        near = [expected_at(z[point] * (1 + k * eps)) - expected for k in _FLOATS_NEAR]
        noise = torch.stack(near).abs().amax(0)
        allowed = allowed + _NOISES * _in_units(units, noise)
    if (error > allowed).any():
        worst = int((error / allowed).argmax())
        hidden = _custom_functions(combination, z[point])
        raise _contradiction(jet.order, worst, projected, expected, hidden)


def _lengths(value, first, second=None, third=None):
    """Units for the coordinates in which no derivative is much larger than the value: (d,)."""
    value, first = value.double(), first.double()
    second = torch.zeros_like(first) if second is None else second.diagonal().double()
    lengths = torch.minimum(value / first, first / second)
    lengths = torch.where(first > 0, lengths, (value / second).sqrt())
    return torch.where(lengths.isfinite() & (lengths > 0), lengths, 1)


def _in_units(lengths, tensor):
    """∂_i ... ∂_j f in the coordinates z_i/ℓ_i: ℓ_i ... ℓ_j ∂_i ... ∂_j f."""
    tensor = tensor.double()
    for axis in range(tensor.ndim):
        tensor = tensor * lengths.reshape(-1, *(1,) * (tensor.ndim - 1 - axis))
    return tensor


def _contradiction(order, worst, forward, reverse, hidden):
    """The error for derivatives of this order that differ most in entry ``worst``."""
    d = len(forward)
    entry = ", ".join(str(worst // d**k % d) for k in reversed(range(order)))
    by_forward, by_reverse = (float(x.flatten()[worst]) for x in (forward, reverse))
    if forward.any():
        fault = "torch has a wrong derivative formula for an operation hidden in it"
    else:
        fault = "torch takes an operation hidden in it for constant when it differentiates again"
    if hidden:
        fault = (
            "It has a wrong derivative formula, or one that torch cannot differentiate again: "
            "nested forward mode takes what a custom function saves for its jvp for constant"
        )
    return UnsupportedOperationError(
        f"Derivatives of order {order} by nested forward mode and by forward over reverse mode "
        f"differ on this decoder: {by_forward:.3g} and {by_reverse:.3g} for a combination of its "
        f"outputs in the coordinates {entry}. {fault} ({_hiding(hidden)}). Write that operation "
        "from primitives."
    )


def _hiding(names):
    """Where the fault may be."""
    if names:
        return f"the custom autograd.Function {', '.join(sorted(names))}"
    return "TorchScript, a custom kernel or autograd.Function"


def _custom_functions(function, z):
    """Names of the classes of autograd.Function that function(z) goes through."""
    with torch.enable_grad():
        nodes, names = [function(z.clone().requires_grad_()).grad_fn], set()
    for node in nodes:  # grows meanwhile
        if isinstance(node, BackwardCFunction):
            names.add(type(node)._forward_cls.__name__)
        following = [after for after, _ in getattr(node, "next_functions", ())]
        nodes += [after for after in following if after not in nodes]
    return names
