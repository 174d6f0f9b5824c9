"""Outputs that are not one tensor: dicts, tuples, dataclasses, distributions."""

import dataclasses
from collections.abc import Mapping

from torch.distributions import Distribution

from curvcore.errors import DecoderError

_OF_DISTRIBUTIONS = ("mean", "stddev", "variance", "logits", "probs", "loc", "scale", "rate")


def chosen(output, choice):
    """The part of a decoder's output that ``choice`` names.

    Args:
        output: what it returned.
        choice: a key, an attribute's name, an index, a callable, or None for the whole.

    Raises:
        DecoderError: there is no such part; the message lists those that there are.
    """
    if choice is None:
        return output
    if callable(choice):
        return choice(output)
    try:
        if isinstance(choice, str) and not isinstance(output, Mapping):
            return getattr(output, choice)
        return output[choice]
    except (AttributeError, KeyError, IndexError, TypeError):
        raise DecoderError(
            f"The decoder returned {type(output).__name__}, which has no {choice!r}. "
            f"{advice(output)}"
        ) from None


def advice(output):
    """What to write for an output that is not one tensor."""
    parts = _parts(output)
    if not parts:
        return "Write output= a function that makes a tensor (B, ...) of it."
    listed = ", ".join(f"output={name!r} {_words(part)}" for name, part in parts.items())
    return f"Choose a part of it: {listed}."


def _parts(output):
    """The parts that are like tensors, by what to write for them."""
    if isinstance(output, Mapping):
        parts = output
    elif isinstance(output, Distribution):
        parts = {name: _attribute(output, name) for name in _OF_DISTRIBUTIONS}
    elif hasattr(output, "_fields"):  # a named tuple
        parts = output._asdict()
    elif dataclasses.is_dataclass(output):
        parts = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    elif isinstance(output, (tuple, list)):
        parts = dict(enumerate(output))
    else:
        parts = getattr(output, "__dict__", {})
    return {name: part for name, part in parts.items() if hasattr(part, "shape") or _has(part)}


def _has(part):
    return isinstance(part, (Mapping, Distribution, tuple, list)) and len(_parts(part)) > 0


def _attribute(distribution, name):
    try:
        return getattr(distribution, name)
    except (AttributeError, NotImplementedError):  # torch's words for what it does not have
        return None


def _words(part):
    return tuple(part.shape) if hasattr(part, "shape") else f"({type(part).__name__})"
