"""``verification.benchmark --scale``: what R costs against d and D, exact, in blocks and estimated.

SiLU decoders d → w → w → D, w = 256 and from d = 128 on 2d, since behind narrower layers there is
no room to bend. Each exact R is compared with another way in float64: moments of hidden units with
derivatives along a frame.
"""

import math
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import nn

import curvcore
from curvcore.large_dimension import Along
from verification import report
from verification.benchmark import timing

DIMENSIONS, AMBIENT = (2, 4, 8, 16, 32, 64, 128, 256), 784
AMBIENTS, DIMENSION = (64, 256, 1024, 4096, 16384), 16
POINTS, IN_BLOCKS, COMPARED = 64, 2, 2
BLOCK, PROBES = 1024, 8
EXACT, BLOCKS, ESTIMATED, METRIC = "exact", "blocks", "estimated", "metric"
# Above this d, R costs what the way to it costs, not what starting it does.
FIRST_OF_SLOPE = 16
ALLOWED = 1e-4


@dataclass(frozen=True)
class Scaled:
    """One way to R on one decoder.

    Attributes:
        way: one of ``EXACT``, ``BLOCKS``, ``ESTIMATED``, and ``METRIC``, ∇Ψ and a frame alone.
        seconds, peak_bytes: of one call on ``points``.
        decoder_pass: seconds of the decoder on the same points.
        error: |R − R'|/|R'| over the points compared; of estimates the standard error over |R|.
    """

    d: int
    D: int
    width: int
    way: str
    points: int
    seconds: float
    peak_bytes: int
    decoder_pass: float
    error: float | None

    @property
    def passes(self):
        """Its time in passes of the decoder."""
        return self.seconds / self.decoder_pass

    @property
    def passed(self):
        """Whether an exact R is right."""
        return self.way not in (EXACT, BLOCKS) or self.error <= ALLOWED


def decoder_of(d, ambient, seed):
    """The decoder d → w → w → D, and latent points."""
    width = 256 if d < 128 else 2 * d
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Linear(d, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        decoder = nn.Sequential(*layers, nn.Linear(width, ambient))
        return decoder, torch.randn(POINTS, d)


def measure(settings):
    """Scaled of all ways, against d and then against D."""
    sizes = [(d, AMBIENT) for d in DIMENSIONS] + [(DIMENSION, D) for D in AMBIENTS]
    lines = []
    for d, ambient in sizes:
        decoder, z = decoder_of(d, ambient, settings.seed)
        lines += _measure(decoder.to(settings.device), z.to(settings.device), ambient, settings)
    return lines


def _measure(decoder, z, ambient, settings):
    d, few = z.shape[1], z[:IN_BLOCKS]
    estimator = curvcore.Hutchinson(PROBES)
    along = Along(decoder, "auto", len(z) * (d + PROBES * (PROBES + 3) // 2))
    tasks = {
        EXACT: (z, lambda: curvcore.scalar_curvature(decoder, z)),
        BLOCKS: (few, lambda: curvcore.scalar_curvature(decoder, few, block_size=BLOCK)),
        METRIC: (z, lambda: along.tangent_spaces(z).frame()),
        ESTIMATED: (z, lambda: curvcore.estimate_scalar_curvature(decoder, z, estimator)),
    }
    with torch.no_grad():
        errors = _errors(decoder, z, tasks)
        passes = {len(points): partial(decoder, points) for points in (z, few)}
        all_tasks = passes | {way: task for way, (_, task) in tasks.items()}
        times = timing.interleaved(all_tasks, settings.device, settings.repeats, settings.budget)
        return [
            Scaled(
                d, ambient, decoder[0].out_features, way, len(points), times[way].median,
                timing.peak_memory(task, settings.device), times[len(points)].median,
                errors.get(way),
            )
            for way, (points, task) in tasks.items()
        ]  # fmt: skip


def _errors(decoder, z, tasks):
    """Of every way; the references go along a frame, and by hidden units where they serve."""
    exact, blocks, estimated = (tasks[way][1]() for way in (EXACT, BLOCKS, ESTIMATED))
    precise, z = decoder.double(), z[:COMPARED].double()
    by_frame = curvcore.scalar_curvature(precise, z, block_size=2 * z.shape[1] ** 2)
    by_units = curvcore.scalar_curvature(precise, z)
    decoder.float()
    error = (estimated.standard_error / estimated.value.abs()).median().item()
    return {
        EXACT: _difference(exact[:COMPARED], by_frame),
        BLOCKS: _difference(blocks[:COMPARED], by_units),
        ESTIMATED: error,
    }


def _difference(found, true):
    return ((found.double() - true).norm() / true.norm()).item()


def slopes(lines):
    """(way, against, what) -> the slope of the log–log line of seconds and bytes a point."""
    found = {}
    for field, fixed, start in (("d", ("D", AMBIENT), FIRST_OF_SLOPE), ("D", ("d", DIMENSION), 0)):
        for way in (EXACT, BLOCKS, ESTIMATED):
            chosen = [s for s in lines if s.way == way and getattr(s, fixed[0]) == fixed[1]]
            chosen = [s for s in chosen if getattr(s, field) >= start]
            for what in ("seconds", "peak_bytes"):
                found[way, field, what] = _slope(
                    [math.log(getattr(s, field)) for s in chosen],
                    [math.log(getattr(s, what) / s.points) for s in chosen],
                )
    return found


def _slope(x, y):
    x, y = (torch.tensor(v, dtype=torch.float64) - sum(v) / len(v) for v in (x, y))
    return (x @ y / (x @ x)).item()


def show(console, lines):
    """Print one row per size and way, and the slopes."""
    table = report.empty_table("\nScale: R against d and D")
    for column in ("d", "D", "width", "way", "points", "ms", "passes", "peak MB", "error"):
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    for s in lines:
        table.add_row(
            str(s.d), str(s.D), str(s.width), s.way, str(s.points), f"{1e3 * s.seconds:.3g}",
            f"{s.passes:.0f}", f"{s.peak_bytes / 1e6:.3g}",
            "" if s.error is None else f"{s.error:.0e}",
        )  # fmt: skip
    console.print(table)
    table = report.empty_table(f"\nSlopes of log–log lines, in d from {FIRST_OF_SLOPE} on")
    for column in ("way", "against", "time a point", "memory a point"):
        table.add_column(column, justify="right")
    found = slopes(lines)
    for way, field in dict.fromkeys(key[:2] for key in found):
        numbers = (f"{found[way, field, what]:.2f}" for what in ("seconds", "peak_bytes"))
        table.add_row(way, field, *numbers)
    console.print(table)


def as_dicts(lines):
    """Plain data for JSON."""
    return [asdict(line) | {"passes": line.passes, "passed": line.passed} for line in lines]
