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


def missing():
    """The packages of the extra that are not installed."""
    return [name for module, name in VERIFICATION.items() if find_spec(module) is None]


def require(what):
    """Raise ImportError unless all of the extra is there."""
    if missing():
        raise ImportError(
            f"{what} needs {', '.join(missing())}: pip install 'curvcore[verification]'"
        )


def require_for_command(command):
    """The same in one line, and exit code 2."""
    try:
        require(f"python -m {command}")
    except ImportError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
