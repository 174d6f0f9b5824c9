"""Whose code a configuration runs.

A configuration names classes by import path, and importing a module runs it. What a run has kept
may come from someone else: there the layers and optimisers of torch, the callbacks of Lightning
and this project are imported, and any other only where the user says so, by ``--trust``.
"""

import contextlib
import re
from itertools import islice
from pathlib import Path

import yaml
from jsonargparse import set_parsing_settings
from jsonargparse._common import parsing_settings  # settings hold for ever, but for this

from training.errors import TrainingError

KNOWN = ("training", "curvcore", "torch.nn", "torch.optim", "lightning.pytorch.callbacks")
MOST_NODES = 100_000  # of a configuration: YAML's aliases can make more of a few lines
_POLICY = ("import_path_verdicts", "import_paths_enforced")
_NAME = re.compile(r"(?:[^\W\d]\w*\.)+[^\W\d]\w*")
_DENIED = re.compile(r"Importing '([^']*)' is not allowed")


@contextlib.contextmanager
def importing_what_is_known(place, also=()):
    """Within this context parsers import what is known alone; of foreign code nothing is run.

    Whatever way a text took to be read as a class: the parser asks before it imports a module, and
    again where the object was defined.

    Args:
        place: the file that is read, for the message.
        also: further import paths, which the user has written.

    Raises:
        TrainingError: something else would have been imported.
    """
    before = {name: parsing_settings[name] for name in _POLICY}
    also = {name for name in also if _NAME.fullmatch(name) and not name.startswith("jsonargparse.")}
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*KNOWN, *also])
    try:
        yield
    except Exception as error:
        names = sorted({name for text in _texts(error) for name in _DENIED.findall(text)})
        if not names:
            raise
        raise TrainingError(
            f"{place} would import {', '.join(name[:80] for name in names)}, and so may run code "
            "that is not this project's. Look at it, and add --trust if you trust it."
        ) from error
    finally:
        parsing_settings.update(before)


def _texts(error):
    """The messages of an error and of those that it comes from."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def is_foreign(config):
    """Whether a configuration has a ``class_path`` that is not known."""
    known = tuple(f"{package}." for package in KNOWN)
    return not all(path.startswith(known) for path in class_paths(config) if "." in path)


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


def class_paths(config):
    """The texts under ``class_path`` of a configuration, wherever they stand: a set."""
    nodes = (node for node in _nodes(config) if isinstance(node, dict))
    return {node["class_path"] for node in nodes if isinstance(node.get("class_path"), str)}


def _nodes(config):
    """Everything that a configuration consists of; without end if it holds itself."""
    waiting = [config]
    while waiting:  # YAML has structures that contain themselves
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list | tuple | set):
            waiting += node
