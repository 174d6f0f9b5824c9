"""What the parsers of the commands have in common."""

from jsonargparse import ArgumentError, ArgumentParser

from training.checkpoints import KEPT
from training.errors import TrainingError

TRUST = "import classes that the run's configuration names, wherever they are: runs their code"


def run_parser(command):
    """That of a command on a run's folder."""
    parser = ArgumentParser(prog=f"python -m training {command}", exit_on_error=False)
    parser.add_argument("run", help="the run's folder")
    return parser


def add_checkpoint(parser):
    """Which checkpoint of a run, and whether its classes may be imported."""
    parser.add_argument(
        "--checkpoint", default="last", choices=KEPT, help="best: of the lowest val/loss"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST)


def parsed(parser, arguments):
    """The options.

    Raises:
        TrainingError: they are not those of the parser.
    """
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        raise TrainingError(one_line(error)) from error


def one_line(error):
    """What is wrong, in one line: in this project's words if it has any."""
    cause = error
    while cause and not isinstance(cause, TrainingError):
        cause = cause.__cause__ or cause.__context__
    error = cause or error  # what this project's classes found wrong says more than who called them
    return " ".join(str(error).split())[:600]
