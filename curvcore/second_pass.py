"""A second pass through a decoder, made when it is asked for."""

import torch
from torch import nn

from curvcore.errors import InputError
from curvcore.modes import is_plain_eager


class SecondPass:
    """The jet that ``derive(decoder, z)`` gives, without gradients.

    It is of no use once what it is held against is of other parameters or points. A copy of what
    holds it, pickled or not, has none.
    """

    def __init__(self, derive, decoder, z):
        self._derive, self._decoder, self._z = derive, decoder, z.detach()
        self._seen = self._state()

    @classmethod
    def of(cls, derive, decoder, z):
        """The SecondPass through a decoder of tensors; None within compilers and transforms."""
        is_possible = isinstance(z, torch.Tensor) and is_plain_eager()
        return cls(derive, decoder, z) if is_possible else None

    def __reduce__(self):
        return type(None), ()

    def jet(self):
        """The jet.

        Raises:
            InputError: parameters or points have changed.
        """
        if self._state() != self._seen:
            raise InputError(
                "The decoder's parameters, or z, have changed since the geometry was made, and "
                "rounding inside the decoder is estimated by a second pass through it. Ask for "
                "scalar_error before, or call pullback again."
            )
        with torch.no_grad():
            return self._derive(self._decoder, self._z)

    def _state(self):
        """Which tensors these are, and how often each was written to."""
        module = getattr(self._decoder, "__self__", self._decoder)
        own = module.parameters() if isinstance(module, nn.Module) else ()
        return [(id(x), 0 if x.is_inference() else x._version) for x in (self._z, *own)]
