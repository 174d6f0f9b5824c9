"""The operations at which a host would wait for its device."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What reads a number, makes a tensor of data that decide its shape, or of Python numbers.
WAITS = {
    "aten._local_scalar_dense.default",
    "aten.nonzero.default",
    "aten.masked_select.default",
    "aten.lift_fresh.default",
    "aten.eye.default",
    "aten.is_nonzero.default",
    "aten.equal.default",
}


class Waits(TorchDispatchMode):
    """Gathers the operations at which a host would wait for its device."""

    def __init__(self):
        super().__init__()
        self.met = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        between = str(function) == "aten._to_copy.default" and "device" in kwargs
        between = between and kwargs["device"] != args[0].device
        if str(function) in WAITS or between or _is_of_a_mask(function, args):
            self.met.append(str(function))
        return function(*args, **kwargs)


def _is_of_a_mask(function, args):
    indices = args[1] if str(function).startswith("aten.index.") else []
    return any(index is not None and index.dtype == torch.bool for index in indices)
