"""Triton kernels for what torch's own operations do in many passes over memory.

Triton comes with torch on CUDA and is imported when the first kernel is needed. A kernel computes
nothing that has no plain form in curvcore: that form serves every other device and dtype, and is
the kernel's referee in the tests, which run it by Triton's interpreter where there is no GPU.
"""

import os
import traceback
import warnings
from functools import cache
from importlib.util import find_spec

import torch

from curvcore.errors import FallbackWarning, frames_inside_curvcore

_failed = set()


def serve(tensor):
    """Whether kernels are there for a tensor: float32 on CUDA, no compiler, Triton installed."""
    return (
        tensor.dtype == torch.float32
        and (tensor.is_cuda or _are_interpreted())
        and not torch.compiler.is_compiling()
        and _is_installed()
    )


def attempt(name, function, *arguments):
    """``function(*arguments)``, which launches kernels, or None where Triton cannot do that here.

    No C compiler, a GPU that Triton does not know, too few registers, ...: it warns once, and what
    goes by this name is not tried again. Errors of anything but Triton pass, and want of memory.
    """
    if name in _failed:
        return None
    try:
        return function(*arguments)
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) or not _is_of_triton(error):
            raise
        _failed.add(name)
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"Triton cannot compile or launch the kernel of {name} here "
            f"({type(error).__name__}: {reason}). Torch's own operations compute it from now on, "
            "which is slower. Triton needs a C compiler and a GPU that it knows.",
            FallbackWarning,
            stacklevel=frames_inside_curvcore() + 1,
        )
        return None


def _is_of_triton(error):
    """Whether it was raised by Triton, or by what Triton had called."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(f.f_globals.get("__name__", "").split(".")[0] == "triton" for f, _ in frames)


@cache
def _is_installed():
    return find_spec("triton") is not None


def _are_interpreted():
    return os.environ.get("TRITON_INTERPRET") == "1"
