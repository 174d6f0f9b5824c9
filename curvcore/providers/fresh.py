"""Tensors that a decoder makes for itself, to write what depends on z into them.

``y = torch.zeros(len(z), 3); y[:, 0] = z[:, 0].sin()``: nothing in the first line tells that y will
depend on z, and afterwards it cannot become what it is not. So the decoder is called once more,
and what such functions make is then replaced.
"""

from contextvars import ContextVar

import torch
from torch.overrides import TorchFunctionMode

_NAMES = (
    "zeros", "ones", "empty", "full", "eye", "zeros_like", "ones_like", "empty_like", "full_like",
    "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "tensor", "clone", "repeat",
    "tile", "empty_strided",
)  # fmt: skip
_MAKING = {
    getattr(place, name)
    for name in _NAMES
    for place in (torch, torch.Tensor)
    if hasattr(place, name)
}


_CANNOT_WRITE = "inplace arithmetic", "match the broadcast shape"  # in torch's words
_active = ContextVar("active", default=None)


class FreshTensors(TorchFunctionMode):
    """Within this context, each tensor of real or complex numbers made by ``zeros``, ``clone``, ...
    is what ``replaced`` makes of it.
    """

    def __init__(self, replaced):
        super().__init__()
        self.replaced = replaced

    def __enter__(self):
        self._token = _active.set(self)
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        _active.reset(self._token)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return self.called(function, function, args, kwargs or {})

    def called(self, rule, function, args, kwargs):
        """rule(*args, **kwargs) in the place of ``function``; the rule's own tensors stay."""
        is_at_work = _active.get() is self
        token = _active.set(None)
        try:
            made = rule(*args, **kwargs)
            if is_at_work and function in _MAKING and _is_of_numbers(made):
                return self.replaced(made)
            return made
        finally:
            _active.reset(token)


def _is_of_numbers(made):
    is_tensor = isinstance(made, torch.Tensor)
    return is_tensor and (made.is_floating_point() or made.is_complex())


def active_fresh_tensors():
    """The FreshTensors at work, or None."""
    return None if torch.compiler.is_compiling() else _active.get()


class Rows:
    """A decoder that may write what depends on the points into tensors that it makes."""

    def __init__(self, decoder):
        self.decoder, self.writes = decoder, False

    def __call__(self, points, decoder=None):
        """decoder(points), under transforms of torch.func; ``decoder`` in place of its own."""
        decoder = decoder or self.decoder
        if not self.writes:
            return decoder(points)

        def of_the_points(made):  # under every transform that they are under
            return points.new_empty(made.shape, dtype=made.dtype).copy_(made)

        with FreshTensors(of_the_points):
            return decoder(points)

    def tried(self, function, *args):
        """function(*args), which calls this; again, if torch could not write.

        It cannot write into a tensor that is not under the transforms that what is written is.
        """
        try:
            return function(*args)
        except RuntimeError as error:
            if self.writes or not any(words in str(error) for words in _CANNOT_WRITE):
                raise
            self.writes = True
            return function(*args)
