"""What one size costs along every route: results compared first, then times and memory."""

import math
import time
import traceback
from dataclasses import asdict, dataclass, replace

import torch

import curvcore
from verification.benchmark import counting, routes, timing
from verification.benchmark.tables import DIRECTIONS, NOT_RUN

# Points at which results are compared.
COMPARED = 8


@dataclass(frozen=True)
class Settings:
    """How a run measures.

    Attributes:
        counts: whether launches and waits are counted.
        deadline: of ``time.perf_counter()``; a route whose turn comes later is left out.
        matmul_rate: of this device, from :func:`verification.benchmark.timing.matmul_rate`.
    """

    device: str
    dtype: torch.dtype
    seed: int
    repeats: int
    budget: float
    names: tuple
    counts: bool = False
    deadline: float = math.inf
    matmul_rate: float | None = None

    @property
    def is_late(self):
        """Whether the deadline has passed."""
        return time.perf_counter() > self.deadline


@dataclass(frozen=True)
class Line:
    """One route on one size in one direction: times in seconds, memory in bytes."""

    size: routes.Size
    direction: str
    route: str
    chunk: int
    error: float
    allowed: float
    times: timing.Times
    memory: int | None
    decoder_pass: float
    limit: float
    plain: float | None
    counts: counting.Counts | None = None
    matmul_rate: float | None = None

    @property
    def passed(self):
        """Whether R, backward its gradient, is right; NaN is not."""
        return self.error <= self.allowed

    @property
    def rates(self):
        """What the times mean."""
        median = self.times.median
        return {
            "points_per_second": self.size.batch / median,
            "multiple_of_decoder_pass": median / self.decoder_pass,
            "speedup_over_plain_intrinsic": self.plain / median if self.plain else None,
            "share_of_arithmetic_limit": self.limit / median,
            "share_of_matmul_rate": self.share_of_matmul_rate,
        }

    @property
    def share_of_matmul_rate(self):
        """Operations of the bare products a second, over those of one large product."""
        if self.matmul_rate is None:
            return None
        operations = routes.flop(self.size, backward=self.direction == "backward")
        return operations / self.times.median / self.matmul_rate

    def as_dict(self):
        """Plain data for JSON."""
        low, high = self.times.spread
        return {
            "size": asdict(self.size),
            "direction": self.direction,
            "route": self.route,
            "chunk": self.chunk,
            "passed": self.passed,
            "error": self.error if self.error < float("inf") else str(self.error),
            "allowed": self.allowed,
            "median_seconds": self.times.median,
            "min_seconds": low,
            "max_seconds": high,
            "repeats": len(self.times.seconds),
            "peak_bytes": self.memory,
            "decoder_pass_seconds": self.decoder_pass,
            "bare_products_seconds": self.limit,
            "gpu_median_seconds": self.times.gpu_median,
            "counts": asdict(self.counts) if self.counts else None,
            **self.rates,
        }


@dataclass(frozen=True)
class Measured:
    """The Lines of one size, name -> reason of the routes that are not there, and the traceback of
    those of them that may not be missing."""

    lines: list
    unavailable: dict
    crashed: dict


def measure(size, settings, *, directions=tuple(DIRECTIONS), memory=True):
    """What one size costs: Measured."""
    timing.release_memory(settings.device)
    decoder, z = size.decoder(settings.dtype, settings.device, settings.seed)
    reference = routes.Reference(size, decoder, z, COMPARED)
    usable, errors, unavailable, crashed = {}, {}, {}, {}
    if set(settings.names) & set(routes.COMPILER_MODES):
        torch.compiler.reset()
    for name in settings.names:
        if settings.is_late:
            unavailable[name] = NOT_RUN
            continue
        try:
            built = routes.build(name, size, decoder, z)
            errors[name] = _compare(built, reference, settings.dtype, directions)
            usable[name] = built
        except Exception as error:
            if not _may_be_missing(name, error):
                crashed[name] = traceback.format_exc()
            unavailable[name] = reason(error)
    lines = []
    for direction in directions:
        lines += _timed(size, direction, usable, errors, decoder, z, settings, memory)
    return Measured(lines, unavailable, crashed)


def _compare(route, reference, dtype, directions):
    """Error and allowance of each direction; these runs are the warm-up too."""
    errors = {}
    for direction in directions:
        call = getattr(route, direction)
        for _ in range(getattr(route, "warm_ups", 0)):
            call()
        if direction == "forward":
            errors[direction] = reference.error(call(), route.formula, dtype)
        else:
            errors[direction] = reference.gradient_error(call(), dtype)
    return errors


def _timed(size, direction, usable, errors, decoder, z, settings, memory):
    if not usable:
        return []
    tasks = {
        routes.PASS: lambda: _decoder_pass(decoder, z),
        routes.LIMIT: routes.bare_products(size, z, backward=direction == "backward"),
    }
    tasks |= {name: getattr(route, direction) for name, route in usable.items()}
    times = timing.interleaved(tasks, settings.device, settings.repeats, settings.budget)
    plain = times[routes.PLAIN].median if routes.PLAIN in times else None
    return [
        Line(
            size=size,
            direction=direction,
            route=name,
            chunk=route.chunk,
            error=errors[name][direction][0],
            allowed=errors[name][direction][1],
            # Events are torch's: of another's work they know nothing.
            times=times[name] if route.is_torch else replace(times[name], gpu_seconds=()),
            memory=_peak_memory(route, tasks[name], settings) if memory else None,
            decoder_pass=times[routes.PASS].median,
            limit=times[routes.LIMIT].median,
            plain=plain,
            counts=_counts(route, tasks[name], settings),
            matmul_rate=settings.matmul_rate,
        )
        for name, route in usable.items()
    ]


def _peak_memory(route, task, settings):
    """None where torch's allocator does not see it: of others, or of a graph recorded before."""
    if not route.is_torch or route.name == routes.GRAPH:
        return None
    return timing.peak_memory(task, settings.device)


def _counts(route, task, settings):
    """None where nobody sees it: of others, and of what a compiler has made for a CPU."""
    hidden = route.name in routes.COMPILER_MODES and not timing.is_cuda(settings.device)
    if not settings.counts or not route.is_torch or hidden:
        return None
    return counting.count(task, settings.device)


def _decoder_pass(decoder, z):
    with torch.no_grad():
        return decoder(z)


def _may_be_missing(name, error):
    """Whether a run may go without: what is optional, too large here, or newer than curvcore."""
    return (
        name in routes.OPTIONAL
        or isinstance(error, torch.OutOfMemoryError)
        or _is_unknown_option(error)
    )


def _is_unknown_option(error):
    return isinstance(error, curvcore.InputError) and "derivatives must be" in str(error)


def reason(error):
    """An error in one line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"
