"""Sweeps around one decoder: cost of every route against the batch size, d and D, forward only."""

from dataclasses import dataclass, replace

from verification.benchmark import measurement, routes
from verification.benchmark.timing import is_cuda

BATCHES = (4, 16, 64, 256, 1024, 4096)
CUDA_BATCHES = tuple(2**k for k in range(8, 21, 2))
DIMENSIONS = (2, 3, 4, 6, 8)
AMBIENTS = (16, 64, 256, 1024, 4096, 12288)
# Plain intrinsic is slow, and compiling at every point of a sweep slower still.
LEFT_OUT = (routes.PLAIN, *routes.SLOW_TO_COMPILE)
# More points at once are left to what goes through them in chunks.
MOST_OF_PEERS = 2**16


@dataclass(frozen=True)
class Sweep:
    """Sizes that differ from a base in one field, their right Lines, and what crashed."""

    field: str
    base: routes.Size
    lines: list
    crashed: dict

    @property
    def curves(self):
        """Route -> its lines in the order of the sizes."""
        curves = {}
        for line in self.lines:
            curves.setdefault(line.route, []).append(line)
        return curves


def measure(settings):
    """The Sweeps against batch, d and D."""
    on_cuda = is_cuda(settings.device)
    # A GPU is at work only where there are enough points.
    base = routes.Size(2, 128, 3, 784, 4096 if on_cuda else 256)
    names = tuple(name for name in settings.names if name not in LEFT_OUT)
    budget = settings.budget / 5
    repeats = min(settings.repeats, 5)
    settings = replace(settings, names=names, budget=budget, repeats=repeats, counts=False)
    without_peers = tuple(name for name in names if name not in routes.PEERS)
    # JAX compiles for every size: on CUDA only the batches are worth that.
    for_dimensions = replace(settings, names=without_peers) if on_cuda else settings
    return [
        _sweep("batch", CUDA_BATCHES if on_cuda else BATCHES, base, settings),
        _sweep("d", DIMENSIONS, base, for_dimensions),
        _sweep("D", AMBIENTS, base, for_dimensions),
    ]


def _sweep(field, values, base, settings):
    """A wrong result is left out."""
    lines, crashed = [], {}
    for value in values:
        if settings.is_late:
            break
        size = replace(base, **{field: value})
        names = settings.names
        if size.batch > MOST_OF_PEERS:
            names = tuple(name for name in names if name not in routes.PEERS)
        here = replace(settings, names=names)
        measured = measurement.measure(size, here, directions=("forward",), memory=False)
        lines += [line for line in measured.lines if line.passed]
        crashed |= {f"{size}, {name}": text for name, text in measured.crashed.items()}
    return Sweep(field, base, lines, crashed)


def as_dicts(sweeps):
    """Plain data for JSON."""
    return [
        {"against": sweep.field, "results": [line.as_dict() for line in sweep.lines]}
        for sweep in sweeps
    ]
