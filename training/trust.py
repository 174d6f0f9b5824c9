"""Whose code a configuration runs.

A configuration names classes by import path, and importing a module runs it. The classes of this
project, of torch and of Lightning are known; any other is imported only where the user says so:
in a configuration given to ``fit``, which is taken for their own, or by ``--trust``.
"""

import importlib.util
import re
import sys
from pathlib import Path

import yaml

from training.errors import TrainingError

KNOWN = ("training", "torch", "lightning", "pytorch_lightning")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def check_trusted(config, place):
    """Raise TrainingError if a configuration would import code that is not known.

    Args:
        config: nested dicts and lists, as read from YAML.
        place: where it comes from, for the message.
    """
    foreign = sorted({name for name in _imported(config) if not _is_known(name)})
    if foreign:
        raise TrainingError(
            f"{place} would import {', '.join(foreign)}, and so run code that is not this "
            "project's. Look at it, and add --trust if you trust it."
        )


def check_trusted_file(path):
    """``check_trusted`` of a YAML file; nothing of what it names is imported."""
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    check_trusted(config, path)


def _imported(config):
    """Import paths: every class_path, and every text that would be one where a class may stand."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "class_path":
                yield str(value)
            else:
                yield from _imported(value)
    elif isinstance(config, list):
        for entry in config:
            yield from _imported(entry)
    elif isinstance(config, str) and _DOTTED.fullmatch(config) and _exists(config):
        yield config


def _is_known(name):
    """Whether importing it runs nothing new: it is known, or imported already."""
    module, _, _ = name.rpartition(".")
    return not module or name.partition(".")[0] in KNOWN or module in sys.modules


def _exists(name):
    """Whether the first part names a module: one that is looked for, not imported."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return True
