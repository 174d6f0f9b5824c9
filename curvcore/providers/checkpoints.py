"""Calls of torch.utils.checkpoint as the plain calls that they are.

No transform of torch.func goes through it: it keeps a graph for its backward pass that they do not
know. With ``use_reentrant=True`` it runs without gradient what is no tensor, as jets are.
"""

import threading

import torch.utils.checkpoint as checkpoint

_GENERATOR = "_checkpoint_without_reentrant_generator"
if hasattr(checkpoint, f"{_GENERATOR}_impl"):  # from torch 2.14 on
    _GENERATOR += "_impl"
_NAMES = "CheckpointFunction", _GENERATOR
_lock, _here = threading.Lock(), threading.local()


class PlainCheckpoints:
    """Within this context, checkpointed functions of this thread are called plainly.

    Args:
        reentrant_only: those that are not reentrant are as they were.
    """

    _users, _originals = 0, ()

    def __init__(self, reentrant_only=False):
        self.reentrant_only = reentrant_only

    def __enter__(self):
        with _lock:
            if not PlainCheckpoints._users:
                _install()
            PlainCheckpoints._users += 1
        self._before = getattr(_here, "plain", ())
        _here.plain = {*self._before, *(_NAMES[:1] if self.reentrant_only else _NAMES)}

    def __exit__(self, *exception):
        _here.plain = self._before
        with _lock:
            PlainCheckpoints._users -= 1
            if not PlainCheckpoints._users:
                _replace(PlainCheckpoints._originals)


class _Reentrant:
    """What stands for torch's function of checkpoints that are reentrant."""

    @staticmethod
    def apply(run, preserve, *args):
        if _is_plain(0):
            return run(*args)
        return PlainCheckpoints._originals[0].apply(run, preserve, *args)


def _other(*args, **kwargs):
    """And for the generator of the others."""
    return iter((None,)) if _is_plain(1) else PlainCheckpoints._originals[1](*args, **kwargs)


def _install():
    PlainCheckpoints._originals = tuple(getattr(checkpoint, name) for name in _NAMES)
    _replace((_Reentrant, _other))


def _is_plain(place):
    return _NAMES[place] in getattr(_here, "plain", ())


def _replace(functions):
    for name, function in zip(_NAMES, functions, strict=True):
        setattr(checkpoint, name, function)
