"""The tables of ``python -m verification.benchmark``."""

from rich.text import Text

from verification import report
from verification.benchmark import routes, timing

# Why a route is not there when its turn came after the time limit.
NOT_RUN = "not run: the time limit"
DIRECTIONS = {"forward": "forward", "backward": "forward + backward"}


def show(console, size, lines, unavailable):
    """Print a table for each direction of one size, and why routes are missing."""
    for direction, title in DIRECTIONS.items():
        chosen = [line for line in lines if line.direction == direction]
        if chosen:
            console.print(_table(f"{size}: {title}", chosen))
            _show_work(console, chosen)
    if not lines and unavailable:
        console.print(f"{size}:")
    for name, reason in unavailable.items():
        how = reason if reason == NOT_RUN else f"not available: {reason}"
        console.print(Text(f"{name} {how}", style="yellow"))
    console.print()


def show_against_peer(console, lines):
    """How many times faster than JAX the fused routes are, in the geometric mean over the sizes."""
    found = {(line.size, line.direction, line.route): line.times.median for line in lines}
    ratios = {}
    for (size, direction, name), median in found.items():
        peer = found.get((size, direction, routes.PEER))
        if peer is not None and name in (routes.FUSED, *routes.COMPILER_MODES):
            ratios.setdefault((name, direction), []).append(peer / median)
    for (name, direction), values in ratios.items():
        listed = ", ".join(f"{value:.3g}" for value in values)
        mean = timing.geometric_mean(values)
        title = f"{name} over {routes.PEER}, {DIRECTIONS[direction]}"
        console.print(f"{title}: {mean:.3g} in the geometric mean ({listed})")


def _show_work(console, lines):
    """What a call asks of the device, where that was looked at: on a CPU, how many operations."""
    if lines[0].matmul_rate is None:
        return
    on_cuda = any(line.times.gpu_seconds for line in lines)
    table = report.empty_table(
        f"a call; one large product: {lines[0].matmul_rate / 1e9:.3g} GFLOP/s"
    )
    table.add_column("route", no_wrap=True)
    columns = (
        ("launches", "kernels", "waits", "events", "busy") if on_cuda else ("operators", "waits")
    )
    for column in (*columns, "share"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        if line.passed:
            share = f"{line.share_of_matmul_rate:.0%}"
            table.add_row(line.route, *(_on_cuda if on_cuda else _on_cpu)(line), share)
    console.print(table)


def _on_cpu(line):
    counts = line.counts
    return (str(counts.launches), str(counts.synchronisations)) if counts else ("", "")


def _on_cuda(line):
    counts, by_events = line.counts, line.times.gpu_median
    found = (counts.launches, counts.kernels, counts.synchronisations) if counts else ("",) * 3
    return (
        *map(str, found),
        _duration(by_events) if by_events else "",
        _duration(counts.busy) if counts else "",
    )


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
