"""``verification.benchmark --distances``: all distances of 1000 points, and how far off they are.

A SiLU decoder 2 → 128 → 128 → 128 → 784 with random weights and normal latents. Some pairs are
solved again by :func:`curvcore.geodesic`, which takes the decoder's own derivatives, in float64, on
curves ten times as fine, from the straight line and around it on either side.
"""

import math
import time
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import nn

import curvcore
from verification import report

POINTS, COMPARED, WIDTH, DEPTH, AMBIENT = 1000, 500, 128, 3, 784
SEGMENTS = 320  # ten times those of curvcore.geodesic
_COARSE, _AT_ONCE, _BENT = 32, 50, 0.5
ALLOWED_ERROR = 1e-3


@dataclass(frozen=True)
class Measured:
    """One distance matrix.

    Attributes:
        seconds: of the call, on ``threads`` threads of torch.
        converged: share of all entries.
        largest_bar: the largest error bar, relative.
        error: the largest |d − d'|/d' of the pairs compared; ``median`` of them.
        within: share of these in their error bars, widened by that of the reference, O(n⁻²).
        reference_converged: share of these whose reference has converged.
    """

    points: int
    threads: int
    seconds: float
    converged: float
    largest_bar: float
    compared: int
    error: float
    median: float
    within: float
    reference_converged: float

    @property
    def passed(self):
        """Whether the pairs compared are right; in time, if the machine has nothing else to do."""
        return self.error <= ALLOWED_ERROR


def subject(seed):
    """The decoder, float32, and latents (POINTS, 2)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths, layers = [2, *[WIDTH] * DEPTH], []
        for one, other in pairwise(widths):
            layers += [nn.Linear(one, other), nn.SiLU()]
        return nn.Sequential(*layers, nn.Linear(WIDTH, AMBIENT)), torch.randn(POINTS, 2)


def measure(settings):
    """Measured, on the CPU."""
    decoder, z = subject(settings.seed)
    started = time.perf_counter()
    found = curvcore.distance_matrix(decoder, z)
    seconds = time.perf_counter() - started
    first, second = torch.triu_indices(POINTS, POINTS, 1)
    generator = torch.Generator().manual_seed(settings.seed)
    chosen = torch.randperm(len(first), generator=generator)[:COMPARED]
    first, second = first[chosen], second[chosen]
    length, converged = reference(decoder.double(), *(z.double()[k] for k in (first, second)))
    distance, bar = (part[first, second].double() for part in (found.distance, found.error))
    error = (distance - length).abs() / length
    allowed = bar / length + (math.pi / SEGMENTS) ** 2
    upper = torch.triu_indices(POINTS, POINTS, 1).unbind(0)
    return Measured(
        points=POINTS,
        threads=torch.get_num_threads(),
        seconds=seconds,
        converged=found.converged.double().mean().item(),
        largest_bar=(found.error[upper] / found.distance[upper]).max().item(),
        compared=len(first),
        error=error.max().item(),
        median=error.median().item(),
        within=(error <= allowed).double().mean().item(),
        reference_converged=converged.double().mean().item(),
    )


def reference(decoder, start, end):
    """Lengths (B,) of the shortest discrete geodesics, and whether they have converged."""
    pieces = zip(start.split(_AT_ONCE), end.split(_AT_ONCE), strict=True)
    found = [_refined(decoder, *piece) for piece in pieces]
    lengths, converged = zip(*((one.length, one.converged) for one in found), strict=True)
    return torch.cat(lengths), torch.cat(converged)


def _refined(decoder, start, end):
    """The shortest of three discrete geodesics, on curves that are ten times as fine."""
    t = torch.linspace(0, 1, _COARSE + 1, dtype=start.dtype)[:, None]
    line = torch.lerp(start[:, None], end[:, None], t)
    across = torch.stack([start[:, 1] - end[:, 1], end[:, 0] - start[:, 0]], 1)[:, None]
    found = []
    for side in (0, _BENT, -_BENT):
        path = line + side * torch.sin(math.pi * t) * across
        path[:, 0], path[:, -1] = start, end
        found.append(curvcore.geodesic(decoder, start, end, path=path, segments=_COARSE))
    least = torch.stack([one.length for one in found]).argmin(0)
    coarse = torch.stack([one.path for one in found])[least, torch.arange(len(start))]
    path = nn.functional.interpolate(
        coarse.mT, size=SEGMENTS + 1, mode="linear", align_corners=True
    ).mT
    path[:, 0], path[:, -1] = start, end
    return curvcore.geodesic(decoder, start, end, path=path.contiguous(), segments=SEGMENTS)


def show(console, line):
    """Print what was measured."""
    table = report.empty_table("\nDistances of all pairs")
    table.add_column("", justify="left")
    table.add_column("", justify="right", no_wrap=True)
    pairs = line.points * (line.points - 1) // 2
    for name, value in (
        ("points, pairs", f"{line.points}, {pairs}"),
        ("seconds, threads", f"{line.seconds:.0f}, {line.threads}"),
        ("milliseconds a pair", f"{1e3 * line.seconds / pairs:.2f}"),
        ("entries converged", f"{100 * line.converged:.2f} %"),
        ("largest error bar, relative", f"{line.largest_bar:.1e}"),
        (f"largest error of {line.compared}, relative", f"{line.error:.1e}"),
        ("median error", f"{line.median:.1e}"),
        ("of these within their error bars", f"{100 * line.within:.1f} %"),
        ("of these references converged", f"{100 * line.reference_converged:.1f} %"),
    ):
        table.add_row(name, value)
    console.print(table)


def as_dicts(lines):
    """Plain data for JSON."""
    return [asdict(line) | {"passed": line.passed} for line in lines]
