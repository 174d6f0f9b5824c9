"""Outputs that are not one tensor: dicts, tuples, dataclasses, distributions, and these nested."""

import dataclasses
from collections.abc import Mapping

from torch.distributions import Distribution

from curvcore.errors import DecoderError

_OF_DISTRIBUTIONS = ("mean", "stddev", "variance", "logits", "probs", "base_dist")


def chosen(output, choice):
    """The part of a decoder's output that ``choice`` names.

    Args:
        output: what it returned.
        choice: a key, an attribute's name, an index, a callable, or None for the whole.

    Raises:
        DecoderError: there is no such part, or it has parts itself; the message lists those that
            there are.
    """
    if choice is None:
        return output
    if callable(choice):
        return choice(output)
    try:
        part = _attribute_or_item(output, choice)
    except (AttributeError, KeyError, IndexError, TypeError):
        raise DecoderError(
            f"The decoder returned {type(output).__name__}, which has no {choice!r}. "
            f"{advice(output)}"
        ) from None
    if hasattr(part, "shape"):
        return part
    leaves = _leaves(part, _path("output", output, choice)) or _leaves(output, "output")
    raise DecoderError(
        f"{choice!r} of the decoder's {type(output).__name__} is {_named(part)}, not one tensor. "
        f"{_to_write(leaves)}"
    )


def advice(output):
    """What to write for an output that is not one tensor."""
    return _to_write(_leaves(output, "output"))


def _attribute_or_item(output, choice):
    if isinstance(choice, str) and not isinstance(output, Mapping):
        return getattr(output, choice)
    return output[choice]


def _to_write(leaves):
    """What to write for each of these, with its shape; images of points, where there are any."""
    if not leaves:
        return "Write output= a function that makes a tensor (B, ...) of it."
    images = {text: part for text, part in leaves.items() if _can_be_an_image(part)} or leaves
    listed = ", ".join(f"output={text} {tuple(part.shape)}" for text, part in images.items())
    return f"Choose a part of it: {listed}."


def _can_be_an_image(part):
    is_real = getattr(getattr(part, "dtype", None), "is_floating_point", False)
    return is_real and len(part.shape) > 1


def _leaves(output, path):
    """What is like a tensor in ``output``, by what to write for it.

    ``path`` is the expression of ``output`` itself, of the variable ``output``.
    """
    leaves = {}
    for name, part in _parts(output).items():
        inner = _path(path, output, name)
        if hasattr(part, "shape"):
            leaves[repr(name) if path == "output" else f"lambda output: {inner}"] = part
        elif isinstance(part, (Mapping, Distribution, tuple, list)) or _is_dataclass(part):
            leaves |= _leaves(part, inner)
    return leaves


def _path(path, output, name):
    is_attribute = isinstance(name, str) and not isinstance(output, Mapping)
    return f"{path}.{name}" if is_attribute else f"{path}[{name!r}]"


def _parts(output):
    """The parts of an output, by name or index."""
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, Distribution):
        names = dict.fromkeys((*_OF_DISTRIBUTIONS, *_parameters(output)))
        return {name: _attribute(output, name) for name in names}
    if hasattr(output, "_fields"):  # a named tuple
        return output._asdict()
    if _is_dataclass(output):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, (tuple, list)):
        return dict(enumerate(output))
    return getattr(output, "__dict__", {})


def _is_dataclass(part):
    return dataclasses.is_dataclass(part) and not isinstance(part, type)


def _parameters(distribution):
    """Names of its parameters, as it declares them."""
    declared = _attribute(distribution, "arg_constraints")
    return declared if isinstance(declared, Mapping) else ()


def _attribute(distribution, name):
    try:
        return getattr(distribution, name)
    except (AttributeError, NotImplementedError):  # torch's words for what it does not have
        return None


def _named(part):
    name = type(part).__name__
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"
