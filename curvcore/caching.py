"""Attributes computed once."""

from functools import wraps

import torch


class cached_quantity:  # noqa: N801  (a decorator)
    """Like ``functools.cached_property``, but a result without gradient is not reused with it.

    What was computed under ``no_grad`` is computed anew once gradients are on: otherwise they would
    silently miss a part. Autocast is switched off while computing.
    """

    def __init__(self, compute):
        wraps(compute)(self)
        self._compute = compute
        self._name = compute.__name__

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        if not hasattr(instance, "_cache"):  # compilers of torch up to 2.11 trace no setdefault
            instance._cache = {}
        cache = instance._cache
        for with_gradient in (True, torch.is_grad_enabled()):
            if (self._name, with_gradient) in cache:
                return cache[self._name, with_gradient]
        if torch.is_autocast_enabled(instance.device_type):
            with torch.autocast(instance.device_type, enabled=False):
                result = self._compute(instance)
        else:
            result = self._compute(instance)
        cache[self._name, torch.is_grad_enabled()] = result
        return result
