"""Errors of training: one clear line each."""


class TrainingError(Exception):
    """What was wrong, what was got, what to do, in one line; the command line exits with 2."""


class CollapsedError(TrainingError):
    """The decoder's metric is degenerate at every point that was looked at."""
