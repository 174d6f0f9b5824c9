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
    """Sizes that differ from a base in one field, and their right Lines."""

    field: str
    base: routes.Size
    lines: list

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
    fields = {"batch": CUDA_BATCHES if on_cuda else BATCHES, "d": DIMENSIONS, "D": AMBIENTS}
    return [
        Sweep(field, base, _lines([replace(base, **{field: value}) for value in values], settings))
        for field, values in fields.items()
    ]


def _lines(sizes, settings):
    """A wrong result is left out."""
    lines = []
    for size in sizes:
        if settings.is_late:
            break
        names = settings.names
        if size.batch > MOST_OF_PEERS:
            names = tuple(name for name in names if name not in routes.PEERS)
        measured = measurement.measure(
            size, replace(settings, names=names), directions=("forward",), memory=False
        )
        lines += [line for line in measured.lines if line.passed]
    return lines


def as_dicts(sweeps):
    """Plain data for JSON."""
    return [
        {"against": sweep.field, "results": [line.as_dict() for line in sweep.lines]}
        for sweep in sweeps
    ]
