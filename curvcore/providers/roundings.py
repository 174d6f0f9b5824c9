"""What a decoder computes where its operations round another way than they do.

The result x of every operation becomes x (1 + 4 eps s), entry by entry, and so does each of its
derivatives, with s of its own: of either sign, 1/2 ≤ |s| ≤ 1, the same at all points and in every
pass. Of a sum of products the sum alone is seen, and it may cancel: there the weights are moved as
well, W (1 + 4 eps s), which moves every sum by itself. Views stay, and what is written in place.

An operation rounds by eps/2 at most. ``EXCESS`` times as much stands above what the pass itself
rounds, and is small enough for first order. Perturbations for rounding errors: Higham, *Accuracy
and Stability of Numerical Algorithms*, 2nd ed., chapter 26.
"""

from contextvars import ContextVar

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from curvcore.providers.shared_memory import ALWAYS_VIEWS, MAY_BE_VIEWS

EXCESS = 8

_SUMS = {
    "linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm",
    "addmv", "addbmm", "baddbmm", "einsum", "tensordot", "inner", "dot", "vdot", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
}  # fmt: skip
_ALIASES = ALWAYS_VIEWS | MAY_BE_VIEWS | {"__get__"}
_active = ContextVar("active", default=None)


class Roundings:
    """Within this context jets are moved as above."""

    def __init__(self):
        self._random = np.random.default_rng(0)

    def __enter__(self):
        self._token = _active.set(self)
        return self

    def __exit__(self, *exception):
        _active.reset(self._token)

    def factors(self, shape, like):
        """1 + 4 eps s, of this shape, for numbers such as those of ``like``."""
        real = like.dtype.to_real()
        s = 2 * self._random.random(tuple(shape), dtype=np.float32) - 1
        s = torch.from_numpy(s + np.copysign(1, s)).to(like.device, real)
        return 1 + EXCESS / 4 * torch.finfo(real).eps * s

    def weights(self, function, arguments):
        """Arguments of a function, the constants moved if it sums their products."""
        if getattr(function, "__name__", "") not in _SUMS:
            return arguments
        return tuple(self.moved(x) if isinstance(x, torch.Tensor) else x for x in arguments)

    def moved(self, tensor):
        """A tensor of numbers, each of its entries moved."""
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor
        return tensor * self.factors(tensor.shape, tensor)


def active_roundings():
    """The Roundings at work, or None."""
    return None if torch.compiler.is_compiling() else _active.get()


def is_rounded(function, arguments, result):
    """Whether ``result`` is of an operation that made new numbers, and may be replaced."""
    name = getattr(function, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    of_torch_itself = name.startswith("_") and not name.startswith("__")
    if in_place or of_torch_itself or name in _ALIASES:
        return False
    return all(result is not x for x in arguments)


class RoundedOperations(TorchFunctionMode):
    """Within this context tensors are moved likewise: derivatives with their values alone."""

    def __init__(self):
        super().__init__()
        self._roundings = Roundings()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*self._roundings.weights(function, args), **(kwargs or {}))
        if isinstance(result, torch.Tensor) and is_rounded(function, args, result):
            return self._roundings.moved(result)
        return result
