"""An environment for each library and release: ``python -m venv`` and pip, made once and kept.

Its folder is named for the hash of what is asked for, so what changed is made anew, and libraries
that ask for the same share it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LIMIT = 1800  # seconds for pip
PIP = ("--quiet", "--no-input", "--no-compile")
NEWEST = 20  # minor version of Python up to which interpreters are looked for


class NotInstalledError(Exception):
    """Why a library is not run."""


def default_folder():
    """In the user's cache, away from the project."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "curvcore" / "referee"


def interpreter(library, folder):
    """The Python of a library's environment, which is made where there is none yet.

    Raises:
        NotInstalledError: there is no Python for it, or pip's words.
    """
    if not library.requirements:
        return sys.executable
    base = _base(library.python)
    environment = Path(folder) / f"{library.package}-{_fingerprint(library, base)}"
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        environment.parent.mkdir(parents=True, exist_ok=True)
        _run([base, "-m", "venv", environment])
        try:
            _run([python, "-m", "pip", "install", *PIP, *library.requirements])
        except NotInstalledError:
            shutil.rmtree(environment, ignore_errors=True)
            raise
        (environment / "ready").touch()
    return str(python)


def _base(lowest):
    """The first interpreter that is new enough: this one, or one on the path."""
    if sys.version_info[:2] >= lowest:
        return sys.executable
    for minor in range(lowest[1], NEWEST):
        found = shutil.which(f"python3.{minor}")
        if found and not subprocess.run([found, "-c", ""], capture_output=True).returncode:
            return found  # and no shim of a version that is not there
    raise NotInstalledError(f"needs Python {lowest[0]}.{lowest[1]} or newer, and there is none")


def _fingerprint(library, base):
    wanted = json.dumps([library.requirements, os.path.realpath(base)])
    return hashlib.sha256(wanted.encode()).hexdigest()[:12]


def _run(command):
    quiet = {"GIT_TERMINAL_PROMPT": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **quiet}
        )
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"pip took longer than {LIMIT} s") from None
    if done.returncode:
        raise NotInstalledError(reason(done.stderr))


def reason(output):
    """The line of pip's output that says most, without paths: git's last error, or its own."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal, errors = (
        [line for line in lines if line.lower().startswith(start)] for start in ("fatal:", "error:")
    )
    chosen = (fatal or errors or lines or ["pip failed without a word"])[-1]
    return re.sub(r"(?<![\w:/])/\S+", "…", chosen)
