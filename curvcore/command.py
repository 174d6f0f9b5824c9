"""``curvcore check``, ``curvcore train``, ...: the commands of the project, by one name.

They are ``python -m verification.check`` and the like, and run whatever else is installed or lies
in the working folder by the names ``verification`` and ``training``. Nothing is imported of these
but to run them.
"""

import runpy
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

CHECKS = (
    "check", "benchmark", "numerics", "precision", "regions", "geodesics", "packages", "referee",
    "mutants",
)  # fmt: skip
TRAINING = ("evaluate", "kmeans", "encode", "atlas", "plot", "report", "study", "flow")
MODULES = {
    **{name: (f"verification.{name}", ()) for name in CHECKS},
    "train": ("training", ("fit",)),
    **{name: ("training", (name,)) for name in TRAINING},
}
_USAGE = f"""usage: curvcore COMMAND [--help] ...

verification: {", ".join(CHECKS)}
training:     train, {", ".join(TRAINING)}"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("\n".join([_USAGE, *_hidden()]))
        return 0
    if name == "--version":
        from curvcore._version import __version__

        print(f"curvcore {__version__}")
        return 0
    if name not in MODULES:
        print(f"Error: there is no command {name!r}.\n{_USAGE}", file=sys.stderr)
        return 2
    module, leading = MODULES[name]
    home = str(_home())
    sys.path[:] = [home, "", *(path for path in sys.path if path not in (home, ""))]
    if not _is_ours(module):
        package = _home() / module.partition(".")[0]
        print(
            f"Error: {package} is not there, or is of another project that has written over it. "
            "Install curvcore into an environment of its own.",
            file=sys.stderr,
        )
        return 2
    sys.argv = [f"curvcore {name}", *leading, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _home():
    """The folder that curvcore is installed in, and the other packages with it."""
    return Path(__file__).resolve().parents[1]


def _hidden():
    """A line for each package of ours that a script in this folder would not get by its name.

    Only here can it be said: where another ``training`` is imported, no code of ours runs.
    """
    for package in ("training", "verification"):
        found = PathFinder.find_spec(package, ["", *sys.path])
        home = _home() / package
        if found is None or found.origin is None or Path(found.origin).resolve().parent == home:
            continue  # ours, or a folder without __init__.py, which hides nothing
        yield (
            f"\nNote: here `import {package}` and `python -m {package}` find {found.origin}, not "
            f"{home}. The commands above run ours."
        )


def _is_ours(module):
    """Whether the module of that name is the one beside curvcore."""
    package = module.partition(".")[0]
    found = find_spec(package)
    return (
        found is not None
        and found.origin is not None
        and Path(found.origin).resolve().parent == _home() / package
        and find_spec(f"{module}.__main__" if module == package else module) is not None
    )
