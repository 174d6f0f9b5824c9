"""Views of jets: what is written to one is seen by all that share its memory, as in torch.

Nothing is written into a tensor. A jet that is written to holds something else from then on, and so
does what it is a view of: there the new entries stand in the places that the view shows. Views
of it are taken anew when they are looked at.

What is a view is told by the memory of the values, and by what torch documents where that cannot
be seen: inside a compiled graph and under transforms of torch.func. ``reshape``, ``contiguous`` and
the like may or may not copy; there nothing can be written to what they were given or gave.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from curvcore.errors import UnsupportedOperationError
from curvcore.modes import is_plain_eager
from curvcore.providers.fused.jet_tensor import JetTensor
from curvcore.providers.shared_memory import ALWAYS_VIEWS, MAY_BE_VIEWS, READ_ONLY


@dataclass
class _Memory:
    """How often the memory was written to; whether it is known who shares it."""

    writes: int = 0
    is_known: bool = True


@dataclass
class Share:
    """What a jet shares: all of a memory, or the part of ``parent`` that ``replay`` shows."""

    memory: _Memory
    parent: Any = None
    replay: Any = None
    writes: int = 0

    def now(self, held):
        """What the jet holds now, that held ``held`` when it was last looked at."""
        if self.writes != self.memory.writes:
            held, self.writes = self.replay.of_jet(self.parent).held, self.memory.writes
        return held

    def written(self, new):
        """What a jet of this holds that becomes ``new``; all that share its memory will see it."""
        if not self.memory.is_known:
            raise UnsupportedOperationError(
                "The decoder writes in place to a tensor that may share its memory with another, "
                "by reshape, contiguous or the like. Inside torch.compile and transforms of "
                "torch.func that cannot be told: write to a clone, or use torch.cat or torch.where."
            )
        if self.parent is None:
            self.memory.writes += 1
        else:
            places = self.replay.of_tensor(places_of(self.parent))
            self.parent.become(replaced(self.parent, places, new))
            new = self.replay.of_jet(self.parent)
        self.writes = self.memory.writes
        return new.held


@dataclass(frozen=True)
class _Replay:
    """How a view is taken: the function, its rule, its arguments, which of its results."""

    function: Any
    rule: Any
    args: tuple
    kwargs: dict
    index: int | None

    def of_jet(self, jet):
        return self._chosen(self.rule(jet, *self.args, **self.kwargs))

    def of_tensor(self, tensor):
        if self.function.__name__ in READ_ONLY:
            raise UnsupportedOperationError(
                f"The decoder writes in place to what {self.function.__name__} gave, whose entries "
                "are not each one entry of its argument. Write to a clone of it."
            )
        return self._chosen(self.function(tensor, *self.args, **self.kwargs))

    def _chosen(self, result):
        return result if self.index is None else result[self.index]


def sharing(function, rule):
    """``rule`` of ``function``, which knows what of its result is a view of its first argument."""
    if getattr(function, "__name__", "") not in ALWAYS_VIEWS | MAY_BE_VIEWS:
        return rule

    def shared(x, *args, **kwargs):
        result = rule(x, *args, **kwargs)
        if not isinstance(x, JetTensor):
            return result
        several = isinstance(result, tuple)
        views = [
            _view(x, jet, _Replay(function, rule, args, kwargs, n if several else None))
            for n, jet in enumerate(result if several else (result,))
        ]
        return tuple(views) if several else views[0]

    return shared


def _view(x, result, replay):
    """``result``, noted as a view of x if it is one."""
    is_view = _is_view(x, result, replay)
    if is_view is False:
        return result
    if is_view and not result.is_pending and result.value is x.value:
        return x
    if x.memory is None:
        x.memory = Share(_Memory())
    memory = x.memory.memory
    if is_view is None:
        memory.is_known = False
    result.memory = Share(memory, x, replay, memory.writes)
    return result


def _is_view(x, result, replay):
    """Whether it is one, or None if that cannot be seen."""
    if result.is_pending:
        return True
    if is_plain_eager() and isinstance(x.value, torch.Tensor):
        storages = x.value.untyped_storage(), result.value.untyped_storage()
        return storages[0]._cdata == storages[1]._cdata
    name = replay.function.__name__
    if name == "__getitem__":
        (index,) = replay.args
        parts = index if isinstance(index, tuple) else (index,)
        return all(part is None or isinstance(part, (int, slice, type(...))) for part in parts)
    return True if name in ALWAYS_VIEWS else None


# --- entries --------------------------------------------------------------------------------------


def places_of(x):
    """The numbers of its entries, in its shape."""
    return torch.arange(prod(x.shape), device=x.device).reshape(x.shape)


def replaced(x, places, new):
    """The jet x with the entries ``new``, of the shape of ``places``, in these places."""

    def put(old, new):
        flat = old.reshape(-1).index_copy(0, places.reshape(-1), new.reshape(-1))
        return flat.reshape(old.shape)

    count = max(len(jet.channels) for jet in (x, new))
    channels = [jet.all_channels()[:count] for jet in (x, new)]
    return x.like(put(x.value, new.value), torch.vmap(put)(*channels))
