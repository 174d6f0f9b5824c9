"""What one size costs along every route: results compared first, then times and memory."""

from dataclasses import asdict, dataclass

import torch

import curvcore
from verification.benchmark import routes, timing
from verification.benchmark.tables import DIRECTIONS

# Points at which results are compared.
COMPARED = 8


@dataclass(frozen=True)
class Settings:
    """How a run measures."""

    device: str
    dtype: torch.dtype
    seed: int
    repeats: int
    budget: float
    names: tuple


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
        }

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
            **self.rates,
        }


def measure(size, settings, *, directions=tuple(DIRECTIONS), memory=True):
    """The Lines of one size, and name -> reason of the routes that are not available."""
    decoder, z = size.decoder(settings.dtype, settings.device, settings.seed)
    reference = routes.Reference(size, decoder, z, COMPARED)
    usable, errors, unavailable = {}, {}, {}
    for name in settings.names:
        try:
            usable[name] = built = routes.build(name, size, decoder, z)
            errors[name] = _compare(built, reference, settings.dtype, directions)
        except Exception as error:
            if name not in (routes.COMPILED, routes.PEER) and not _unknown_option(error):
                raise
            usable.pop(name, None)
            unavailable[name] = _reason(error)
    lines = []
    for direction in directions:
        lines += _timed(size, direction, usable, errors, decoder, z, settings, memory)
    return lines, unavailable


def _compare(route, reference, dtype, directions):
    """Error and allowance of each direction; these runs are the warm-up too."""
    errors = {"forward": reference.error(route.forward(), route.formula, dtype)}
    if "backward" in directions:
        errors["backward"] = reference.gradient_error(route.backward(), dtype)
    return errors


def _timed(size, direction, usable, errors, decoder, z, settings, memory):
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
            times=times[name],
            memory=timing.peak_memory(tasks[name], settings.device)
            if memory and route.is_torch
            else None,
            decoder_pass=times[routes.PASS].median,
            limit=times[routes.LIMIT].median,
            plain=plain,
        )
        for name, route in usable.items()
    ]


def _decoder_pass(decoder, z):
    with torch.no_grad():
        return decoder(z)


def _unknown_option(error):
    return isinstance(error, curvcore.InputError) and "derivatives must be" in str(error)


def _reason(error):
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"
