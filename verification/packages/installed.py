"""Which packages are there, and torchvision where its wheel was built for another torch."""

from importlib import metadata
from importlib.util import find_spec

import torch

# Operators that torchvision describes to the compiler, and defines in its compiled part.
_OPERATORS = ("nms", "qnms")
_library = []  # torch forgets definitions of a library that is collected


def version(package):
    """The version of an installed package; None without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def complete_torchvision():
    """Define the operators that torchvision lacks where its compiled part cannot be loaded.

    The wheels of the package index are built for CUDA; beside a torch for CPUs even their Python
    code, which timm and transformers import, then stops at a missing operator. Nothing here calls
    one.
    """
    if find_spec("torchvision") is None or _library or _loads():
        return
    _library.append(torch.library.Library("torchvision", "FRAGMENT"))
    for name in _OPERATORS:
        _library[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _loads():
    from pathlib import Path

    folder = Path(find_spec("torchvision").origin).parent
    try:
        for file in folder.glob("_C*.so"):
            torch.ops.load_library(str(file))
    except OSError:
        return False
    return True
