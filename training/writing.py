"""Files that are written whole or not at all."""

import contextlib
import json

import curvcore
from training.errors import TrainingError


@contextlib.contextmanager
def whole(path):
    """A path to write to, which becomes ``path`` once all is written; else nothing is left there.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written to.
    """
    try:
        with curvcore.atlases.files.whole(path) as part:
            yield part
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f"{path} cannot be written: {reason}.") from error


def write_text(path, text):
    """The text, as UTF-8."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:  # a path of bytes that are no text
        raise TrainingError(f"{path} cannot be written: {error}.") from error
    with whole(path) as temporary:
        temporary.write_bytes(data)


def write_json(path, record):
    """The record; what is not finite becomes null."""
    write_text(path, json.dumps(finite(record), indent=1, allow_nan=False) + "\n")


def finite(value):
    """A record with None for the numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
