"""``python -m verification.packages``: curvature of decoders as packages make them.

Decoders of diffusers, scvi-tools, monai, ... are built with tiny configurations. For each: by which
provider is it served, are g and R right against finite differences of its values, are kinks warned
of, and what does a call cost? A package that is not installed is skipped.

Exit code: 0 all right, 1 a wrong number, a crash or less than what is promised, 2 bad usage.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from verification.packages import table
from verification.packages.families import CASES
from verification.packages.installed import complete_torchvision
from verification.packages.trial import trial

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Decoders with this in 'package: name'; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table, in Markdown.")
    ] = None,
    require_all: Annotated[
        bool, typer.Option("--require-all", help="A package that is not installed is a failure.")
    ] = False,
):
    """Try the decoders of other packages."""
    console = Console(soft_wrap=True, highlight=False)
    chosen = [case for case in CASES if not only or any(text in str(case) for text in only)]
    if not chosen:
        typer.echo(f"Error: --only {' '.join(only)} names no decoder.", err=True)
        raise typer.Exit(2)
    if out is not None and not out.parent.is_dir():
        typer.echo(f"Error: --out {out}: there is no folder {out.parent}.", err=True)
        raise typer.Exit(2)
    complete_torchvision()
    outcomes = []
    for case in chosen:
        outcomes.append(trial(case))
        _print(console, outcomes[-1], require_all)
    if out is not None:
        out.write_text(table.page(outcomes), encoding="utf-8")
    failed = [outcome for outcome in outcomes if _fails(outcome, require_all)]
    _print_summary(console, outcomes, failed)
    raise typer.Exit(1 if failed else 0)


def _fails(outcome, require_all):
    return bool(outcome.problems or (outcome.skipped and require_all))


def _print(console, outcome, require_all):
    if _fails(outcome, require_all):
        verdict = Text("FAIL ", "bold red")
    elif outcome.skipped:
        verdict = Text("SKIP ", "yellow")
    else:
        verdict = Text("PASS ", "green")
    console.print(verdict + Text(table.line(outcome)))


def _print_summary(console, outcomes, failed):
    tried = [outcome for outcome in outcomes if not outcome.skipped]
    for outcome in tried:
        if outcome.served > outcome.case.served:
            console.print(
                f"{outcome.case}: promised {outcome.case.served}, is {outcome.served}: the promise "
                "can be raised."
            )
    right = len(tried) - len([outcome for outcome in failed if not outcome.skipped])
    verdict = f"FAIL: {len(failed)}" if failed else "PASS"
    skipped = len(outcomes) - len(tried)
    console.print(
        f"{verdict}. {right} of {len(tried)} decoders right"
        + (f", {skipped} not installed." if skipped else ".")
    )
