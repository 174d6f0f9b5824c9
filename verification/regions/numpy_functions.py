"""What numpy's functions do to arrays of Taylor models."""

from itertools import pairwise

import numpy as np
import torch

from curvcore.errors import UnsupportedOperationError
from verification.regions.models import TaylorModels

FUNCTIONS = {}
UFUNCS = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: a * b,
    np.true_divide: lambda a, b: a / b,
    np.negative: lambda a: -a,
}


def implements(function):
    """Decorator: stands for a function of numpy."""

    def register(implementation):
        FUNCTIONS[function] = implementation
        return implementation

    return register


@implements(np.einsum)
def _einsum(equation, *operands, **_):
    """From left to right, two at a time."""
    inputs, out = equation.split("->")
    inputs, operands = inputs.split(","), list(operands)
    if len(operands) == 1:
        return _rearranged(inputs[0], out, operands[0])
    while len(operands) > 1:
        rest = "".join(inputs[2:]) + out
        kept = [x for x in dict.fromkeys(inputs[0] + inputs[1]) if x in rest and x != "."]
        ahead = out if len(operands) == 2 else "..." + "".join(kept)
        operands[:2] = [_pair(f"{inputs[0]},{inputs[1]}->{ahead}", *operands[:2])]
        inputs[:2] = [ahead]
    return operands[0]


def _pair(equation, one, other):
    kind = one if isinstance(one, TaylorModels) else other
    return kind.lifted(one).contracted(equation, kind.lifted(other))


def _rearranged(letters, out, models):
    """Axes in another order, or the trace of one pair of them."""
    plain, left = letters.replace("...", ""), out.replace("...", "")
    twice = "".join(dict.fromkeys(x for x in plain if plain.count(x) > 1))
    if sorted(plain) != sorted(left + 2 * twice) or len(twice) > 1:
        raise UnsupportedOperationError(f"There is no einsum {letters}->{out} of Taylor models.")
    ahead = out + twice
    moved = TaylorModels(
        models.basis,
        torch.einsum(f"Z{letters}->Z{ahead}", models.coefficients),
        torch.einsum(f"{letters}->{ahead}", models.radius),
    )
    return moved.sum(-1) if twice else moved


@implements(np.sum)
def _sum(models, axis=None, keepdims=False):
    return models.sum(axis, keepdims)


@implements(np.swapaxes)
def _swapaxes(models, one, other):
    return models.swapaxes(one, other)


@implements(np.moveaxis)
def _moveaxis(models, source, destination):
    order = [axis for axis in range(models.ndim) if axis != source % models.ndim]
    order.insert(destination % models.ndim, source % models.ndim)
    return models.transpose(*order)


@implements(np.expand_dims)
def _expand_dims(models, axis):
    axis = axis % (models.ndim + 1)
    return models.reshape(*models.shape[:axis], 1, *models.shape[axis:])


@implements(np.squeeze)
def _squeeze(models, axis=None):
    axes = range(models.ndim) if axis is None else (axis % models.ndim,)
    return models.reshape(*(n for k, n in enumerate(models.shape) if k not in axes or n != 1))


@implements(np.broadcast_to)
def _broadcast_to(models, shape):
    shape = tuple(shape)
    coefficients = models.coefficients.reshape(
        -1, *(1,) * (len(shape) - models.ndim), *models.shape
    )
    return TaylorModels(models.basis, coefficients.expand(-1, *shape), models.radius.expand(shape))


@implements(np.concatenate)
def _concatenate(arrays, axis=0):
    return _joined(arrays, torch.cat, axis, 0)


@implements(np.stack)
def _stack(arrays, axis=0):
    return _joined(arrays, torch.stack, axis, 1)


def _joined(arrays, join, axis, more):
    kind = next(x for x in arrays if isinstance(x, TaylorModels))
    arrays = [kind.lifted(x) for x in arrays]
    length = max(len(x.coefficients) for x in arrays)
    ndim = arrays[0].ndim + more
    axis = axis % ndim
    return TaylorModels(
        kind.basis,
        join([x.padded(length) for x in arrays], axis + 1),
        join([x.radius for x in arrays], axis),
    )


@implements(np.split)
def _split(models, ends, axis=0):
    axis = axis % models.ndim
    ends = [0, *(int(end) for end in ends), models.shape[axis]]
    before = (slice(None),) * axis
    return [models[(*before, slice(*piece))] for piece in pairwise(ends)]
