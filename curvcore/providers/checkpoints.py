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


def _install():
    function, generator = originals = tuple(getattr(checkpoint, name) for name in _NAMES)

    class Reentrant:
        @staticmethod
        def apply(run, preserve, *args):
            return run(*args) if _is_plain(0) else function.apply(run, preserve, *args)

    def other(*args, **kwargs):
        return iter((None,)) if _is_plain(1) else generator(*args, **kwargs)

    PlainCheckpoints._originals = originals
    _replace((Reentrant, other))


def _is_plain(place):
    return _NAMES[place] in getattr(_here, "plain", ())


def _replace(functions):
    for name, function in zip(_NAMES, functions, strict=True):
        setattr(checkpoint, name, function)
