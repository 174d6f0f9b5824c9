"""``python -m training fit | evaluate | encode``: see README.

Exit code: 0 done, 2 bad input (one line says what), 1 anything unforeseen.
"""

import sys
import warnings

from training.errors import TrainingError


def main(arguments=None):
    """Run a command; the exit code."""
    warnings.filterwarnings("ignore", module="lightning")
    from curvcore import CurvatureError  # heavy imports after the filter
    from training import cli

    try:
        cli.run(sys.argv[1:] if arguments is None else list(arguments))
    except (TrainingError, CurvatureError) as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
