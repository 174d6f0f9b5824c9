"""Decoders that compute norms or softmax in float32 whatever they are given, kept from it."""

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class InFullPrecision(nn.Module):
    """A decoder in which conversions to float32 are conversions to float64.

    In float64 curvcore refuses it as it is, and says why: its values move in leaps. In float32 it
    is served, and this is the same map without the rounding.
    """

    def __init__(self, module, method="forward"):
        super().__init__()
        self.module, self.method = module, method

    def forward(self, z, **inputs):
        with _Raised():
            return getattr(self.module, self.method)(z, **inputs)


class _Raised(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        args = tuple(map(_raised, args))
        kwargs = {name: _raised(value) for name, value in (kwargs or {}).items()}
        return _FUNCTIONS.get(function, function)(*args, **kwargs)


_FUNCTIONS = {torch.Tensor.float: torch.Tensor.double}


def _raised(argument):
    return torch.float64 if argument is torch.float32 else argument
