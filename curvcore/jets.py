"""Jets: a map together with its derivatives at given points."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from curvcore.errors import InputError

_FIELDS = ("value", "jacobian", "hessian", "third")


@dataclass(frozen=True, eq=False)
class Jet:
    """The k-jet of Ψ: R^d → R^D, k = 1, 2 or 3: its value and derivatives up to order k.

    =============  ==============  ====================
    field          formula         shape, batch first
    =============  ==============  ====================
    ``value``      Ψ^a             (B, D)
    ``jacobian``   ∂_i Ψ^a         (B, D, d)
    ``hessian``    ∂_i ∂_j Ψ^a     (B, D, d, d)
    ``third``      ∂_i∂_j∂_k Ψ^a   (B, D, d, d, d)
    =============  ==============  ====================

    The arrays are torch tensors, or numpy object arrays of exact numbers (see
    :mod:`curvcore.arithmetic`), then without the batch axis.

    Raises:
        InputError: the shapes do not belong to one jet.
    """

    value: Any
    jacobian: Any
    hessian: Any = None
    third: Any = None

    def __post_init__(self):
        shape, d = tuple(self.value.shape), self.jacobian.shape[-1]
        if len(shape) != (1 if self.is_symbolic else 2):
            expected = "(D,)" if self.is_symbolic else "(B, D)"
            raise InputError(f"Jet.value must have shape {expected}; got {shape}.")
        for order, name in enumerate(_FIELDS[: self.order + 1]):
            array = getattr(self, name)
            expected = shape + (d,) * order
            if array is None or tuple(array.shape) != expected:
                got = "nothing" if array is None else tuple(array.shape)
                raise InputError(f"Jet.{name} must have shape {expected}; got {got}.")

    @property
    def order(self):
        """Order of the highest derivative held."""
        return 3 if self.third is not None else 2 if self.hessian is not None else 1

    @property
    def dimension(self):
        """Latent dimension d."""
        return self.jacobian.shape[-1]

    @property
    def ambient_dimension(self):
        """Dimension D of the (flattened) output."""
        return self.jacobian.shape[-2]

    @property
    def is_symbolic(self):
        """Whether the entries are exact numbers in object arrays rather than torch tensors."""
        return not isinstance(self.value, torch.Tensor)

    @property
    def device_type(self):
        """``"cpu"``, ``"cuda"``, ..."""
        return "cpu" if self.is_symbolic else self.value.device.type

    def map(self, function):
        """The jet whose arrays are ``function`` of these."""
        return Jet(*map(function, self.arrays()))

    def arrays(self):
        """The arrays held, lowest order first."""
        return tuple(getattr(self, name) for name in _FIELDS[: self.order + 1])


class JetProvider(Protocol):
    """Whatever turns a decoder and latent points z (B, d) into a Jet of the given order.

    With ``isometric`` any jet with the same inner products ⟨∂_iΨ, ∂_jΨ⟩, ... will do.
    """

    def __call__(self, decoder, z, order, isometric=False) -> Jet: ...
