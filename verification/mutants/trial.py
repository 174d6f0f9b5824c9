"""Try a mutation: in a copy of the repository, does a test fail?"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[2]
COPIED = ("curvcore", "verification", "training", "tests", "pyproject.toml")
EVERYTHING = ('tests/curvcore -m "not slow"', "check")
LIMIT = 900  # seconds for one selection: a mutation may make a loop endless
UNIMPORTABLE, NO_TESTS = 99, (4, 5)  # exit status of the copy's own, and of pytest

# A copy that cannot be imported fails every test, which says nothing of the tests.
_IMPORT_FIRST = f"""
import sys
try:
    import curvcore
    assert curvcore.__file__.startswith(sys.argv[1]), curvcore.__file__
except BaseException as error:
    print(f"{{type(error).__name__}}: {{error}}")
    sys.exit({UNIMPORTABLE})
"""
_PYTEST = _IMPORT_FIRST + "import pytest; sys.exit(pytest.main(sys.argv[2:]))"
_CHECK = _IMPORT_FIRST + "from verification.check import app; app(sys.argv[2:])"
_PYTEST_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line")


class Verdict(Enum):
    """What became of a mutation."""

    CAUGHT = "caught"
    SURVIVES = "survives"
    BROKEN = "cannot be imported"
    EQUIVALENT = "equivalent"


@dataclass(frozen=True)
class Outcome:
    """The verdict, the selection that caught it, what failed first there, and the seconds."""

    verdict: Verdict
    by: str = ""
    failure: str = ""
    seconds: float = 0.0


class SelectionError(Exception):
    """A selection of tests that cannot tell anything: none of it exists, or it fails anyway."""


def trial(mutation):
    """The Outcome of one Mutation: its own test first, then everything.

    Raises:
        StaleMutationError, SelectionError.
    """
    if mutation.equivalent:
        return Outcome(Verdict.EQUIVALENT)
    started = perf_counter()
    with copy_of_the_tree() as tree:
        mutation.apply_to(tree)
        for selection in (mutation.test, *EVERYTHING):
            status, output = run(selection, tree)
            if status == UNIMPORTABLE:
                return Outcome(Verdict.BROKEN, failure=output, seconds=perf_counter() - started)
            if status != 0:
                seconds = perf_counter() - started
                return Outcome(Verdict.CAUGHT, selection, _first_failure(output), seconds)
    return Outcome(Verdict.SURVIVES, seconds=perf_counter() - started)


def control(selections):
    """Run selections of tests on code that is not mutated.

    Raises:
        SelectionError: one does not pass there, so that it cannot catch anything.
    """
    with copy_of_the_tree() as tree:
        for selection in selections:
            status, output = run(selection, tree)
            if status != 0:
                raise SelectionError(
                    f"{selection} fails without mutation: {_first_failure(output)}"
                )


def joined(selections, parts):
    """The same tests in fewer runs: ``check`` in one, the arguments of pytest in so many."""
    words = [shlex.split(selection) for selection in dict.fromkeys(selections)]
    sections = sorted({word for first, *rest in words if first == "check" for word in rest})
    tests = sorted({word for first, *rest in words if first != "check" for word in (first, *rest)})
    shares = [shlex.join(tests[n::parts]) for n in range(parts) if tests[n::parts]]
    return ([shlex.join(["check", *sections])] if sections else []) + shares


@contextmanager
def copy_of_the_tree():
    """A temporary copy of the repository, without its history."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder, name)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        yield folder


def run(selection, tree):
    """The exit status and the output of a selection in that copy; None where time runs out."""
    words = shlex.split(selection)
    if words[0] == "check":
        only = [word for section in words[1:] for word in ("--only", section)]
        command = [_CHECK, tree, "--quick", *only]
    else:
        command = [_PYTEST, tree, *_PYTEST_OPTIONS, *words]
    environment = {
        **os.environ,
        "PYTHONPATH": tree,
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take longer to load than most tests to run
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", *command],
            cwd=tree, env=environment, timeout=LIMIT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"FAILED to end within {LIMIT} s"
    if words[0] != "check" and done.returncode in NO_TESTS:
        raise SelectionError(f"{selection} selects no test:\n{done.stdout}")
    return done.returncode, done.stdout


def _first_failure(output):
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "FAIL"))]
    return (lines or output.strip().splitlines() or [""])[0]
