"""Jets and geometry of decoders on balls, by their own ``forward`` and by curvcore's own rules."""

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map

import curvcore
from curvcore.ambient import AmbientField, AmbientJet
from curvcore.geometry import PullbackGeometry
from curvcore.jets import Jet
from curvcore.packing import count, pack, unpack
from curvcore.providers.ambient import shape_of
from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.fused.jet_tensor import JetTensor
from curvcore.providers.outputs import check_output
from verification.exact import functions, layers  # noqa: F401  (what torch does to exact tensors)
from verification.exact.tensors import COMPUTING, FUNCTIONS, Balls, ExactTensor


class CertificationError(curvcore.CurvatureError):
    """No enclosure as narrow as asked was found, or the decoder has operations without one."""


def geometries(decoder, z, formula):
    """The PullbackGeometry at each point, on balls of the present precision, and all values there.

    Returns:
        list of n, and balls (n, m): what ``values_of(decoder)`` is.
    """
    make = _ambient_jets if isinstance(decoder, AmbientDecoder) else _jets
    jets, values = make(decoder, z, 3 if formula == "intrinsic" else 2)
    return [PullbackGeometry(jet, formula=formula) for jet in jets], values


def values_of(decoder):
    """z -> Ψ, followed by the numbers of G where there is one."""
    return decoder.joint() if isinstance(decoder, AmbientDecoder) else decoder


def _jets(decoder, z, order):
    arrays = _derivatives(decoder, ExactTensor(z, Balls(z.dtype)), order)
    return [Jet(*(array[n] for array in arrays)) for n in range(len(z))], arrays[0]


def _ambient_jets(decoder, z, order):
    components, shape = shape_of(decoder, z)
    balls = Balls(z.dtype)
    joint = _derivatives(decoder.joint(), ExactTensor(z, balls), order)
    arrays = [array[:, :components] for array in joint]
    levels = [_of_shape(array[:, components:], shape, components) for array in joint[:3]]
    _, gradient = _derivatives(decoder.ambient, ExactTensor(arrays[0], balls), 1)
    slopes = _slopes(_of_shape(gradient, shape, components), arrays[1])
    jets = [
        AmbientJet(
            [array[n] for array in arrays],
            AmbientField(tuple(level[n] for level in levels), is_diagonal=len(shape) < 2),
            slopes[n],
        )
        for n in range(len(z))
    ]
    return jets, joint[0]


def _slopes(gradient, first):
    """K_a,ij = ∂_aG(Ψ_i, Ψ_j), packed (n, D, P), of ∂_aG (n, D, D, a) or its diagonal (n, D, a)."""
    is_diagonal = gradient.ndim == 3
    terms = "nba,nbi,nbj->naij" if is_diagonal else "nbca,nbi,ncj->naij"
    return pack(np.einsum(terms, gradient, first, first, optimize=True), 2)


def _of_shape(level, shape, components):
    """Numbers of G (n, m, ...) as (n, D, D, ...) or the diagonal (n, D, ...)."""
    if not shape:  # a factor of the identity
        return np.broadcast_to(level, (len(level), components, *level.shape[2:]))
    return level.reshape(len(level), *shape, *level.shape[2:])


def _derivatives(function, x, order):
    """Values (n, D) and derivatives (n, D, d), (n, D, d, d), ... of a function of (n, d) balls."""
    output = propagated(function, x, order)
    value = output.value.reshape(len(x), -1).array
    levels = enumerate(levels_of(output), start=1)
    return [value, *(unpack(level, x.shape[1], rank) for rank, level in levels)]


def propagated(function, x, order):
    """The JetTensor of a function at (n, d) exact numbers."""
    d = x.shape[1]
    identity = ExactTensor(torch.eye(d)[:, None, :], x.numbers)
    with torch.no_grad(), _NothingRounds(x.numbers):
        return _called(function, JetTensor(x, identity, d, order))


def levels_of(jet):
    """Packed derivatives (n, D, d), (n, D, d(d+1)/2), ..., as arrays."""
    channels = jet.all_channels()
    channels = channels.reshape(*channels.shape[:2], -1).array
    ends = np.cumsum([count(jet.d, rank) for rank in range(1, jet.order)])
    return [np.moveaxis(level, 0, -1) for level in np.split(channels, ends)]


def _called(function, jet):
    try:
        output = function(jet)
    except curvcore.CurvatureError:
        raise
    except Exception as error:
        raise CertificationError(
            f"The decoder cannot run on exact numbers: {type(error).__name__}: {error}"
        ) from error
    if isinstance(output, torch.Tensor):
        raise CertificationError("The decoder's output does not depend on z.")
    if not isinstance(output, JetTensor):
        check_output(output, jet, JetTensor)  # raises, and names the parts
    return output


# What torch does to plain tensors without rounding.
EXACT = frozenset({
    "detach", "cpu", "double", "numpy", "reshape", "view", "flatten", "unflatten", "transpose",
    "permute", "expand", "unsqueeze", "squeeze", "clone", "contiguous", "getitem", "chunk",
    "split", "unbind", "stack", "cat", "to", "size", "dim", "numel", "len",
    "is_floating_point", "is_complex", "neg", "masked_fill", "tril", "triu",
})  # fmt: skip


class _NothingRounds(TorchFunctionMode):
    """Torch arithmetic on plain tensors, which rounds, is done on exact ones, or refused."""

    def __init__(self, numbers):
        super().__init__()
        self._numbers = numbers

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if COMPUTING.get():
            return function(*args, **(kwargs or {}))
        for kind in (JetTensor, ExactTensor):
            if kind in types:
                with self:  # rules may compute with plain tensors as well
                    return kind.__torch_function__(function, types, args, kwargs)
        if function.__name__ != "__get__" and any(map(_is_of_floats, tree_leaves((args, kwargs)))):
            name = (resolve_name(function) or function.__name__).split(".")[-1]
            if name.strip("_") not in EXACT:
                return self._exactly(function, name, args, kwargs or {})
        return function(*args, **(kwargs or {}))

    def _exactly(self, function, name, args, kwargs):
        is_written = name.endswith("_") and not name.endswith("__")
        if is_written or "out" in kwargs or function not in FUNCTIONS:
            raise CertificationError(
                f"The decoder computes {name} of numbers that do not depend on z, and rounds. "
                "Store the result as a parameter or buffer."
            )
        args, kwargs = tree_map(self._lifted, (args, kwargs))
        return FUNCTIONS[function](*args, **kwargs)

    def _lifted(self, argument):
        return ExactTensor(argument, self._numbers) if _is_of_floats(argument) else argument


def _is_of_floats(argument):
    return isinstance(argument, torch.Tensor) and argument.is_floating_point()
