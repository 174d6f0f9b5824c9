"""The jet that comes out: packed, and behind a last linear layer not yet computed."""

import torch

from curvcore.caching import cached_quantity
from curvcore.errors import InputError
from curvcore.jets import Derivatives, Jet, all_finite
from curvcore.packing import unpack
from curvcore.providers.fused.jet_tensor import JetTensor
from curvcore.providers.fused.product_rules import split_levels


class FusedJet(Jet):
    """The jet held by a JetTensor, the output flattened to D components.

    Where the decoder ends in a linear layer, that layer's image is computed when it is looked at;
    intrinsic geometry goes by :mod:`curvcore.providers.fused.readout` where that is cheaper. Until
    then the layer's parameters must stay as they are.

    Raises:
        InputError: on access, if they were changed in place.
    """

    def __init__(self, output):
        self._output = output
        if output.pending is not None:
            self._last_layer = output.pending[1]
            self._versions = self._last_layer.versions()

    order = property(lambda self: self._output.order)
    dimension = property(lambda self: self._output.d)
    ambient_dimension = property(lambda self: self._output.shape[1:].numel())
    device_type = property(lambda self: self._output.device.type)
    is_symbolic = False

    def __len__(self):
        return self._output.shape[0]

    @classmethod
    def joined(cls, jets):
        """The jet at the points of all ``jets``, of one decoder."""
        return cls(JetTensor.joined([jet._output for jet in jets]))

    def is_finite(self):
        """At which points value and derivatives are finite: (B,)."""
        source, last_layer = self._split()
        arrays = [source.value, *self.isometric_derivatives().levels()]
        finite = all_finite(arrays)
        if last_layer is None or last_layer.bias is None:
            return finite
        return finite & torch.isfinite(last_layer.bias.detach().sum())

    def arrays(self):
        """The arrays held, lowest order first."""
        return self._arrays

    @cached_quantity
    def _arrays(self):
        source, last_layer = self._split()
        value = source.value if last_layer is None else last_layer.of_value(source.value)
        levels = self.derivatives().levels()
        full = (unpack(level, self.dimension, rank) for rank, level in enumerate(levels, start=1))
        return (value.flatten(1), *full)

    def derivatives(self):
        """∇Ψ, ∇²Ψ, ... of this jet, packed."""
        return self._derivatives

    @cached_quantity
    def _derivatives(self):
        source, last_layer = self._split()
        channels = source.all_channels()
        return _packed(channels if last_layer is None else last_layer.of_channels(channels), source)

    def isometric_derivatives(self):
        """Packed derivatives with the same inner products, of the cheapest kind."""
        return self._isometric_derivatives

    @cached_quantity
    def _isometric_derivatives(self):
        source, last_layer = self._split()
        channels = source.all_channels()
        if last_layer is None or not last_layer.pays(rows=channels[..., 0].numel()):
            return self._derivatives
        return _packed(channels @ last_layer.isometric_factor(), source)

    def _split(self):
        """The last tensor computed, and the linear layer after it or None."""
        if self._output.pending is None:
            return self._output, None
        if self._last_layer.versions() != self._versions:
            raise InputError(
                "The parameters of the decoder's last layer were changed in place (an optimizer "
                "step?) after this geometry was made. Look at what you need before, or make it "
                "anew."
            )
        return self._output.pending


def _packed(channels, source):
    """Derivatives (B, D, K) of channels (K, B, ...)."""
    levels = split_levels(channels.flatten(2), source.d)
    return Derivatives(*(level.permute(1, 2, 0) for level in levels))
