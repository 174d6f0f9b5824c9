"""A run's folder belongs to one process at a time."""

import contextlib
import os
from pathlib import Path

from training.errors import TrainingError

try:
    import fcntl
except ImportError:  # Windows has no such locks: there nothing is claimed
    fcntl = None


@contextlib.contextmanager
def claimed(folder):
    """Make the folder if need be, and hold it; the system lets go of it when the process ends.

    Raises:
        TrainingError: another process holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle, folder):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TrainingError(
            f"{folder} is in use: another process is training there. Wait for it, or choose "
            "another --run."
        ) from error
    except OSError:
        return  # a file system without locks on folders
