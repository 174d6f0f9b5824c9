"""JetTensor: what flows through a decoder's ``forward`` in place of a tensor.

Not a tensor, and no tracing: an ordinary object whose torch operations are looked up in the rule
table (:mod:`curvcore.providers.fused.registry`) by ``__torch_function__``.
"""

from collections import UserDict

import torch
from torch.overrides import resolve_name

from curvcore.constants import identity
from curvcore.errors import MissingRuleError, UnsupportedOperationError
from curvcore.providers.arguments import by_position
from curvcore.providers.fresh import active_fresh_tensors
from curvcore.providers.fused.product_rules import level_sizes, split_levels
from curvcore.providers.roundings import active_roundings


class Rules(UserDict):
    """Rules by torch function, with a ``revision`` that counts changes.

    The rule of a function is that of its form that works in place as well.
    """

    revision = 0

    def __setitem__(self, function, rule):
        self.revision += 1
        super().__setitem__(function, rule)
        for twin in _in_place_forms(function):
            self.data[twin] = _writing(rule)


_OF_SHAPES = {"squeeze", "unsqueeze", "transpose", "swapaxes", "swapdims", "t"}  # not of numbers


def _in_place_forms(function):
    name = getattr(function, "__name__", "_")
    places = torch.Tensor, torch, torch.nn.functional, torch.special
    is_of_torch = any(getattr(place, name, None) is function for place in places)
    if not is_of_torch or name.endswith("_") or name in _OF_SHAPES:
        return []
    forms = [getattr(place, f"{name}_", None) for place in places]
    return [form for form in forms if callable(form)]


def _writing(rule):
    def write(x, *args, **kwargs):
        if not isinstance(x, JetTensor):
            raise ConstantWrittenError
        return x.become(rule(x, *args, **kwargs))

    return write


class ConstantWrittenError(MissingRuleError):
    """What depends on the latent point is written into a tensor."""

    def __init__(self):
        super().__init__(
            "derivatives='fused' cannot write what depends on z into a tensor that the decoder has "
            "not made by torch.zeros, empty, full, clone or the like in its forward. Write into a "
            "clone of it."
        )


RULES = Rules()


class _Content:
    """What a JetTensor holds: computed when it is looked at, never written to."""

    __slots__ = (
        "computed", "is_moved", "layer", "moved", "pending", "shape", "stack", "with_gradient",
    )  # fmt: skip

    def __init__(self, computed, shape):
        self.computed, self.shape = computed, torch.Size(shape)
        self.pending = self.layer = self.stack = self.with_gradient = self.moved = None
        self.is_moved = False

    def compute(self):
        """Value and channels."""
        if self.layer is not None:
            self.stack, self.layer = self.layer.stack(), None
            self.computed = self.stack[0], self.stack[1:]
        if self.computed is None:
            source, affine_map = self.pending
            with torch.set_grad_enabled(self.with_gradient):  # not what holds where it is seen
                value = affine_map.of_value(source.value).reshape(self.shape)
                channels = affine_map.of_channels(source.channels)
                channels = channels.reshape(*channels.shape[:2], *self.shape[1:])
            self.computed = value, channels
        return self.computed


class JetTensor:
    """A tensor x(z) (B, ...) together with its derivatives in z at B points.

    Attributes:
        value: x, (B, ...).
        channels: packed derivatives (K, B, ...) of :mod:`curvcore.packing`, up to
            the last level that is not structurally zero. A batch axis of length one says that they
            are the same at all points.
        d: latent dimension.
        order: the order that is propagated.
        pending: the source and the affine map that this is the image of, if it was not looked at.
        layer: the hidden layer that this comes out of, if it was not looked at.
        memory: what it shares with its views (:mod:`curvcore.providers.fused.views`), if any.
    """

    __slots__ = ("_held", "d", "memory", "order")

    def __init__(self, value, channels, d, order, *, shape=None):
        computed = None if value is None else (value, channels)
        self._held = _Content(computed, value.shape if shape is None else shape)
        self.d, self.order, self.memory = d, order, None

    @classmethod
    def coordinates(cls, z, order):
        """The latent points themselves: first derivatives are the identity, others vanish."""
        # A compiler of dynamic shapes takes the length of a tuple for constant.
        d = len(z.unbind(1)) if torch.compiler.is_compiling() else z.shape[1]
        return cls(z, identity(d, z.dtype, z.device)[:, None, :], d, order)

    @classmethod
    def along(cls, z, directions, order):
        """The points z + V y for V = ``directions`` (B, d, k), as functions of y at y = 0."""
        return cls(z, directions.movedim(-1, 0).contiguous(), directions.shape[-1], order)

    @classmethod
    def of_stack(cls, stack, d, order):
        """The JetTensor of value and channels (1 + K, B, ...)."""
        jet = cls(stack[0], stack[1:], d, order)
        jet._held.stack = stack
        return jet

    @classmethod
    def of_layer(cls, layer, shape):
        """What comes out of a hidden layer (:mod:`curvcore.providers.fused.hidden_layers`)."""
        source = layer.source
        jet = cls(None, None, source.d, source.order, shape=shape)
        jet._held.layer = layer
        return jet

    def like(self, value, channels):
        """A JetTensor of the same order in the same latent points."""
        return JetTensor(value, channels, self.d, self.order)

    def constant(self, value):
        """A JetTensor that does not depend on these latent points."""
        return self.like(value, value.new_zeros(()).expand(self.d, *value.shape))

    def frozen(self):
        """This as it is now, whatever is written to it later."""
        jet = JetTensor(None, None, self.d, self.order, shape=self.shape)
        jet._held = self.held
        return jet

    def mapped(self, affine_map):
        """The image under a pending affine map, computed when it is looked at.

        A decoder's last layer often is one; curvature then needs only the inner products that it
        leads to (:mod:`curvcore.providers.fused.readout`).
        """
        shape = (*self.shape[:-1], affine_map.output_dimension)
        return self._pending((self.frozen(), affine_map), shape)

    def reshaped(self, shape):
        """The same pending image in another shape (B, ...)."""
        return self._pending(self.pending, shape)

    def _pending(self, pending, shape):
        image = JetTensor(None, None, self.d, self.order, shape=shape)
        image._held.pending = pending
        image._held.with_gradient = torch.is_grad_enabled()
        return image

    @property
    def is_pending(self):
        """Whether this is the image of a layer that was not computed."""
        return self.pending is not None and self.held.computed is None

    def moved(self, roundings):
        """This, each number moved as :mod:`curvcore.providers.roundings` says, once for all.

        The image of a layer that was not computed yet stays: the weights of it were moved.
        """
        held = self.held
        if held.is_moved or self.is_pending or self.layer is not None:
            return self
        if held.moved is None:
            value, channels = held.computed
            shape = (1, *self.shape[1:])
            held.moved = self.like(
                value * roundings.factors(shape, value),
                channels * roundings.factors((len(channels), *shape), channels),
            )
            held.moved._held.is_moved = True
        return held.moved

    @classmethod
    def joined(cls, jets):
        """All points of ``jets`` after one another."""
        value = torch.cat([jet.value for jet in jets])
        return jets[0].like(value, torch.cat([jet.all_channels() for jet in jets], dim=1))

    def settle(self):
        """Compute what is pending, with the parameters as they are, but for a last linear layer."""
        (self.pending[0] if self.is_pending else self).held.compute()

    # --- what is held, and written to -------------------------------------------------------------

    @property
    def held(self):
        """What it holds now, should something that shares its memory have been written to."""
        if self.memory is not None:
            self._held = self.memory.now(self._held)
        return self._held

    def become(self, new):
        """Write ``new``, a jet or a constant, of the same shape or one that broadcasts to it.

        What shares memory with this sees it. Returns this.
        """
        if not isinstance(new, JetTensor):
            new = self.constant(torch.as_tensor(new, dtype=self.dtype, device=self.device))
        new = new if new.dtype == self.dtype else new.to(self.dtype)
        new = new if new.shape == self.shape else new.expand(self.shape)
        new = self._laid_out(new)
        self._held = new.held if self.memory is None else self.memory.written(new)
        return self

    def _laid_out(self, new):
        """``new`` with the strides of this, on which it depends what of it are views."""
        if torch.compiler.is_compiling() or (new.is_pending and self.is_pending):
            return new
        if not isinstance(self.value, torch.Tensor):  # exact numbers have none
            return new
        axes = sorted(range(self.ndim), key=lambda axis: -self.value.stride(axis))
        value = new.value.permute(axes).contiguous()
        value = value.permute(sorted(range(self.ndim), key=axes.__getitem__))
        return new.like(value, new.channels)

    @property
    def _source(self):
        """A tensor of the same dtype and device, computed already."""
        if self.layer is not None:
            return self.layer.affine_map.weight
        return self.pending[0]._source if self.is_pending else self.value

    @property
    def stack(self):
        """Value and all channels as one tensor (1 + K, B, ...), where they are held so."""
        if self.layer is not None:
            self.held.compute()
        return self.held.stack

    pending = property(lambda self: self.held.pending)
    layer = property(lambda self: self.held.layer)
    value = property(lambda self: self.held.compute()[0])
    channels = property(lambda self: self.held.compute()[1])

    @property
    def levels(self):
        """The levels that are not structurally zero, lowest first."""
        return split_levels(self.channels, self.d)

    def channels_at_every_point(self):
        """The channels with the batch axis expanded."""
        return self.channels.expand(-1, *self.value.shape)

    def all_channels(self):
        """All channels up to ``order`` at every point, zeros included."""
        missing = sum(level_sizes(self.d, self.order)) - self.channels.shape[0]
        channels = self.channels_at_every_point()
        if not missing:
            return channels
        return torch.cat([channels, channels.new_zeros((missing, *self.value.shape))])

    # --- it acts like a tensor ------------------------------------------------------------------

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        rule = RULES.data.get(function)  # a plain dict: torch.compile before 2.8 follows no other
        if rule is None:
            name = resolve_name(function) or getattr(function, "__name__", repr(function))
            raise MissingRuleError(
                f"derivatives='fused' has no rule for {name}. Write derivatives='autodiff', or "
                "register a rule: see curvcore.rules."
            )
        args, kwargs = by_position(function, args, kwargs or {})
        roundings = active_roundings()
        if roundings is not None:
            args = roundings.arguments(function, args, kwargs)
        fresh = active_fresh_tensors()
        if fresh is not None:
            return fresh.called(rule, function, args, kwargs)
        return rule(*args, **kwargs)

    def __getattr__(self, name):
        method = getattr(torch.Tensor, name, None)
        if not callable(method) or name.startswith("__"):
            raise AttributeError(f"a tensor under derivatives='fused' has no attribute {name!r}")
        return lambda *args, **kwargs: _dispatch(method, self, *args, **kwargs)

    shape = property(lambda self: self._held.shape)  # which writing does not change
    ndim = property(lambda self: len(self._held.shape))
    dtype = property(lambda self: self._source.dtype)
    device = property(lambda self: self._source.device)
    T = property(lambda self: self.permute(*reversed(range(self.ndim))))
    mT = property(lambda self: self.transpose(-2, -1))  # noqa: N815  (torch's name)
    mH = property(lambda self: self.mT.conj() if self.is_complex() else self.mT)  # noqa: N815
    real = property(lambda self: torch.real(self) if self.is_complex() else self)
    imag = property(lambda self: torch.imag(self))
    __array_ufunc__ = None  # numpy numbers leave operators to this class
    is_nested = False
    is_sparse = False
    requires_grad = True

    def __len__(self):
        return self.shape[0]

    def __bool__(self):
        raise UnsupportedOperationError("A decoder may not branch on its values.")


def _dispatch(function, *args, **kwargs):
    return JetTensor.__torch_function__(function, (), args, kwargs)


def _in_place_operator(function):
    return lambda x, other: _dispatch(function, x, other)


def overload_operators(kind, unary_and_comparisons):
    """Give a class Python's operators, by way of its ``__torch_function__``."""

    def operator(function):
        return lambda *args: kind.__torch_function__(function, (), args)

    def reflected(function):
        return lambda self, other: kind.__torch_function__(function, (), (other, self))

    for name, function in {
        "add": torch.add, "sub": torch.sub, "mul": torch.mul, "truediv": torch.div,
        "pow": torch.pow, "matmul": torch.matmul,
    }.items():  # fmt: skip
        setattr(kind, f"__{name}__", operator(function))
        setattr(kind, f"__r{name}__", reflected(function))
    for name in unary_and_comparisons:
        setattr(kind, f"__{name}__", operator(getattr(torch.Tensor, f"__{name}__")))


overload_operators(
    JetTensor, ("neg", "abs", "getitem", "setitem", "lt", "le", "gt", "ge", "eq", "ne")
)
for _name, _written in {
    "add": "add_", "sub": "sub_", "mul": "mul_", "truediv": "div_", "pow": "pow_",
}.items():  # fmt: skip
    setattr(JetTensor, f"__i{_name}__", _in_place_operator(getattr(torch.Tensor, _written)))
JetTensor.__hash__ = object.__hash__
