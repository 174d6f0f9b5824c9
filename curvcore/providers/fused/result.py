"""The jet that comes out: packed, and behind a last linear layer not yet computed."""

import torch

from curvcore.caching import cached_quantity
from curvcore.jets import Derivatives, Jet, total
from curvcore.modes import is_transformed
from curvcore.packing import unpack
from curvcore.providers.fused.jet_tensor import JetTensor
from curvcore.providers.fused.product_rules import split_levels


class FusedJet(Jet):
    """The jet held by a JetTensor, the output flattened to D components.

    Where the decoder ends in a linear layer, that layer's image is computed when it is looked at;
    intrinsic geometry goes by :mod:`curvcore.providers.fused.readout` where that is cheaper. What
    was made without gradients stays without.
    """

    def __init__(self, source, last_layer, ambient_dimension):
        self._source, self._last_layer = source, last_layer
        self.ambient_dimension = ambient_dimension
        self._with_gradient = torch.is_grad_enabled()

    @classmethod
    def of(cls, output):
        """The jet of a decoder's output; parameters may change afterwards."""
        ambient_dimension = output.shape[1:].numel()
        if output.pending is None:
            return cls(output.frozen(), None, ambient_dimension)
        source, last_layer = output.pending
        return cls(source, last_layer.snapshot(), ambient_dimension)

    @classmethod
    def joined(cls, jets):
        """The jet at the points of all ``jets``, of one decoder."""
        first, source = jets[0], JetTensor.joined([jet._source for jet in jets])
        return cls(source, first._last_layer, first.ambient_dimension)

    def moved(self, roundings):
        """This, what goes into the last layer moved (:mod:`curvcore.providers.roundings`)."""
        return FusedJet(self._source.moved(roundings), self._last_layer, self.ambient_dimension)

    def difference(self, other):
        """As of :class:`Jet`; of what goes into the last layer, if both have one.

        That layer is one and the same here, though it may have been moved for ``other``.
        """
        if not isinstance(other, FusedJet) or None in (self._last_layer, other._last_layer):
            return super().difference(other)
        channels = other._source.all_channels()
        channels = channels - self._source.all_channels()[: len(channels)]
        return self._packed(channels @ self._last_layer.sketch().mT)

    ambient_dimension = None
    order = property(lambda self: self._source.order)
    dimension = property(lambda self: self._source.d)
    device_type = property(lambda self: self._source.device.type)
    is_symbolic = False
    _numbers = property(lambda self: self._source)

    def __len__(self):
        return len(self._source)

    def is_finite(self):
        """At which points value and derivatives are finite: (B,)."""
        value, channels = self._source.value, self.isometric_derivatives().channels
        sums = total(value, 1) + total(channels.movedim(0, 1), 1)
        if self._last_layer is not None and self._last_layer.bias is not None:
            sums = sums + total(self._last_layer.bias, 0)
        return torch.isfinite(sums)

    def arrays(self):
        """The arrays held, lowest order first."""
        return tuple(map(self._array, range(self.order + 1)))

    def _array(self, rank):
        if rank == 0:
            return self._value
        if rank > self.order:
            return None
        return unpack(self.derivatives().levels()[rank - 1], self.dimension, rank)

    def derivatives(self):
        """∇Ψ, ∇²Ψ, ... of this jet, packed."""
        return self._derivatives

    def isometric_derivatives(self):
        """Packed derivatives with the same inner products, of the cheapest kind."""
        return self._isometric_derivatives

    # --- computed when looked at ----------------------------------------------------------------

    @cached_quantity
    def _value(self):
        value = self._source.value
        with self._gradients():
            if self._last_layer is not None:
                value = self._last_layer.of_value(value)
            return value.flatten(1)

    @cached_quantity
    def _derivatives(self):
        channels = self._source.all_channels()
        with self._gradients():
            if self._last_layer is not None:
                channels = self._last_layer.of_channels(channels)
            return self._packed(channels)

    @cached_quantity
    def _isometric_derivatives(self):
        channels = self._source.all_channels()
        if self._has_short_cut(rows=channels[..., 0].numel()):
            return self._packed(self._short_cut(channels))
        return self._derivatives

    def isometric_channels(self, rows):
        """Packed derivatives with the same inner products as (K, B, N), as of :class:`Jet`."""
        if self._has_short_cut(rows):
            return self._short_cut(self._source.all_channels()).flatten(2)
        return self._derivatives.channels

    def _has_short_cut(self, rows):
        last_layer = self._last_layer
        return last_layer is not None and not is_transformed() and last_layer.pays(rows)

    def _short_cut(self, channels):
        with self._gradients():
            if self._source.stack is not None:  # whose gradient then comes in one piece
                return self._last_layer.isometric_image(self._source.stack, first=1)
            return self._last_layer.isometric_image(channels)

    def _gradients(self):
        """No gradient of the last layer alone, where the others have none."""
        return torch.set_grad_enabled(self._with_gradient and torch.is_grad_enabled())

    def _packed(self, channels):
        """Derivatives (B, D, K) of channels (K, B, ...)."""
        channels = channels.flatten(2)
        levels = split_levels(channels, self.dimension)
        return Derivatives(*(level.permute(1, 2, 0) for level in levels), channels=channels)
