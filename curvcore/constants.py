"""Small tensors that depend on nothing but sizes, dtype and device: made once, kept on the device.

What is made from Python numbers is copied to the device, and the host waits for the copy; so no
formula makes its constants anew.
"""

from functools import lru_cache

import torch


def identity(d, dtype, device):
    """The identity matrix (d, d)."""
    return _kept(_identity, d, dtype, device)


def numbers(values, dtype, device):
    """The numbers of a tuple, (len(values),)."""
    return _kept(_numbers, values, dtype, device)


def indices(positions, device):
    """A tuple of positions to index with, (len(positions),)."""
    return _kept(_numbers, positions, torch.long, device)


def _kept(make, argument, dtype, device):
    if torch.compiler.is_compiling():
        return make(argument, dtype, device)
    return _cached(make, argument, dtype, device)


@lru_cache(maxsize=1024)
def _cached(make, argument, dtype, device):
    with torch.inference_mode(False):  # to serve later where there are gradients
        return make(argument, dtype, device)


def _identity(d, dtype, device):
    return torch.eye(d, dtype=dtype, device=device)


def _numbers(values, dtype, device):
    return torch.tensor(values, dtype=dtype, device=device)
