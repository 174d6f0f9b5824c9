"""``verification.benchmark --growth``: time and memory of R against the number of points."""

from dataclasses import asdict, dataclass, replace

import torch

import curvcore
from verification import report
from verification.benchmark import routes, timing
from verification.benchmark.timing import is_cuda

BASE = routes.Size(2, 128, 3, 784, 1000)
COMPARED = 8


@dataclass(frozen=True)
class Scale:
    """Numbers of points, those of a chunk, and how many at once take no more than gigabytes."""

    points: tuple
    chunk: int
    most_at_once: int


ON_CPU = Scale((10**3, 10**4, 10**5, 10**6), 4096, 10**5)
ON_CUDA = Scale((10**4, 10**5, 10**6, 10**7), 65536, 10**5)


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


def measure(settings, scale=None):
    """The Growths, all points at once where memory allows it and in chunks; by default of as many
    points as suit the device."""
    scale = scale or (ON_CUDA if is_cuda(settings.device) else ON_CPU)
    lines = []
    for count in scale.points:
        size = replace(BASE, batch=count)
        decoder, z = size.decoder(settings.dtype, settings.device, settings.seed)
        reference = routes.Reference(size, decoder, z, COMPARED)
        for chunk_size in (None, scale.chunk):
            if chunk_size or count <= scale.most_at_once:
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
