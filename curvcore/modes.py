"""What torch is doing with the code at the moment."""

import contextlib
import os
import threading
import warnings
from functools import cache

import torch
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad


def is_plain_eager():
    """Whether neither a compiler nor a transform is at work: only then derivatives go by hand.

    A compiler fuses the plain form as well. torch.func takes the jvp of a custom function for
    constant when it differentiates that again.
    """
    return not torch.compiler.is_compiling() and not is_transformed()


def is_transformed():
    """Whether a transform of torch.func, or forward mode, is at work."""
    if torch.compiler.is_compiling():
        return False
    return peek_interpreter_stack() is not None or forward_ad._current_level >= 0


class one_thread_of_forward_mode:  # noqa: N801  (used as a function)
    """A context in which no other thread of curvcore uses torch's forward mode.

    Its levels belong to the process: two threads at once get errors, or each other's tangents.
    """

    _lock = threading.RLock()

    def __enter__(self):
        self._held = self._lock
        self._held.acquire()

    def __exit__(self, *exception):
        self._held.release()

    @classmethod
    def renew(cls):
        """In a child process, where whoever held the lock does not exist."""
        cls._lock = threading.RLock()


@cache
def load_forward_mode():
    """Let torch load its rules of forward mode, about some of which it warns: not the user's fault.

    From torch 2.14 on they are shown a FutureWarning of ``torch.jit.script`` otherwise.
    """
    zero = torch.zeros((), device="cpu")
    with one_thread_of_forward_mode(), warnings.catch_warnings(), torch.inference_mode(False):
        warnings.filterwarnings("ignore", "`torch.jit.script")
        with contextlib.suppress(RuntimeError):  # in forward mode of the user's: they are loaded
            torch.func.jvp(torch.neg, (zero,), (zero,))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread_of_forward_mode.renew)
