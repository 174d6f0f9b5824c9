"""``python -m verification.referee``: curvcore and its peers by one ruler.

Each library gets an environment of its own, made by pip and kept in the user's cache, and answers
for decoders of known geometry: metric, Γ, curvature, gradients, geodesics, and how long that takes.
One JSON for each library and release, and one page of all that there are.

Exit code: 0 curvcore has no fault, 1 it has, 2 bad usage. What peers answer does not count.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from verification import report
from verification.referee import page
from verification.referee.cases import CASES
from verification.referee.environments import default_folder
from verification.referee.peers import LIBRARIES
from verification.referee.score import FAULT, truth_of
from verification.referee.trial import described, trial

ROOT = Path(__file__).parents[2]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="LIBRARY", help="These libraries alone; repeatable."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="CASE", help="These cases alone; writes nothing.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the JSON files are.")] = ROOT
    / "results"
    / "referee",
    docs: Annotated[
        Path, typer.Option(metavar="DIR", help="Where referee.md and referee.html go.")
    ] = ROOT / "docs",
    environments: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where environments are kept.")
    ] = None,
    only_page: Annotated[
        bool, typer.Option("--page", help="Make the page anew, and run nothing.")
    ] = False,
):
    """Ask every library the same questions, and write what they answered."""
    console = Console(soft_wrap=True, highlight=False)
    libraries = _chosen(LIBRARIES, only, "--only")
    cases = _chosen(CASES, case, "--case")
    for folder in (out, docs):
        if not folder.is_dir():
            _stop(f"there is no folder {folder}.")
    records = []
    if not only_page:
        truths = [truth_of(each) for each in cases]
        for library in libraries:
            record = trial(library, truths, environments or default_folder(), console.print)
            records.append(record)
            _print(console, record)
            if not case:
                report.write_json(out / f"{library.name}-{record['release']}.json", record)
    if not case:
        _write_page(out, docs)
    own = [record for record in records if record["library"] == "curvcore"]
    raise typer.Exit(int(any(faults(record) for record in own)))


def faults(record):
    """The results that are faults."""
    return [result for result in record.get("results", ()) if result["verdict"] == FAULT]


def _chosen(things, names, option):
    if unknown := set(names or ()) - {thing.name for thing in things}:
        known = ", ".join(thing.name for thing in things)
        _stop(f"{option} {' '.join(sorted(unknown))}: there are {known}.")
    return [thing for thing in things if not names or thing.name in names]


def _stop(words):
    typer.echo(f"Error: {words}", err=True)
    raise typer.Exit(2)


def _print(console, record):
    name = f"{record['library']} {record['release']}"
    if "not_run" in record:
        console.print(f"{name}: not run: {record['not_run']}", markup=False)
        return
    found = faults(record)
    console.print(f"{name}: {len(record['results'])} questions, {len(found)} faults", markup=False)
    for result in found:
        asked = f"{result['quantity']} of {result['case']}, {result['dtype']}"
        right = f", right is {result['right']}" if "right" in result else ""
        console.print(f"  {asked}: got {result['got']}{right}", markup=False)


def records_in(folder):
    """The records of a folder, and of the libraries that have none there that they are not run."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    for library in LIBRARIES:
        if library.name not in {record["library"] for record in records}:
            records.append({**described(library), "not_run": "not asked yet"})
    return records


def _write_page(out, docs):
    made = page.blocks(records_in(out))
    (docs / "referee.md").write_text(page.markdown(made), encoding="utf-8")
    (docs / "referee.html").write_text(page.hypertext(made), encoding="utf-8")
