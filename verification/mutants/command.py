"""``python -m verification.mutants``: would a wrong line of curvcore be noticed?

Every mutation of :mod:`verification.mutants.catalogue` changes one line of curvcore: a sign, a
factor, an index, a threshold, a gradient. It is made in a temporary copy of the repository, whose
tests and whose ``verification.check --quick`` then must fail: first those believed to notice, in a
few seconds, and where these pass all of ``tests/curvcore`` and the whole check. What nobody notices
survives: a test is missing, or nothing is wrong with the line, and then its argument is written
beside it.

Exit code: 0 nothing survives but what is argued to be equivalent, 1 something does, 2 bad usage, or
a list that no longer fits the code or its tests.
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from verification import report
from verification.mutants.catalogue import MUTATIONS
from verification.mutants.mutation import StaleMutationError
from verification.mutants.trial import (
    EVERYTHING,
    ROOT,
    SelectionError,
    Verdict,
    control,
    joined,
    trial,
)

STYLES = {
    Verdict.CAUGHT: "green",
    Verdict.EQUIVALENT: "dim",
    Verdict.SURVIVES: "bold red",
    Verdict.BROKEN: "bold red",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Those with this in their file, line or reason."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="So many at a time.")] = 2,
):
    """Change curvcore line by line, and see whether its tests notice."""
    console, started = Console(), time.perf_counter()
    chosen = [m for m in MUTATIONS if only is None or only in f"{m} {m.why}"]
    try:
        _check_usage(chosen, only)
        outcomes = _outcomes(chosen, jobs, console)
    except (StaleMutationError, SelectionError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    console.print(_table(outcomes))
    console.print(_summary(outcomes, time.perf_counter() - started))
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    raise typer.Exit(1 if verdicts & {Verdict.SURVIVES, Verdict.BROKEN} else 0)


def _check_usage(chosen, only):
    if not (ROOT / "tests").is_dir():
        raise SelectionError(f"there are no tests in {ROOT}: mutants need a checkout.")
    if not chosen:
        raise SelectionError(f"--only {only!r} names no mutation.")
    for mutation in chosen:
        mutation.applied((ROOT / "curvcore" / mutation.file).read_text(encoding="utf-8"))


def _outcomes(chosen, jobs, console):
    """The Outcome of every Mutation, in the order given."""
    with (
        Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal,
        ) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):  # fmt: skip
        believed = joined([m.test for m in chosen if not m.equivalent], jobs)
        _control(believed, pool, progress)
        task = progress.add_task("mutations", total=len(chosen))
        running = {pool.submit(trial, mutation): mutation for mutation in chosen}
        outcomes = {}
        try:
            for future in as_completed(running):
                mutation = running[future]
                outcomes[mutation] = future.result()
                progress.advance(task)
                if not console.is_terminal:  # a log should tell how far it is
                    _print_outcome(console, mutation, outcomes[mutation])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        _control(
            [x for x in EVERYTHING if any(o.by == x for o in outcomes.values())], pool, progress
        )
    return {mutation: outcomes[mutation] for mutation in chosen}


def _print_outcome(console, mutation, outcome):
    seconds = f"{outcome.seconds:.0f} s"
    line = f"{outcome.verdict.value}, {seconds}, by {outcome.by or '-'}: {mutation}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _control(selections, pool, progress):
    """What is to catch mutations passes without them."""
    task = progress.add_task("without mutation", total=len(selections))
    for _ in pool.map(lambda selection: control([selection]), selections):
        progress.advance(task)


def _table(outcomes):
    table = report.empty_table("Mutations of curvcore")
    for column in ("file", "mutation", "so that", "caught by", "s", ""):
        table.add_column(column, overflow="fold", justify="right" if column == "s" else "left")
    for mutation, outcome in outcomes.items():
        change = f"{mutation.fragment}\n→ {mutation.replacement}"
        noticed = mutation.equivalent or outcome.failure or outcome.by
        verdict = Text(outcome.verdict.value, STYLES[outcome.verdict])
        table.add_row(
            mutation.file, Text(change), mutation.why, Text(noticed), f"{outcome.seconds:.0f}",
            verdict, end_section=True,
        )  # fmt: skip
    return table


def _summary(outcomes, seconds):
    counts = Counter(outcome.verdict for outcome in outcomes.values())
    listed = ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])
    failed = counts[Verdict.SURVIVES] + counts[Verdict.BROKEN]
    verdict = "[bold red]FAIL" if failed else "[bold green]PASS"
    late = sum(outcome.by in EVERYTHING for outcome in outcomes.values())
    note = f"\n{late} not by the test named beside them: name a better one" if late else ""
    return f"{verdict}: {listed}[/] of {len(outcomes)}, in {seconds:.0f} s{note}"
