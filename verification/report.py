"""Tables of results for people, JSON for machines."""

import json
import math
import os
import tempfile
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from verification.results import EXACT

ROUTES = tuple(
    (formula, dtype) for dtype in ("float64", "float32") for formula in ("gauss", "intrinsic")
)


def manifold_table(results, title):
    """One row per manifold, ambient dimension and provider; the worst error over quantities."""
    table = empty_table(title)
    table.add_column("manifold", no_wrap=True)
    table.add_column("d→D", justify="right", no_wrap=True)
    table.add_column("jets", no_wrap=True)
    for formula, dtype in ROUTES:
        table.add_column(f"{formula}\n{dtype}", justify="right", no_wrap=True)
    table.add_column("", min_width=4)
    for (name, dimensions, derivatives), group in _grouped(results).items():
        cells = [_worst(group, formula, dtype) for formula, dtype in ROUTES]
        table.add_row(name, dimensions, derivatives, *cells, _verdict(group))
    return table


def decoder_table(results, title):
    """One row per route: the error, and what its rounding analysis allows."""
    table = empty_table(title)
    for column in ("jets", "formula", "dtype"):
        table.add_column(column, no_wrap=True)
    for column in ("points", "error in R", "allowed"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in results:
        table.add_row(
            result.derivatives,
            result.formula,
            result.dtype,
            str(result.points),
            f"{result.error:.1e}",
            f"{result.tolerance:.1e}",
            _verdict([result]),
        )
    return table


def gradient_table(results, title):
    """One row per route: the worst errors in z and in θ, and what their analysis allows."""
    table = empty_table(title)
    for column in ("jets", "formula", "dtype", "batch"):
        table.add_column(column, no_wrap=True)
    for column in ("points", "∂/∂z", "∂/∂θ", "allowed"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    failed = sorted({result.quantity for result in results if not result.passed})
    table.caption = Text(f"failed: {', '.join(failed)}", "bold red") if failed else None
    routes = {}
    for result in results:
        route = (result.derivatives, result.formula, result.dtype, result.batch)
        routes.setdefault(route, []).append(result)
    for route, group in routes.items():
        worst = [
            max((r.error for r in group if r.quantity.endswith(of)), default=None, key=_failing)
            for of in ("z", "θ")
        ]
        table.add_row(
            *route,
            str(group[0].points),
            *("" if error is None else f"{error:.1e}" for error in worst),
            f"{max(r.tolerance for r in group):.1e}",
            _pass_or_fail(group),
        )
    return table


def findings_table(findings, title):
    """One row per Finding."""
    table = empty_table(title)
    for column in ("subject", "statement", "found", ""):
        table.add_column(column, overflow="fold")
    for finding in findings:
        verdict = ("PASS", "green") if finding.passed else ("FAIL", "bold red")
        table.add_row(finding.subject, finding.statement, finding.figure, Text(*verdict))
    return table


def write_json(path, record):
    """Write ``record`` whole or not at all."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(record, file, indent=1, allow_nan=False)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def empty_table(title):
    """A table without a frame, under its title."""
    return Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
    )


def _grouped(results):
    groups = {}
    for result in results:
        dimensions = f"{result.dimension}→{result.ambient}"
        groups.setdefault((result.subject, dimensions, result.derivatives), []).append(result)
    return groups


def _failing(error):
    """A key that puts NaN above every number."""
    return (math.isnan(error), error)


def _worst(group, formula, dtype):
    chosen = [r for r in group if r.formula == formula and r.dtype in (dtype, EXACT)]
    if not chosen or (chosen[0].dtype == EXACT and dtype != "float64"):
        return ""
    worst = max(chosen, key=lambda r: (not r.passed, r.error))
    if worst.dtype == EXACT:
        text = "exact" if worst.passed else "not zero"
    else:
        text = f"{worst.error:.1e}"
    return Text(text, style="" if worst.passed else "bold red")


def _pass_or_fail(group):
    passed = all(result.passed for result in group)
    return Text("PASS", "green") if passed else Text("FAIL", "bold red")


def _verdict(group):
    if all(result.passed for result in group):
        return _pass_or_fail(group)
    failed = sorted({result.quantity for result in group if not result.passed})
    return Text("FAIL " + ", ".join(failed), style="bold red")
