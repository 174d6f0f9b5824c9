"""Triton kernels for what torch's own operations do in many passes over memory.

Triton comes with torch on CUDA and is imported when the first kernel is needed. A kernel computes
nothing that has no plain form in curvcore: that form serves every other device and dtype, and is
the kernel's referee in the tests, which run it by Triton's interpreter where there is no GPU.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch


def serve(tensor):
    """Whether kernels are there for a tensor: float32 on CUDA, no compiler, Triton installed."""
    return (
        tensor.dtype == torch.float32
        and (tensor.is_cuda or _are_interpreted())
        and not torch.compiler.is_compiling()
        and _is_installed()
    )


@cache
def _is_installed():
    return find_spec("triton") is not None


def _are_interpreted():
    return os.environ.get("TRITON_INTERPRET") == "1"
