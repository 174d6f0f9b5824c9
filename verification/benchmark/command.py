"""``python -m verification.benchmark``: what curvature costs, along every route.

On tanh decoders of several sizes, every route's R and gradient are first compared with autodiff in
float64, then timed, forward (no gradients) and forward + backward (of mean(R²), in the parameters),
against one forward pass of the decoder, against nested ``jacfwd`` through g, Γ and ∂Γ as one would
write it (plain intrinsic), and against the bare matrix products. Exit code: 0 all right, 1 a wrong
result, 2 bad usage.
"""

import os
import sys
import time
import warnings
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

import curvcore
from verification import report
from verification.benchmark import growth as benchmark_growth
from verification.benchmark import routes, tables, timing
from verification.benchmark.measurement import Settings, measure
from verification.decoders import UsageError, check_device

WIDTH = 100
SIZES = (
    routes.Size(2, 64, 3, 3, 1024),
    routes.Size(2, 128, 3, 784, 1024),
    routes.Size(2, 512, 3, 784, 512),
    routes.Size(8, 128, 3, 784, 128),
    routes.Size(2, 128, 3, 12288, 1024),
)


class Dtype(StrEnum):
    """Choices of ``--dtype``."""

    float32 = "float32"
    float64 = "float64"

    def torch(self):
        """The torch dtype meant."""
        return getattr(torch, self.value)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="Two sizes, few repeats.")] = False,
    row: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, max=len(SIZES), help="Only this row of the sizes."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="d,width,depth,D,batch", help="A size of your own."),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Only these: {', '.join(routes.NAMES)}."),
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="JAX too, where installed.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="Working precision.")] = Dtype.float32,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Rounds: at most so many repeats.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and points.")] = 0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every number.")] = None,
    growth: Annotated[
        bool, typer.Option("--growth", help="Time and memory up to a million points, in chunks.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Plot cost against batch size, d and D."),
    ] = None,
):
    """Time every route to the scalar curvature."""
    console = Console(width=WIDTH)
    started = time.perf_counter()
    try:
        sizes = _sizes(quick, row, size)
        settings = _settings(quick, repeats, device, dtype, seed, _names(route, peers))
        _check_files(json, plot)
    except UsageError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if threads is not None:
        torch.set_num_threads(threads)
    # Of torch's compiler, about itself.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch._inductor")
    load = _note_load(console)
    timing.settle_allocator()
    lines, notes = _measure_all(sizes, settings, console)
    grown = benchmark_growth.measure(settings) if growth else []
    if grown:
        benchmark_growth.show(console, grown)
    if json is not None:
        report.write_json(json, _record(lines, grown, notes, load, settings))
    if plot is not None:
        _plot(plot, settings)
    tables.show_against_peer(console, lines)
    raise typer.Exit(_conclude(console, lines + grown, time.perf_counter() - started))


def _conclude(console, results, taken):
    """Print the verdict; the exit code."""
    failed = [result for result in results if not result.passed]
    verdict = f"[bold red]FAIL: {len(failed)} of" if failed else "[bold green]PASS: all"
    console.print(f"{verdict} {len(results)} results agree with float64[/] in {taken:.0f} s")
    return 1 if failed else 0


def _measure_all(sizes, settings, console):
    """The Lines of all sizes, shown as they come, and why routes are missing, by size."""
    lines, notes = [], {}
    for size in sizes:
        with console.status(f"{size} ..."):
            measured, notes[str(size)] = measure(size, settings)
        tables.show(console, size, measured, notes[str(size)])
        lines += measured
    return lines, notes


# --- what to measure ----------------------------------------------------------------------------


def _sizes(quick, row, size):
    chosen = [SIZES[number - 1] for number in row or ()] + [_own_size(text) for text in size or ()]
    return chosen or list(SIZES[:2] if quick else SIZES)


def _own_size(text):
    try:
        numbers = [int(part) for part in text.split(",")]
        own = routes.Size(*numbers)
    except (ValueError, TypeError):
        raise UsageError(
            f"--size {text!r}: five integers d,width,depth,D,batch such as 2,64,3,784,1024."
        ) from None
    if min(numbers) < 1 or own.d < 2 or min(own.width, own.D) < own.d:
        raise UsageError(f"--size {text!r}: needs 2 <= d <= width, D, and all at least 1.")
    return own


def _names(route, peers):
    unknown = set(route or ()) - set(routes.NAMES)
    if unknown:
        raise UsageError(f"--route {unknown.pop()!r}: there are {', '.join(routes.NAMES)}.")
    peers = peers or routes.PEER in (route or ())
    if peers and find_spec("jax") is None:
        raise UsageError("--peers needs JAX: pip install jax")
    known = [name for name in routes.NAMES if peers or name != routes.PEER]
    return tuple(name for name in known if not route or name in route or name == routes.PEER)


def _settings(quick, repeats, device, dtype, seed, names):
    check_device(device)
    repeats = repeats or (5 if quick else 15)
    return Settings(device, dtype.torch(), seed, repeats, 1.0 if quick else 5.0, names)


def _check_files(json, plot):
    for option, path in (("--json", json), ("--plot", plot)):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"{option}: {path} is not a file in an existing folder.")
    if plot is not None and find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'curvcore[plots]'")


# --- recording ----------------------------------------------------------------------------------


def _note_load(console):
    """The load average of the last minute; times taken on a busy machine mean little."""
    if not hasattr(os, "getloadavg"):
        return None
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"[yellow]The machine is busy (load {load:.1f}): do not trust the times.[/]")
    return load


def _record(lines, grown, notes, load, settings):
    return {
        "curvcore": curvcore.__version__,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "device": _device_name(settings.device),
        "load_at_start": load,
        "threads": torch.get_num_threads(),
        "dtype": str(settings.dtype).removeprefix("torch."),
        "seed": settings.seed,
        "passed": all(result.passed for result in lines + grown),
        "unavailable": notes,
        "results": [line.as_dict() for line in lines],
        "growth": benchmark_growth.as_dicts(grown),
    }


def _device_name(device):
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return device


def _plot(path, settings):
    from verification.benchmark.plot import plot  # matplotlib is optional

    plot(path, settings)
