"""Attributes computed once."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, TypeVar, overload

import torch

T = TypeVar("T")


class cached_quantity(Generic[T]):  # noqa: N801  (a decorator)
    """Like ``functools.cached_property``, but a result without gradient is not reused with it.

    What was computed under ``no_grad`` is computed anew once gradients are on: otherwise they would
    silently miss a part. Autocast is switched off while computing.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        wraps(compute)(self)
        self._compute = compute
        self._name = compute.__name__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> "cached_quantity[T]": ...

    @overload
    def __get__(self, instance: object, owner: Any = None) -> T: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        __tracebackhide__ = True  # IPython and pytest pass over what says nothing of an error
        if instance is None:
            return self
        if not hasattr(instance, "_cache"):  # compilers of torch up to 2.11 trace no setdefault
            instance._cache = {}
        cache = instance._cache
        for with_gradient in (True, torch.is_grad_enabled()):
            if (self._name, with_gradient) in cache:
                return cache[self._name, with_gradient]
        result = _without_autocast(instance.device_type, self._compute, instance)
        cache[self._name, torch.is_grad_enabled()] = result
        return result


def quantity(method: Callable[..., T]) -> Callable[..., T]:
    """A method that computes with autocast switched off, as cached quantities do."""

    @wraps(method)
    def computed(self, *args, **kwargs):
        __tracebackhide__ = True
        return _without_autocast(self.device_type, method, self, *args, **kwargs)

    return computed


def _without_autocast(device_type, function, *args, **kwargs):
    __tracebackhide__ = True
    if not torch.is_autocast_enabled(device_type):
        return function(*args, **kwargs)
    with torch.autocast(device_type, enabled=False):
        return function(*args, **kwargs)
