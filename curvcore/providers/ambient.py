"""Jets of decoders into R^D with a metric of its own."""

import numpy as np
import torch

from curvcore.ambient import AmbientField, AmbientJet
from curvcore.degenerate import filled
from curvcore.errors import InputError
from curvcore.packing import pack
from curvcore.providers.bound import AmbientDecoder, of_one_row
from curvcore.providers.outputs import ambient_dimension, check_output
from curvcore.providers.primitives import PrimitiveOperations, call_plainly
from curvcore.validation import list_points

_ASYMMETRY = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.01}


def ambient_jet(provider, decoder, z, order, *, lenient=False, shape=None):
    """The AmbientJet of an AmbientDecoder at points (B, d).

    Args:
        provider: of the jets of decoders into Euclidean spaces.
        lenient: whether G is to be NaN where it is not positive.
        shape: ``shape_of`` it, where that is known.

    Raises:
        InputError: G is not of that shape, or not positive. And what the provider raises.
    """
    components, shape = shape_of(decoder, z) if shape is None else shape
    arrays, field = ambient_arrays(provider, decoder, z, order, (components, shape), lenient)
    slopes = None if order == 1 else _slopes(decoder.ambient, *arrays[:2], shape)
    return AmbientJet(arrays, field, slopes)


def ambient_arrays(provider, decoder, z, order, shape, lenient):
    """Derivatives of Ψ, a list, and an AmbientField: all but the slopes; arguments as above."""
    joint = provider(decoder.joint(), z, order)
    arrays, field = _split(joint.arrays(), *shape)
    return arrays, _positive(field, lenient)


def ambient_values(decoder, z):
    """Ψ (B, D) and G, an AmbientField, at points (B, d); NaN where it is not positive."""
    joint = call_plainly(decoder.joint(), z)
    (value,), field = _split([joint], *shape_of(decoder, z))
    return value, _positive(field, lenient=True)


def _split(arrays, components, shape):
    """Arrays (B, D + numbers of G, ...) as those of Ψ, and an AmbientField."""
    levels = [array[:, components:] for array in arrays[:3]]
    levels = [level.reshape(len(level), *shape, *level.shape[2:]) for level in levels]
    if not shape:  # a factor of the identity
        levels = [x[:, None].expand(-1, components, *x.shape[1:]) for x in levels]
    field = AmbientField(tuple(levels), is_diagonal=len(shape) < 2)
    return [array[:, :components] for array in arrays], field


def numbers_at(decoder, z):
    """How many numbers there are at a point, of Ψ, and of G where there is one."""
    return ambient_dimension(decoder.joint() if isinstance(decoder, AmbientDecoder) else decoder, z)


def shape_of(decoder, z):
    """D, and the shape of G at a point: (), (D,) or (D, D)."""
    with torch.no_grad(), PrimitiveOperations():
        rows = z[:1].detach().clone()
        x = call_plainly(of_one_row(decoder.immersion), rows)
        check_output(x, rows, torch.Tensor)
        x = x.flatten(1)
        field = call_plainly(decoder.ambient, x)
    shape, components = tuple(getattr(field, "shape", ())), x.shape[1]
    if shape not in ((1,), (1, components), (1, components, components)):
        raise InputError(
            f"ambient must map x (B, D) to (B, D, D), its diagonal (B, D), or a factor (B,), with "
            f"D = {components}; of (1, {components}) it made {shape or type(field).__name__}."
        )
    return components, shape[1:]


def _positive(field, lenient):
    if torch.compiler.is_compiling():
        return field
    value = field.levels[0].detach()
    if field.is_diagonal:
        positive = (value > 0).all(1)
    else:
        positive = (torch.linalg.cholesky_ex(value).info == 0) & _symmetric(value)
    if lenient:  # nothing waits for the device
        return field.map(lambda level: filled(~positive, level, torch.nan))
    bad = ~positive & value.isfinite().flatten(1).all(1)
    if bad.any():
        raise InputError(
            f"The ambient metric is not positive at Ψ(z) of {list_points(bad)}, or not symmetric."
        )
    return field


def _symmetric(matrix):
    off = (matrix - matrix.mT).abs().amax((1, 2))
    return off <= _ASYMMETRY[matrix.dtype] * matrix.abs().amax((1, 2))


def _slopes(ambient, value, first, shape):
    """K_a,ij = ∂_aG(Ψ_i, Ψ_j), packed (B, D, P), by one reverse pass for each pair."""
    with torch.inference_mode(False):
        x = value.clone() if value.is_inference() else value
        _, gradient = torch.func.vjp(lambda x: ambient(x).reshape(len(x), *shape), x)
        pairs = pack(_squares(first, shape), 2).movedim(-1, 0)
        return torch.stack([gradient(pair.contiguous())[0] for pair in pairs], -1)


def _squares(first, shape):
    """What multiplies G in G(Ψ_i, Ψ_j): (B, ..., d, d)."""
    if len(shape) == 2:
        outer = torch.einsum("nai,nbj->nabij", first, first)
        return (outer + outer.transpose(3, 4)) / 2
    products = torch.einsum("nai,naj->naij", first, first)
    return products if shape else products.sum(1)


def symbolic_ambient_jet(symbolic_jet, expressions, ambient, symbols, order):
    """The same of sympy expressions, G as a diagonal or a factor.

    Args:
        ambient: of D expressions, as a numpy array, to one or D of them.

    Raises:
        InputError: it is no such thing.
    """
    import sympy

    entries = np.array([sympy.sympify(entry) for entry in expressions], dtype=object)
    count = len(entries)
    x = np.array([sympy.Dummy(f"x{a}") for a in range(count)], dtype=object)
    weights = np.array([sympy.sympify(w) for w in np.ravel(ambient(x))], dtype=object)
    if weights.size not in (1, count):
        raise InputError(
            f"ambient of expressions must be a factor or D = {count} of them; got {weights.size}."
        )
    weights = np.broadcast_to(weights, (count,))
    there = dict(zip(x, entries, strict=True))
    along = [weight.subs(there) for weight in weights]
    joint = symbolic_jet([*entries, *along], symbols, order)
    arrays = [array[:count] for array in joint.arrays()]
    field = AmbientField(tuple(array[count:] for array in joint.arrays()[:3]), is_diagonal=True)
    if order == 1:
        return AmbientJet(arrays, field)
    gradients = [[weight.diff(a).subs(there) for a in x] for weight in weights]  # b, a
    squares = pack(np.einsum("bi,bj->bij", arrays[1], arrays[1]), 2)
    return AmbientJet(arrays, field, np.einsum("ba,bp->ap", np.array(gradients), squares))
