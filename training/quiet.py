"""What training says inside somebody's program: little, and that once."""

import contextlib
import logging
import warnings

LOGGERS = ("lightning.pytorch", "lightning.fabric")


def once(show):
    """Show a warning once, not at every step.

    Python forgets what it has shown whenever filters change, and curvcore changes them.
    """
    shown = set()

    def show_once(message, category, *rest, **options):
        if (str(message), category) not in shown:
            shown.add((str(message), category))
            show(message, category, *rest, **options)

    return show_once


@contextlib.contextmanager
def quiet():
    """Within this context Lightning says nothing of itself, and others warn of each thing once."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.showwarning = once(warnings.showwarning)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
