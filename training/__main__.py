"""``python -m training fit | evaluate | encode | plot | report | study``: see README.

Exit code: 0 done, 2 bad input (one line says what), 1 anything unforeseen.
"""

import sys
import warnings

from training.errors import TrainingError

# Module -> the package that it is in, and the extra that brings it.
EXTRAS = {
    "jsonargparse": ("jsonargparse", "training"),
    "lightning": ("lightning", "training"),
    "rich": ("rich", "training"),
    "sklearn": ("scikit-learn", "training"),
    "scipy": ("scipy", "training"),
    "tensorboard": ("tensorboard", "training"),
    "yaml": ("jsonargparse", "training"),
    "mlxtend": ("mlxtend", "data"),
    "pandas": ("pandas", "data"),
    "pyarrow": ("pyarrow", "data"),
    "jinja2": ("jinja2", "plots"),
    "matplotlib": ("matplotlib", "plots"),
    "plotly": ("plotly", "plots"),
}


def main(arguments=None):
    """Run a command; the exit code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.showwarning = _once(warnings.showwarning)
        return _run(sys.argv[1:] if arguments is None else list(arguments))


def _run(arguments):
    from curvcore import CurvatureError  # heavy imports after the filter

    try:
        from training import cli

        cli.run(arguments)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in EXTRAS:
            raise
        name, extra = EXTRAS[error.name.partition(".")[0]]
        print(f"Error: this needs {name}: pip install 'curvcore[{extra}]'", file=sys.stderr)
        return 2
    except (TrainingError, CurvatureError) as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _once(show):
    """Show a warning once, not at every step.

    Python forgets what it has shown whenever filters change, and curvcore changes them.
    """
    shown = set()

    def show_once(message, category, *rest, **options):
        if (str(message), category) not in shown:
            shown.add((str(message), category))
            show(message, category, *rest, **options)

    return show_once


if __name__ == "__main__":
    sys.exit(main())
