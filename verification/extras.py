"""What is installed only with an extra, and the line that says so where it is missing."""

import sys
from importlib.util import find_spec

# Module -> name to install it by, of `pip install 'curvcore[verification]'`.
VERIFICATION = {
    "flint": "python-flint",
    "sympy": "sympy",
    "sklearn": "scikit-learn",
    "rich": "rich",
    "typer": "typer",
}
# Of that, what tables and command lines are made with.
COMMAND_LINE = ("rich", "typer")


def missing(modules=tuple(VERIFICATION)):
    """The packages, of these modules of the extra, that are not installed."""
    return [VERIFICATION[module] for module in modules if find_spec(module) is None]


def require(what, modules=tuple(VERIFICATION)):
    """Raise ImportError unless these modules of the extra are there."""
    if missing(modules):
        names = ", ".join(missing(modules))
        raise ImportError(f"{what} needs {names}: pip install 'curvcore[verification]'")


def require_for_command(command, modules=tuple(VERIFICATION)):
    """The same in one line, and exit code 2."""
    try:
        require(f"python -m {command}", modules)
    except ImportError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
