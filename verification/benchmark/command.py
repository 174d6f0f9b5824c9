"""``python -m verification.benchmark``: what curvature costs, along every route.

On tanh decoders of several sizes, every route's R and gradient are first compared with autodiff in
float64, then timed, forward (no gradients) and forward + backward (of mean(R²), in the parameters),
against one forward pass of the decoder, against nested ``jacfwd`` through g, Γ and ∂Γ as one would
write it (plain intrinsic), and against the bare matrix products. On CUDA the sizes are larger, and
curvcore's kernels stand beside the same route without them, compiled, and as one CUDA graph; what a
call asks of the device is counted. Exit code: 0 all right, 1 a wrong result or a crash, 2 bad
usage.
"""

import os
import time
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.text import Text

from verification.benchmark import distances as benchmark_distances
from verification.benchmark import estimates, images, routes, schedule, tables, targets, timing
from verification.benchmark import growth as benchmark_growth
from verification.benchmark import scale as benchmark_scale
from verification.benchmark import sweep as benchmark_sweep
from verification.benchmark.measurement import Measured, Settings, measure, reason
from verification.benchmark.record import Record
from verification.benchmark.tables import NOT_RUN
from verification.decoders import UsageError, check_device

WIDTH = 100


class Dtype(StrEnum):
    """Choices of ``--dtype``."""

    float32 = "float32"
    float64 = "float64"

    def torch(self):
        """The torch dtype meant."""
        return getattr(torch, self.value)


Quick = Annotated[bool, typer.Option("--quick", help="Two sizes, few repeats.")]
Rows = Annotated[
    list[int] | None,
    typer.Option(metavar="N", min=1, help="Only this row of the sizes."),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(metavar="d,width,depth,D,batch", help="A size of your own."),
]
Routes = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help=f"Only these: {', '.join(routes.NAMES)}."),
]
Peers = Annotated[
    bool, typer.Option("--peers", help="JAX too; folx and torch-jet, where installed.")
]
Growth = Annotated[
    bool, typer.Option("--growth", help="Time and memory up to a million points, on CUDA ten.")
]
Counts = Annotated[
    bool | None,
    typer.Option(
        help="Launches and waits of a call, share of the matmul rate. "
        "By default on CUDA and for a size of your own."
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="Begin no measurement after that."),
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick: Quick = False,
    row: Rows = None,
    size: Sizes = None,
    route: Routes = None,
    peers: Peers = False,
    dtype: Annotated[Dtype, typer.Option(help="Working precision.")] = Dtype.float32,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Rounds: at most so many repeats.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and points.")] = 0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every number.")] = None,
    growth: Growth = False,
    scale: Annotated[
        bool, typer.Option("--scale", help="Only: R up to d = 256, D = 16384, exact and estimated.")
    ] = False,
    distances: Annotated[
        bool, typer.Option("--distances", help="Only: the distances of all pairs of 1000 points.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Cost against batch size, d and D, for --json.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Plot cost against batch size, d and D."),
    ] = None,
    counts: Counts = None,
    time_limit: TimeLimit = None,
):
    """Time every route to the scalar curvature."""
    console = Console(width=WIDTH)
    started = time.perf_counter()
    try:
        check_device(device)
        sizes = schedule.sizes(quick, row, size, device)
        names = schedule.names(route, peers, device)
        settings = _settings(quick, repeats, device, dtype, seed, names)
        _check_files(json, plot)
    except UsageError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if threads is not None:
        torch.set_num_threads(threads)
    load = _prepare(console)
    settings = _looking_closer(settings, counts, size, time_limit, started)
    record = Record(json, settings, load)
    stages = ([], []) if scale or distances else schedule.stages(sizes, names, device)
    if scale:
        _scale(record, console)
    if distances:
        _distances(record, console)
    _measure_stages(stages, growth, sweep or plot is not None, record, console)
    if plot is not None and record.sweeps:
        _plot(plot, record.sweeps)
    tables.show_against_peer(console, record.lines)
    targets.show(console, record.verdicts)
    raise typer.Exit(_conclude(console, record, time.perf_counter() - started))


def _prepare(console):
    """Quiet and steady, so that times mean something; the load of the machine."""
    # Of torch's compiler, about itself.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch._inductor")
    load = _note_load(console)
    timing.settle_allocator()
    return load


def _measure_stages(stages, growth, sweep, record, console):
    """What is quickly there, growth and sweeps if asked for, what takes long to compile."""
    soon, later = stages
    _measure_all(soon, record, console)
    if growth:
        _grow(record, console)
    if sweep:
        with _recorded("sweeps", record, console):
            record.sweeps = benchmark_sweep.measure(record.settings)
            for swept in record.sweeps:
                record.crashed |= swept.crashed
    _measure_all(later, record, console)


def _conclude(console, record, taken):
    """Print the verdict; the exit code."""
    failed = [result for result in record.results if not result.passed]
    for where in record.crashed:
        console.print(f"[bold red]FAIL: crashed at {where}[/]")
    verdict = f"[bold red]FAIL: {len(failed)} of" if failed else "[bold green]PASS: all"
    if record.results:
        total = len(record.results)
        console.print(f"{verdict} {total} results agree with float64[/] in {taken:.0f} s")
    return 0 if record.passed else 1


def _measure_all(stages, record, console):
    """Measure Stages and show them as they come."""
    for stage in stages:
        with _recorded(str(stage.size), record, console):
            _measure(stage, record, console)


def _measure(stage, record, console):
    size, settings = stage.size, replace(record.settings, names=stage.names)
    if settings.is_late:
        measured = Measured([], dict.fromkeys(stage.names, NOT_RUN), {})
    else:
        with console.status(f"{size} ..."):
            measured = measure(size, settings)
    tables.show(console, size, measured.lines, measured.unavailable)
    record.add(size, measured)


def _grow(record, console):
    with _recorded("growth", record, console):
        if record.settings.is_late:
            console.print(f"[yellow]growth {NOT_RUN}[/]")
            record.unavailable["growth"] = {routes.FUSED: NOT_RUN}
        else:
            record.grown = benchmark_growth.measure(record.settings)
            benchmark_growth.show(console, record.grown)


def _scale(record, console):
    with _recorded("scale", record, console):
        record.scaled = benchmark_scale.measure(record.settings)
        benchmark_scale.show(console, record.scaled)
    with _recorded("estimates", record, console):
        record.estimated = estimates.measure(record.settings)
        estimates.show(console, record.estimated)
    with _recorded("images", record, console):
        record.of_images = images.measure(record.settings)
        images.show(console, record.of_images)


def _distances(record, console):
    with _recorded("distances", record, console):
        record.of_distances = [benchmark_distances.measure(record.settings)]
        benchmark_distances.show(console, record.of_distances[0])


@contextmanager
def _recorded(what, record, console):
    """Go on after a crash, which the record tells, and write down what is there so far."""
    try:
        yield
    except Exception as error:
        record.crashed[what] = traceback.format_exc()
        console.print(Text(f"{what}: {reason(error)}", style="bold red"))
    record.write()


# --- what to measure ----------------------------------------------------------------------------


def _settings(quick, repeats, device, dtype, seed, names):
    repeats = repeats or (5 if quick else 15)
    return Settings(device, dtype.torch(), seed, repeats, 1.0 if quick else 5.0, names)


def _looking_closer(settings, counts, size, time_limit, started):
    """The settings with what is known only when the run begins."""
    if counts is None:
        counts = timing.is_cuda(settings.device) or bool(size)
    rate = timing.matmul_rate(settings.dtype, settings.device) if counts else None
    deadline = settings.deadline if time_limit is None else started + time_limit
    return replace(settings, counts=counts, matmul_rate=rate, deadline=deadline)


def _check_files(json, plot):
    for option, path in (("--json", json), ("--plot", plot)):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"{option}: {path} is not a file in an existing folder.")
    if plot is not None and find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'curvcore[plots]'")


def _note_load(console):
    """The load average of the last minute; times taken on a busy machine mean little."""
    if not hasattr(os, "getloadavg"):
        return None
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"[yellow]The machine is busy (load {load:.1f}): do not trust the times.[/]")
    return load


def _plot(path, sweeps):
    from verification.benchmark.plot import plot  # matplotlib is optional

    plot(path, sweeps)
