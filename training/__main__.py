"""``python -m training fit | evaluate | kmeans | encode | atlas | plot | report | study | flow``.

See README. Exit code: 0 done, 2 bad input or a file that cannot be written (one line says what),
130 and 143 stopped by Ctrl-C and SIGTERM, 1 anything unforeseen.
"""

import contextlib
import errno
import signal
import sys
import threading
import warnings

from training.errors import TrainingError
from training.extras import advice
from training.quiet import once
from training.text import printable

# A disk that is full or read-only, a folder of others: no fault of the program.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def main(arguments=None):
    """Run a command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # what it has no letters for
    with warnings.catch_warnings(), _sigterm_exits(), _disk_is_told_of_once():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.showwarning = once(warnings.showwarning)
        try:
            return _run(sys.argv[1:] if arguments is None else list(arguments))
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130


def _run(arguments):
    from curvcore import CurvatureError  # heavy imports after the filter

    try:
        from training import cli

        cli.run(arguments)
    except ModuleNotFoundError as error:
        if (how := advice(error)) is None:
            raise
        return _failed(f"this {how}")
    except (TrainingError, CurvatureError) as error:
        return _failed(error)
    except OSError as error:
        if not _is_of_the_disk(error):
            raise
        return _failed(f"{error.filename or 'A file'} cannot be written: {error.strerror}.")
    return 0


def _failed(reason):
    print(f"Error: {printable(str(reason))}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _sigterm_exits():
    """SIGTERM ends the command as an exception would, so that nothing is left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number, frame):
    print("Stopped.", file=sys.stderr)
    sys.exit(128 + number)


@contextlib.contextmanager
def _disk_is_told_of_once():
    """Not by the thread of TensorBoard too, which hands its errors on."""
    before = threading.excepthook
    threading.excepthook = lambda args: _is_of_the_disk(args.exc_value) or before(args)
    try:
        yield
    finally:
        threading.excepthook = before


def _is_of_the_disk(error):
    return isinstance(error, OSError) and error.errno in DISK


if __name__ == "__main__":
    sys.exit(main())
