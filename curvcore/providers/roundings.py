"""What a decoder computes where its operations round another way than they do.

What an operation takes of others, x, becomes x (1 + 4 eps s), entry by entry, and so does each
derivative of it, with s of its own: of either sign, 1/2 ≤ |s| ≤ 1, the same at all points and in
every pass. Sums of products with weights get W (1 + 4 eps s) instead: that moves every sum by
itself, as rounding does, and by what it is a sum of where it cancels.

An operation rounds by eps/2 at most. ``EXCESS`` times as much stands above what the pass itself
rounds, and is small enough for first order. Perturbations for rounding errors: Higham, *Accuracy
and Stability of Numerical Algorithms*, 2nd ed., chapter 26.
"""

from contextvars import ContextVar
from functools import lru_cache
from math import prod

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from curvcore.providers.shared_memory import ALWAYS_VIEWS, MAY_BE_VIEWS

EXCESS = 8
_COUNT = 2**18 - 5  # prime: rows of a large matrix are no copies of each other

_SUMS = {
    "linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm",
    "addmv", "addbmm", "baddbmm", "einsum", "tensordot", "inner", "dot", "vdot", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
}  # fmt: skip
_ALIASES = ALWAYS_VIEWS | MAY_BE_VIEWS | {"__get__", "__setitem__"}
_active = ContextVar("active", default=None)


@lru_cache(maxsize=16)
def _table(dtype, device):
    """1 + 4 eps s of many s, in a dtype of real numbers."""
    s = 2 * np.random.default_rng(0).random(_COUNT) - 1
    with torch.inference_mode(False):  # to serve elsewhere later
        s = torch.from_numpy(s + np.copysign(1, s)).to(device, dtype)
        return 1 + EXCESS / 4 * torch.finfo(dtype).eps * s


class Roundings:
    """Within this context jets are moved as above."""

    def __init__(self):
        self._starts = np.random.default_rng(1)

    def __enter__(self):
        self._token = _active.set(self)
        return self

    def __exit__(self, *exception):
        _active.reset(self._token)

    def factors(self, shape, like):
        """1 + 4 eps s, of this shape, for numbers such as those of ``like``."""
        table, count = _table(like.dtype.to_real(), like.device), prod(shape)
        if count > _COUNT:
            table = table.repeat(-(-count // _COUNT))
        start = int(self._starts.integers(len(table) - count + 1))
        return table[start : start + count].view(shape)

    def arguments(self, function, args, kwargs):
        """Those of a function, moved unless it only hands them on, or writes to them."""
        if not _computes(function) or kwargs.get("inplace") or any(x is True for x in args):
            return args
        of_weights = _weights(function, args)
        moved = of_weights or [x for x in args if hasattr(x, "channels")]
        return tuple(self.of(x) if any(x is y for y in moved) else x for x in args)

    def of(self, x):
        """A jet or a tensor, moved."""
        if not isinstance(x, torch.Tensor):
            return x.moved(self)
        return x * self.factors(x.shape, x)


def _weights(function, args):
    """Tensors of numbers of whose products the function gives sums, if it does."""
    if getattr(function, "__name__", "") not in _SUMS:
        return []
    return [x for x in args if isinstance(x, torch.Tensor) and x.is_floating_point()]


def _computes(function):
    """Whether it makes new numbers, of its arguments' and not in their place."""
    name = getattr(function, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    of_torch_itself = name.startswith("_") and not name.startswith("__")
    return not (in_place or of_torch_itself or name in _ALIASES)


def active_roundings():
    """The Roundings at work, or None."""
    return None if torch.compiler.is_compiling() else _active.get()


class RoundedOperations(TorchFunctionMode):
    """Within this context tensors are moved when they are made: derivatives with their values."""

    def __init__(self):
        super().__init__()
        self._roundings = Roundings()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        weights = _weights(function, args)
        moved = [self._roundings.of(x) if any(x is y for y in weights) else x for x in args]
        made = function(*moved, **(kwargs or {}))
        is_new = _computes(function) and all(made is not x for x in moved)
        if is_new and isinstance(made, torch.Tensor) and made.is_floating_point():
            return self._roundings.of(made)
        return made
