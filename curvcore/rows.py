"""Functions of points and curves, for decoders of which every row has inputs of its own."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

import torch

from curvcore.binding import bound_at
from curvcore.providers.bound import alone, rows_of

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def each_row_alone(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorator: a function of a decoder and tensors (B, ...) works row by row for such decoders.

    Its results are tensors (B, ...), or dataclasses of these. Of keywords only ``path`` has rows.
    """

    is_of_paths = [*signature(function).parameters][1] == "path"

    @wraps(function)
    def call(decoder, first, *others, **options):
        has_rows = isinstance(first, torch.Tensor) and first.ndim >= 2 + is_of_paths
        if not has_rows or not callable(decoder):
            return function(decoder, first, *others, **options)
        bound, _ = bound_at(decoder, first[:, 0] if is_of_paths else first)
        if not rows_of(bound):
            return function(decoder, first, *others, **options)
        results = []
        for n in range(len(first)):
            own = {k: _row(x, n) if k == "path" else x for k, x in options.items()}
            rows = (_row(x, n) for x in (first, *others))
            results.append(function(alone(bound, n), *rows, **own))
        return joined(results)

    return call


def _row(tensor, n):
    is_of_rows = isinstance(tensor, torch.Tensor) and tensor.ndim > 1
    return tensor[n : n + 1] if is_of_rows else tensor


def joined(results):
    """Results for some of the rows each, tensors or dataclasses of tensors (B, ...), as one."""
    if isinstance(results[0], torch.Tensor):
        return torch.cat(results)
    names = [field.name for field in fields(results[0])]
    return type(results[0])(
        **{name: torch.cat([getattr(result, name) for result in results]) for name in names}
    )
