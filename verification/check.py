"""``python -m verification.check``: does curvcore compute the curvature that is known to be true?

============  ==================================================================================
section       what it does
============  ==================================================================================
proofs        the shipped formulas and jet rules, symbolically: zero exactly
manifolds     the catalogue's closed forms, proved, then computed along every route
decoder       on a decoder trained on handwritten digits, or the user's own, all routes agree
gradients     ∂/∂z and ∂/∂θ along every route: against closed forms, the textbook, differences
certificates  how many digits are right, by ball arithmetic; random decoders: nothing wrong
identities    Gauss–Bonnet, Perelman, Ricci flow, geodesic discs: error against mesh size
traps         where torch's nested derivatives are wrong, live, and other software
============  ==================================================================================

Exit code: 0 all pass, 1 a failure, 2 bad usage.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.check")


import itertools
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import curvcore
from curvcore.providers import PROVIDERS
from verification import agreement, closed_forms, decoders, gradients, report, sections
from verification.manifolds import catalogue
from verification.results import EXACT

AMBIENT = 784
CATALOGUE = "Catalogue: worst relative error against the textbook"
DECODER, GRADIENTS, MANIFOLDS = "decoder", "gradients", "manifolds"
SECTIONS = ("proofs", MANIFOLDS, DECODER, GRADIENTS, *sections.LATER)


class Dtype(StrEnum):
    """Choices of ``--dtype``."""

    float64 = "float64"
    float32 = "float32"
    both = "both"

    def torch(self):
        """The torch dtypes meant."""
        names = ("float64", "float32") if self is Dtype.both else (self.value,)
        return [getattr(torch, name) for name in names]


@dataclass(frozen=True)
class Settings:
    """What one run checks, and how thoroughly."""

    dtypes: list
    device: str
    seed: int
    points: int
    ambients: tuple
    quick: bool
    full: bool


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer points, no copies in R^784.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Every proof and case: a quarter of an hour.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A section, or (part of) a manifold's name. Repeatable."),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Working precision.")] = Dtype.both,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Seed of points, isometries, training.")] = 0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every result.")] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FACTORY", help="Verify your own decoder, as FACTORY() returns it."
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its latent points (B, d): .npy .npz .csv .txt .pt"),
    ] = None,
):
    """Compare curvcore with closed forms, and all its routes with each other."""
    console = Console()
    started = time.perf_counter()
    try:
        settings = _settings(quick, full, dtype, device, seed)
        _check_writable(json)
        chosen = _select(only, decoder, points, settings)
        results = [r for section in SECTIONS for r in _check(section, chosen, settings, console)]
    except decoders.UsageError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if json is not None:
        report.write_json(json, _record(results, settings))
    console.print(_summary(results, time.perf_counter() - started))
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


# --- what to check ------------------------------------------------------------------------------


def _settings(quick, full, dtype, device, seed):
    if quick and full:
        raise decoders.UsageError("--quick and --full exclude each other.")
    decoders.check_device(device)
    ambients = (None,) if quick else (None, AMBIENT)
    points = 16 if quick else 32
    return Settings(dtype.torch(), device, seed, 64 if full else points, ambients, quick, full)


def _check_writable(path):
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise decoders.UsageError(f"--json: {path} is not a file in an existing folder.")


@dataclass(frozen=True)
class _Chosen:
    """The sections, those asked for by name, the manifolds, and what loads the decoder."""

    sections: set
    by_name: set
    manifolds: list
    subject: Callable


def _select(only, decoder, points, settings):
    """What ``--only`` and ``--decoder`` ask for."""
    if (decoder is None) != (points is None):
        raise decoders.UsageError("--decoder and --points go together: give both or neither.")
    names = list(only or ())
    if decoder is not None:
        subject = cache(partial(decoders.user_decoder, decoder, points))
        names = names or [DECODER, GRADIENTS, "certificates"]
        names += [] if {GRADIENTS, "certificates"} & set(names) else [DECODER]
    else:
        subject = cache(partial(decoders.digits_decoder, settings.points, settings.seed))
        names = names or SECTIONS
    manifolds = _matching(name for name in names if name == MANIFOLDS or name not in SECTIONS)
    chosen = {name for name in names if name in SECTIONS} | ({MANIFOLDS} if manifolds else set())
    return _Chosen(chosen, set(only or ()), manifolds, subject)


def _matching(names):
    chosen = {}
    for name in names:
        found = {k: m for k, m in catalogue().items() if name == MANIFOLDS or name in k}
        if not found or not name:
            known = ", ".join((*SECTIONS, *catalogue()))
            raise decoders.UsageError(f"--only {name!r} names nothing; there are: {known}.")
        chosen |= found
    return list(chosen.values())


# --- checking -----------------------------------------------------------------------------------


def _check(section, chosen, settings, console):
    """The results of one section, printed; none if it was not chosen."""
    if section not in chosen.sections:
        return []
    if section == MANIFOLDS:
        return _check_catalogue(chosen.manifolds, settings, console)
    if section == DECODER:
        return _check_decoder(chosen.subject(), settings, console)
    if section == GRADIENTS:
        return _check_gradients(chosen.subject(), settings, console)
    started, findings = time.perf_counter(), []
    try:
        with _progress(console) as progress:
            task = progress.add_task(section, total=None)
            for finding in sections.findings(section, chosen.subject, settings):
                findings.append(finding)
                progress.update(task, description=f"{section}: {finding.subject}")
    except sections.NoCertificateError as reason:
        if section in chosen.by_name:
            raise
        console.print(f"Note: {reason}", soft_wrap=True)
        return findings
    title = f"{section}, {time.perf_counter() - started:.1f} s"
    console.print(report.findings_table(findings, title))
    return findings


def _check_catalogue(manifolds, settings, console):
    results = []
    with _progress(console) as progress:
        task = progress.add_task("", total=len(manifolds))
        for manifold in manifolds:
            progress.update(task, description=manifold.name)
            results += closed_forms.proofs(manifold)
            for (ambient, derivatives), dtype in itertools.product(
                _routes(settings), settings.dtypes
            ):
                results += closed_forms.errors(
                    manifold,
                    ambient=ambient,
                    derivatives=derivatives,
                    dtype=dtype,
                    device=settings.device,
                    points=settings.points,
                    seed=settings.seed,
                )
            progress.advance(task)
    console.print(report.manifold_table(results, CATALOGUE))
    return results


def _routes(settings):
    """Pairs of an ambient dimension and a provider; the dearest one in full only."""
    for ambient, derivatives in itertools.product(settings.ambients, PROVIDERS):
        if settings.full or ambient is None or derivatives == "fused":
            yield ambient, derivatives


def _check_decoder(subject, settings, console):
    with _in_the_users_words(subject, settings):
        results = list(agreement.compare(subject, settings.device, settings.dtypes))
    title = f"{_named(subject)}: every route against gauss in float64"
    console.print(report.decoder_table(results, title))
    return results


def _check_gradients(subject, settings, console):
    results, started = [], time.perf_counter()
    with _in_the_users_words(subject, settings):
        by_subject = {
            _named(one): list(gradients.of_decoder(one, settings.device, settings.dtypes))
            for one in gradients.subjects(subject, settings)
        }
    if not subject.is_users:
        results += gradients.of_catalogue(settings)
        console.print(report.manifold_table(results, "Catalogue: gradients in z, worst error"))
    for name, found in by_subject.items():
        title = f"{name}: gradients of every route against those of the textbook"
        console.print(report.gradient_table(found, title))
        results += found
    console.print(f"gradients, {time.perf_counter() - started:.1f} s")
    return results


def _named(subject):
    return f"{subject.name} ({subject.note})" if subject.note else subject.name


@contextmanager
def _in_the_users_words(subject, settings):
    """Tell of the user's own mistakes in a line."""
    try:
        yield
    except curvcore.CurvatureError as error:
        raise decoders.UsageError(f"{subject.name}: {error}") from error
    except Exception as error:
        if not subject.is_users:
            raise
        # Whatever the user's own code raises, on points of a dtype it may not expect.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise decoders.UsageError(
            f"{subject.name} failed on points of {settings.dtypes}, on {settings.device}: {reason}"
        ) from error


def _progress(console):
    return Progress(
        SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


# --- the outcome --------------------------------------------------------------------------------


def _summary(results, seconds):
    failed = [result for result in results if not result.passed]
    verdict = f"[bold red]FAIL: {len(failed)} of" if failed else "[bold green]PASS: all"
    lines = [f"{verdict} {len(results)} comparisons[/] in {seconds:.1f} s"]
    worst = {}
    for result in results:
        if result.section == MANIFOLDS and result.dtype != EXACT:
            route = (result.dtype, result.formula)
            worst[route] = max(worst.get(route, 0.0), result.error)
    if worst:
        listed = ", ".join(f"{' '.join(route)} {error:.1e}" for route, error in worst.items())
        lines.append(f"worst errors of the catalogue: {listed}")
    return "\n".join(lines)


def _record(results, settings):
    return {
        "curvcore": curvcore.__version__,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "device": settings.device,
        "seed": settings.seed,
        "passed": all(result.passed for result in results),
        "results": [result.as_dict() for result in results],
    }


if __name__ == "__main__":
    app()
