"""The outcome of trials: a line each for the console, and the page of ``docs/``."""

import platform
import re
from itertools import groupby

import torch

from verification.packages.case import POINTS, Served

HEADER = """\
# Decoders of other packages

Made by `make test-packages`, which sets up an environment of its own from
[constraints-packages.txt](../constraints-packages.txt) and runs
`python -m verification.packages --require-all --out docs/packages.md`: do not edit.

Every decoder has a tiny configuration and random weights, in float64. g and R by every provider
that takes it are compared with finite differences of its values alone
([how](../verification/packages/differences.py)), whose tolerance is worked out from their own
error; errors of R are in units of max(|R|, |II|²), the worst of both providers. Where a decoder has
kinks (ReLU), curvcore warns of them, and R is that of the smooth pieces, which says nothing of what
sits on the kinks; where the pieces are too small for second differences, g alone is compared.
Decoders of which parts compute in float32 whatever they are given (RMS norms, softmax) are tried
with that rounding taken out; in float32 they are served as they are.
"""
COLUMNS = (
    "decoder", "d → D", "derivatives", "why not", "error of R", "allowed", "first call",
    "later call", "passes",
)  # fmt: skip


def line(outcome):
    """One line for the console."""
    if outcome.skipped:
        return f"{outcome.case}: {outcome.skipped}"
    if outcome.problems:
        return f"{outcome.case}: {'; '.join(outcome.problems)}"
    if outcome.served is Served.REFUSED:
        return f"{outcome.case}: refused: {_why_not(outcome)}"
    return (
        f"{outcome.case}: {outcome.served}, R off by {outcome.scalar_error:.0e} of "
        f"{outcome.allowed:.0e}, {outcome.passes:.0f} passes"
    )


def page(outcomes):
    """The Markdown page of Outcomes, in their order, of which those of one package are adjacent."""
    parts = [HEADER, _conditions()]
    for package, group in groupby(outcomes, key=lambda outcome: outcome.case.package):
        group = list(group)
        parts.append(f"## {package} {group[0].version or ''}".rstrip())
        rows = [_row(outcome) for outcome in group]
        rules = ["---"] * 4 + ["--:"] * 5
        parts.append("\n".join(map(_cells, (COLUMNS, rules, *rows))))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _conditions():
    threads = torch.get_num_threads()
    return (
        f"Times are of `curvcore.scalar_curvature` at {POINTS} points, the first call with its "
        "comparisons and the fastest later one, and that in passes: calls of the decoder at the "
        "same points. "
        f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, "
        f"{threads} thread{'s' if threads > 1 else ''} of a CPU."
    )


def _row(outcome):
    name = outcome.case.name
    if outcome.skipped:
        return name, "", "not tried", outcome.skipped, "", "", "", "", ""
    dimensions = f"{outcome.dimension} → {outcome.ambient}"
    if outcome.problems:
        return name, dimensions, "**FAIL**", "; ".join(outcome.problems), "", "", "", "", ""
    why_not = _why_not(outcome)
    if outcome.served is Served.REFUSED:
        return name, dimensions, "refused", why_not, "", "", "", "", ""
    errors = (f"{outcome.scalar_error:.0e}", f"{outcome.allowed:.0e}")
    return (
        name,
        dimensions,
        f"{outcome.served}{', kinks' if outcome.kinks else ''}",
        why_not,
        *(errors if outcome.decides else ("g alone", "")),
        _duration(outcome.first),
        _duration(outcome.later),
        f"{outcome.passes:.0f}",
    )


def _why_not(outcome):
    """What each provider that refused it said, in short."""
    refusals = {name: route.refusal for name, route in outcome.routes.items() if route.refusal}
    return "; ".join(f"{name}: {short(text)}" for name, text in refusals.items())


def short(refusal):
    """What matters of an error of curvcore, in some words."""
    for pattern in (r"has (no rule for \S+?)\. ", r"cannot run this decoder: (.+?)\. It hides",
                    r"torch says: (.+?)(?:\. | Write that)"):  # fmt: skip
        if found := re.search(pattern, refusal, re.DOTALL):
            return found[1]
    return refusal.partition(". ")[0]


def _cells(row):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _duration(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
