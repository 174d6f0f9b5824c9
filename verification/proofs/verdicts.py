"""From what a proof leaves over to its Finding."""

import numpy as np

from verification.results import Finding

SECTION = "proofs"
EXACTLY_ZERO = "0, exactly"


def proved(subject: str, statement: str, residual) -> Finding:
    """The statement holds if every entry of ``residual`` is the zero of its field.

    The entries are in normal form: rational functions, or expanded expressions.
    """
    entries = np.asarray(residual, dtype=object).reshape(-1)
    if not len(entries):
        raise ValueError(f"{subject}: nothing is left to prove of {statement!r}")
    nonzero = [entry for entry in entries if entry != 0]
    figure = EXACTLY_ZERO if not nonzero else _described(nonzero, len(entries))
    return finding(subject, statement, figure, not nonzero)


def finding(subject: str, statement: str, figure: str, passed: bool) -> Finding:
    """A Finding of this section."""
    return Finding(
        section=SECTION, subject=subject, statement=statement, figure=figure, passed=passed
    )


def stacked(*residuals):
    """All entries of several residuals, arrays or bare numbers, in one array."""
    return np.concatenate([np.asarray(r, dtype=object).reshape(-1) for r in residuals])


def _described(nonzero, total, longest=60):
    text = str(nonzero[0])
    shortened = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return f"{len(nonzero)} of {total} components differ, the first by {shortened}"
