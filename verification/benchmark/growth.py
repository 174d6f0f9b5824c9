"""``verification.benchmark --growth``: time and memory of R against the number of points."""

from dataclasses import asdict, dataclass, replace

import torch

import curvcore
from verification import report
from verification.benchmark import routes, timing

BASE = routes.Size(2, 128, 3, 784, 1000)
POINTS = (10**3, 10**4, 10**5, 10**6)
CHUNK = 4096
# All at once, more than this many points take gigabytes.
MOST_AT_ONCE = 10**5
COMPARED = 8


@dataclass(frozen=True)
class Growth:
    """R of so many points, forward, by the fused route: seconds, bytes, and its error."""

    points: int
    chunk_size: int | None
    seconds: float
    peak_bytes: int
    error: float
    allowed: float

    @property
    def passed(self):
        """Whether R is right at the points compared."""
        return self.error <= self.allowed


def measure(settings, points=POINTS, chunk=CHUNK):
    """The Growths, all points at once where memory allows it and in chunks."""
    lines = []
    for count in points:
        size = replace(BASE, batch=count)
        decoder, z = size.decoder(settings.dtype, settings.device, settings.seed)
        reference = routes.Reference(size, decoder, z, COMPARED)
        for chunk_size in (None, chunk):
            if chunk_size or count <= MOST_AT_ONCE:
                lines.append(_measure(decoder, z, chunk_size, reference, settings))
    return lines


def _measure(decoder, z, chunk_size, reference, settings):
    @torch.no_grad()
    def scalar():
        return curvcore.scalar_curvature(decoder, z, derivatives="fused", chunk_size=chunk_size)

    error, allowed = reference.error(scalar(), "gauss", settings.dtype)  # and warms up
    seconds = min(timing.seconds(scalar, settings.device) for _ in range(2))
    memory = timing.peak_memory(scalar, settings.device)
    return Growth(len(z), chunk_size, seconds, memory, error, allowed)


def show(console, lines):
    """Print one row per number of points and chunk size."""
    table = report.empty_table(f"\nGrowth, d={BASE.d}, {BASE.depth}x{BASE.width}, D={BASE.D}")
    for column in ("points", "chunk_size", "seconds", "µs/point", "peak MB", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            f"{line.points:,}",
            str(line.chunk_size),
            f"{line.seconds:.3g}",
            f"{1e6 * line.seconds / line.points:.3g}",
            f"{line.peak_bytes / 1e6:.1f}",
            f"{line.error:.0e}",
        )
    console.print(table)


def as_dicts(lines):
    """Plain data for JSON."""
    return [asdict(line) | {"passed": line.passed} for line in lines]
