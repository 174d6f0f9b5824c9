"""Files that are written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

_PART = ".part"


@contextlib.contextmanager
def temporary(path):
    """A path in the folder of ``path`` to write to, gone at the end unless it was moved."""
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PART, dir=path.parent)
    os.close(handle)
    _open_to_others(name)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def whole(path):
    """Likewise, but it becomes ``path`` at the end, if nothing was raised."""
    with temporary(path) as part:
        yield part
        os.replace(part, path)


def remove_parts(path):
    """Remove what was left beside ``path`` by writing it that was killed."""
    path = Path(path)
    for part in path.parent.glob(f".{glob_escaped(path.name)}.*{_PART}"):
        part.unlink(missing_ok=True)


def glob_escaped(name):
    """A pattern of ``glob`` that only ``name`` fits."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _open_to_others(name):
    """As any new file is; temporary ones are for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
