"""The classes of results among the public names of a package."""

from dataclasses import fields, is_dataclass
from typing import get_args, get_type_hints

import numpy as np
import torch

from curvcore.display import Displayed


def results_of(package):
    """Names of its classes that show themselves, and of its dataclasses that hold arrays."""
    classes = {name: getattr(package, name) for name in package.__all__}
    classes = {name: cls for name, cls in classes.items() if isinstance(cls, type)}
    return [
        name for name, cls in classes.items() if issubclass(cls, Displayed) or _holds_arrays(cls)
    ]


def _holds_arrays(cls):
    if not is_dataclass(cls):
        return False
    hints = get_type_hints(cls)
    kinds = {kind for field in fields(cls) for kind in _kinds(hints[field.name])}
    return bool(kinds & {torch.Tensor, np.ndarray})


def _kinds(hint):
    """The type, or those that a union or a container is of."""
    return {hint}.union(*map(_kinds, get_args(hint)))
