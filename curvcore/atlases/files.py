"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import shutil
import tempfile
from pathlib import Path

PART = ".part"


@contextlib.contextmanager
def temporary(path, mark=""):
    """A path of that name to write to, gone at the end unless it was moved.

    It lies in a new folder beside ``path``: a file that is moved from another disk is copied, and
    may be cut off; and where a link may lie in wait, nobody can know the folder's name, but for a
    ``mark`` in it.
    """
    path = Path(path)
    options = {"prefix": f".{mark}", "suffix": PART, "dir": path.parent}
    with tempfile.TemporaryDirectory(**options, ignore_cleanup_errors=True) as folder:
        yield Path(folder, path.name)


@contextlib.contextmanager
def whole(path, mark=""):
    """Likewise, but it becomes ``path`` at the end, if nothing was raised."""
    with temporary(path, mark) as part:
        yield part
        os.replace(part, path)


def remove_parts(folder, mark="", below=False):
    """Remove what was left in a folder, and ``below``, by writing with that mark that was killed.

    Below, nobody may be writing meanwhile.
    """
    search = Path(folder).rglob if below else Path(folder).glob
    for part in search(f".{glob.escape(mark)}*{PART}"):
        shutil.rmtree(part, ignore_errors=True)
