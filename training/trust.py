"""Whose code a configuration runs.

A configuration names classes by import path, and importing a module runs it. The layers and
optimisers of torch, the callbacks of Lightning and the classes of this project are known; any other
is imported only where the user says so: in a configuration of their own, or by ``--trust``.
"""

import importlib
import re
from itertools import islice
from pathlib import Path

import yaml

from training.errors import TrainingError

KNOWN = ("training", "torch.nn", "torch.optim", "lightning.pytorch.callbacks")
MOST_NODES = 100_000  # of a configuration: YAML's aliases can make more of a few lines
PLAIN_OPTIONS = {"run", "path", "labels", "separator", "decimal"}  # texts, never a class or a file
# No name of a class, and no YAML or JSON that could hold one: those need a point, or a backslash.
_WORD = re.compile(r"[\w/,+-]*")


def check_trusted(config, place, allowed=()):
    """Raise TrainingError if a configuration could import code that is not known.

    Args:
        config: nested dicts and lists, as read from YAML.
        place: the file that it comes from.
        allowed: texts that the user has written themselves, as of ``texts_of``.
    """
    names = foreign(config, place, allowed)
    if names:
        raise TrainingError(
            f"{place} would import {', '.join(name[:80] for name in names)}, and so may run code "
            "that is not this project's. Look at it, and add --trust if you trust it."
        )


def foreign(config, place, allowed=()):
    """The texts of a configuration that could import code that is not known, sorted.

    Every text counts, whatever its key: jsonargparse takes a text for a class, for YAML, and for a
    file of YAML, wherever a class may stand. Only plain words that are no files are none of these.
    """
    folder = Path(place).parent
    return sorted(
        text
        for text in texts_of(config) - set(allowed)
        if not (_is_word(text, folder) or _is_known(text))
    )


def read_yaml(path):
    """The configuration in a file; nothing of what it names is imported."""
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise TrainingError(f"{path} is no configuration: it holds no options.")
    if sum(1 for _ in islice(_nodes(config), MOST_NODES)) == MOST_NODES:
        raise TrainingError(f"{path} is no configuration: it holds itself, or without end.")
    return config


def texts_of(config):
    """The texts of a configuration that could name something to import: a set."""
    return {node for node in _nodes(config) if isinstance(node, str)}


def _nodes(config):
    """Everything that a configuration consists of; without end if it holds itself."""
    waiting = [config]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict | list):
            waiting += node if isinstance(node, list) else _nested(node)


def _nested(options):
    """Values that matter, and keys that do: a.b is b in a."""
    for key, value in options.items():
        if "." in str(key):
            yield str(key)
        if not (key in PLAIN_OPTIONS and isinstance(value, str)):
            yield value


def _is_word(text, folder):
    return bool(_WORD.fullmatch(text)) and not any(
        (place / text).is_file() for place in (Path(), folder)
    )


def _is_known(text):
    """Whether it names something that a known package defines, not what a module there imports."""
    module, _, name = text.rpartition(".")
    if not any(module == known or module.startswith(f"{known}.") for known in KNOWN):
        return False
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError:
        return True  # there is no such class, which is for the parser to say
    except ImportError:
        return False
    return f"{getattr(found, '__module__', '')}.".startswith(tuple(f"{k}." for k in KNOWN))
