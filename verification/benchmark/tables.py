"""The tables of ``python -m verification.benchmark``."""

from rich.text import Text

from verification import report
from verification.benchmark import routes, timing

DIRECTIONS = {"forward": "forward", "backward": "forward + backward"}


def show(console, size, lines, unavailable):
    """Print a table for each direction of one size, and why routes are missing."""
    for direction, title in DIRECTIONS.items():
        chosen = [line for line in lines if line.direction == direction]
        if chosen:
            console.print(_table(f"{size}: {title}", chosen))
    for name, reason in unavailable.items():
        console.print(Text(f"{name} not available: {reason}", style="yellow"))
    console.print()


def show_against_peer(console, lines):
    """How many times faster than JAX the fused routes are, in the geometric mean over the sizes."""
    found = {(line.size, line.direction, line.route): line.times.median for line in lines}
    ratios = {}
    for (size, direction, name), median in found.items():
        peer = found.get((size, direction, routes.PEER))
        if peer is not None and name in (routes.FUSED, routes.COMPILED):
            ratios.setdefault((name, direction), []).append(peer / median)
    for (name, direction), values in ratios.items():
        listed = ", ".join(f"{value:.3g}" for value in values)
        mean = timing.geometric_mean(values)
        title = f"{name} over {routes.PEER}, {DIRECTIONS[direction]}"
        console.print(f"{title}: {mean:.3g} in the geometric mean ({listed})")


def _table(title, lines):
    first = lines[0]
    base = (
        f"one decoder pass {_duration(first.decoder_pass)}, bare products {_duration(first.limit)}"
    )
    table = report.empty_table(f"{title}\n{base}")
    table.add_column("route", no_wrap=True)
    for column in (
        "median", "min–max", "points/s", "passes", "speed-up", "limit", "peak MB", "error", "",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line):
    rates = line.rates
    speedup = rates["speedup_over_plain_intrinsic"]
    verdict = Text("PASS", style="green") if line.passed else Text("FAIL", style="bold red")
    if not line.passed:
        return line.route, "", "", "", "", "", "", "", f"{line.error:.0e}", verdict
    return (
        line.route,
        _duration(line.times.median),
        "–".join(map(_duration, line.times.spread)),
        f"{rates['points_per_second']:.2g}",
        f"{rates['multiple_of_decoder_pass']:.3g}",
        "" if speedup is None else f"{speedup:.3g}",
        f"{rates['share_of_arithmetic_limit']:.0%}",
        "" if line.memory is None else f"{line.memory / 1e6:.0f}",
        f"{line.error:.0e}",
        verdict,
    )


def _duration(seconds):
    if seconds >= 1:
        return f"{seconds:.3g}s"
    return f"{seconds * 1e3:.3g}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g}µs"
