"""Call a function in a process of its own: what crashes or sets global state there stays there."""

import os
import pickle
import signal
import subprocess
import sys

# Imports no more than the function needs; what libraries print is no part of the answer.
_SERVE = """
import os, pickle, sys
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
function, arguments = pickle.load(sys.stdin.buffer)
answer.write(pickle.dumps(function(*arguments)))
answer.close()
"""


class IsolatedError(Exception):
    """The function raised, or its process died; the text says how."""


def isolated(function, *arguments, environment=None):
    """function(*arguments), computed in a fresh interpreter with extra environment variables.

    Raises:
        IsolatedError: there is no result.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SERVE],
        input=pickle.dumps((function, arguments)),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
    )
    if done.returncode < 0:
        raise IsolatedError(f"crashes ({signal.Signals(-done.returncode).name})")
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise IsolatedError(lines[-1] if lines else f"exits with {done.returncode}")
    return pickle.loads(done.stdout)
