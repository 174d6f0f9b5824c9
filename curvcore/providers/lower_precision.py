"""Which operations of a decoder compute in a lower precision than that of the points."""

import torch
from torch.overrides import TorchFunctionMode, resolve_name

from curvcore.providers.primitives import call_plainly


def operations_in_lower_precision(decoder, z):
    """Names of the operations that make of a tensor of z's dtype one of a coarser dtype, and these.

    Many packages compute norms and softmax in float32, whatever they are given. In float64 their
    values then move in leaps, of which no derivative knows.

    Args:
        decoder: callable (B, d) -> (B, ...).
        z: points (B, d).

    Returns:
        A dict: name -> dtype.
    """
    conversions = _Conversions(z.dtype)
    with torch.no_grad(), conversions:
        call_plainly(decoder, z.clone())
    return conversions.found


class _Conversions(TorchFunctionMode):
    """Within this context operations that lower the precision are noted."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype, self.found = dtype, {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        lowered = _is_coarser(output, self.dtype)
        if lowered and any(getattr(x, "dtype", None) == self.dtype for x in args):
            self.found[resolve_name(function) or repr(function)] = output.dtype
        return output


def _is_coarser(tensor, dtype):
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        return False
    return torch.finfo(tensor.dtype).eps > torch.finfo(dtype).eps
