"""Jets: a map together with its derivatives at given points."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from curvcore.display import SYMBOLIC, Displayed, Row, kind_of, rows_about, told
from curvcore.errors import InputError
from curvcore.packing import pack, unpack

_FIELDS = ("value", "jacobian", "hessian", "third")


class _HasJacobian:
    """What the Jacobian (..., D, d) tells of whatever holds one."""

    @property
    def dimension(self) -> int:
        """Latent dimension d."""
        return self.jacobian.shape[-1]

    @property
    def ambient_dimension(self) -> int:
        """Dimension D of the space that derivatives are vectors in."""
        return self.jacobian.shape[-2]

    @property
    def is_symbolic(self) -> bool:
        """Whether the entries are exact numbers in object arrays rather than torch tensors."""
        return not isinstance(self.jacobian, torch.Tensor)

    @property
    def device_type(self) -> str:
        """``"cpu"``, ``"cuda"``, ..."""
        return "cpu" if self.is_symbolic else self.jacobian.device.type


class Jet(_HasJacobian, Displayed):
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
    :mod:`curvcore.arithmetic`), then without the batch axis. Higher derivatives are ``None`` where
    the jet's order is lower; all are taken to be symmetric.

    Raises:
        InputError: the shapes do not belong to one jet.
    """

    def __init__(self, value: Any, jacobian: Any, hessian: Any = None, third: Any = None) -> None:
        order = 3 if third is not None else 2 if hessian is not None else 1
        self._arrays = (value, jacobian, hessian, third)[: order + 1]
        self._check_shapes()

    def _check_shapes(self):
        shape, d = tuple(self.value.shape), self.dimension
        if len(shape) != (1 if self.is_symbolic else 2):
            expected = "(D,)" if self.is_symbolic else "(B, D)"
            raise InputError(f"Jet.value must have shape {expected}; got {shape}.")
        for rank, (name, array) in enumerate(zip(_FIELDS, self._arrays, strict=False)):
            expected = shape + (d,) * rank
            if array is None or tuple(array.shape) != expected:
                got = "nothing" if array is None else tuple(array.shape)
                raise InputError(f"Jet.{name} must have shape {expected}; got {got}.")

    @classmethod
    def joined(cls, jets: "list[Jet]") -> "Jet":
        """The jet at the points of all ``jets``, after one another."""
        arrays = zip(*(jet.arrays() for jet in jets), strict=True)
        return Jet(*map(torch.cat, arrays))

    def _about(self) -> dict[str, str]:
        """What tells jets apart, by name, from nothing that is still to be computed."""
        counts = {"order": self.order, "d": self.dimension, "D": self.ambient_dimension}
        found = {name: str(count) for name, count in counts.items()}
        if self.is_symbolic:
            return {"": SYMBOLIC} | found
        return {"points": str(len(self))} | found | {"": ", ".join(kind_of(self._numbers))}

    @property
    def _numbers(self) -> Any:
        """What has the dtype and the device of the jet."""
        return self.jacobian

    def _title(self) -> str:
        return "Jet"

    def _line(self) -> str:
        return f"Jet({', '.join(told(name, text) for name, text in self._about().items())})"

    def _rows(self) -> list[Row]:
        batch, d = () if self.is_symbolic else (len(self),), self.dimension
        shapes = [(*batch, self.ambient_dimension, *[d] * k) for k in range(self.order + 1)]
        named = zip(_FIELDS, shapes, strict=False)
        return rows_about(self._about()) + [Row(name, str(shape)) for name, shape in named]

    def __len__(self) -> int:
        return len(self.jacobian)

    @property
    def value(self) -> torch.Tensor:
        """Ψ^a."""
        return self._array(0)

    @property
    def jacobian(self) -> torch.Tensor:
        """∂_i Ψ^a."""
        return self._array(1)

    @property
    def hessian(self) -> torch.Tensor:
        """∂_i ∂_j Ψ^a; None below order 2."""
        return self._array(2)

    @property
    def third(self) -> torch.Tensor:
        """∂_i ∂_j ∂_k Ψ^a; None below order 3."""
        return self._array(3)

    def _array(self, rank: int) -> Any:
        return self.arrays()[rank] if rank <= self.order else None

    def arrays(self) -> tuple[Any, ...]:
        """The arrays held, lowest order first."""
        return self._arrays

    @property
    def order(self) -> int:
        """Order of the highest derivative held."""
        return len(self._arrays) - 1

    @property
    def is_curved(self) -> bool:
        """Whether Ψ is into a space with a metric of its own (:mod:`curvcore.ambient`)."""
        return False

    def is_finite(self) -> torch.Tensor:
        """At which points value and derivatives are finite: (B,)."""
        return all_finite(self.arrays())

    def derivatives(self):
        """∇Ψ, ∇²Ψ, ... of this jet, packed."""
        levels = [pack(array, rank) for rank, array in enumerate(self.arrays())][1:]
        return Derivatives(*levels)

    def isometric_derivatives(self):
        """Packed derivatives with the same inner products, in R^N with N ≤ D perhaps smaller.

        They are all that intrinsic geometry sees.
        """
        return self.derivatives()

    def difference(self, other: "Jet") -> "Derivatives":
        """Packed derivatives of ``other`` less this, or vectors of about their lengths."""
        pairs = zip(self.derivatives().levels(), other.derivatives().levels(), strict=False)
        return Derivatives(*(theirs - own for own, theirs in pairs))

    def isometric_channels(self, rows: int) -> torch.Tensor:
        """The same as (K, B, N), of several jets of one decoder at the same points.

        Args:
            rows: how many vectors of all these jets there are: the N of all is what pays for them.
        """
        return self.derivatives().stacked()


@dataclass(frozen=True, eq=False)
class Derivatives(_HasJacobian):
    """∇Ψ, ∇²Ψ, ∇³Ψ, packed: (..., D, d), (..., D, d(d+1)/2), (..., D, d(d+1)(d+2)/6).

    The entries stand in the order of :mod:`curvcore.packing`. ``channels`` are the same numbers as
    one tensor (K, B, D), where they are held so.
    """

    jacobian: Any
    second: Any = None
    third: Any = None
    channels: Any = None

    @property
    def order(self):
        """Order of the highest derivative held."""
        return len(self.levels())

    def full(self, rank):
        """All partial derivatives of one order: (..., D, d, ..., d)."""
        return unpack(self.levels()[rank - 1], self.dimension, rank)

    def levels(self):
        """The levels held, lowest order first."""
        return tuple(x for x in (self.jacobian, self.second, self.third) if x is not None)

    def stacked(self):
        """All as one tensor (K, B, D)."""
        if self.channels is not None:
            return self.channels
        return torch.cat([level.movedim(-1, 0) for level in self.levels()])

    def map(self, function):
        """The derivatives whose levels are ``function`` of these."""
        return Derivatives(*map(function, self.levels()))


def all_finite(arrays):
    """Where, along axis 0, all entries of all ``arrays`` (B, ...) are finite: (B,)."""
    return torch.isfinite(torch.stack([total(array, 1) for array in arrays])).all(0)


def total(array, axis):
    """The sum over all axes from ``axis`` on: not finite where an entry is not; no gradient."""
    half = array.dtype in (torch.float16, torch.bfloat16)  # whose sums need not stay finite
    axes = tuple(range(axis, array.ndim))
    return array.detach().sum(axes, dtype=torch.float32 if half else array.dtype)


class JetProvider(Protocol):
    """Whatever turns a decoder and latent points z (B, d) into a Jet of the given order."""

    def __call__(self, decoder, z, order) -> Jet: ...
