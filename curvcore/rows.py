"""Functions of points and curves, for decoders of which every row has inputs of its own."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

import torch

from curvcore.binding import bound_at
from curvcore.providers.bound import alone, rows_of
from curvcore.providers.witness import check_rows_belong

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def each_row_alone(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorator: a function of a decoder and tensors (B, ...), for decoders with inputs of rows.

    Rows of which the inputs are the same are worked on together. Results are tensors (B, ...), or
    dataclasses of these. Of keywords only ``path`` has rows.
    """
    is_of_paths = [*signature(function).parameters][1] == "path"

    @wraps(function)
    def call(decoder, first, *others, **options):
        has_rows = isinstance(first, torch.Tensor) and first.ndim >= 2 + is_of_paths
        if not has_rows or not callable(decoder):
            return function(decoder, first, *others, **options)
        points = first[:, 0] if is_of_paths else first
        bound, _ = bound_at(decoder, points)
        own = rows_of(bound)
        if not own or not len(first):
            return function(decoder, first, *others, **options)
        check_rows_belong(bound, points)
        results, groups = [], _alike(own.values())
        for rows in groups:
            some = {k: _rows(x, rows) if k == "path" else x for k, x in options.items()}
            tensors = (_rows(x, rows) for x in (first, *others))
            results.append(function(alone(bound, rows[0]), *tensors, **some))
        return in_order(results, groups)

    return call


def _alike(inputs):
    """The rows, by number, of which all inputs (B, ...) are the same: a list of index tensors."""
    numbers = [
        x.detach().flatten(1).unique(dim=0, return_inverse=True)[1] for x in map(_wide, inputs)
    ]
    group = torch.stack(numbers, 1).unique(dim=0, return_inverse=True)[1].cpu()
    return [(group == n).nonzero()[:, 0] for n in range(int(group.max()) + 1)]


def _wide(tensor):
    return tensor[:, None] if tensor.ndim == 1 else tensor


def _rows(tensor, rows):
    is_of_rows = isinstance(tensor, torch.Tensor) and tensor.ndim > 1
    return tensor[rows.to(tensor.device)] if is_of_rows else tensor


def in_order(results, groups):
    """Results for the rows of each group, tensors or dataclasses of tensors (B, ...), as one."""
    order = torch.cat(groups).argsort()
    return _mapped(lambda *parts: torch.cat(parts)[order.to(parts[0].device)], *results)


def _mapped(function, *results):
    """A result of which all parts are ``function`` of those of ``results``."""
    if isinstance(results[0], torch.Tensor):
        return function(*results)
    names = [field.name for field in fields(results[0])]
    parts = {name: function(*(getattr(result, name) for result in results)) for name in names}
    return type(results[0])(**parts)
