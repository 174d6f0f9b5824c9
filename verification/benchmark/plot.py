"""``verification.benchmark --plot``: throughput against batch size, cost against d and D."""

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from verification.benchmark import measurement, routes

BASE = routes.Size(2, 128, 3, 784, 256)
BATCHES = (4, 16, 64, 256, 1024, 4096)
DIMENSIONS = (2, 3, 4, 6, 8)
AMBIENTS = (16, 64, 256, 1024, 4096, 12288)
# Plain intrinsic is slow, and compiling at every point of a sweep slower still.
LEFT_OUT = (routes.PLAIN, routes.COMPILED)


def plot(path, settings):
    """Measure the sweeps around one decoder (2, 3x128, 784) and draw them, forward only."""
    names = tuple(name for name in settings.names if name not in LEFT_OUT)
    budget = settings.budget / 5
    settings = replace(settings, names=names, budget=budget, repeats=min(settings.repeats, 5))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    _throughput(left, settings)
    _cost(right, settings)
    figure.suptitle(f"Scalar curvature of {BASE.depth}x{BASE.width} tanh decoders, forward")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _throughput(axes, settings):
    """Points per second of every route against the batch size."""
    curves = _sweep([replace(BASE, batch=batch) for batch in BATCHES], settings)
    for name, lines in curves.items():
        rates = [line.rates["points_per_second"] for line in lines]
        axes.loglog([line.size.batch for line in lines], rates, "o-", label=name)
    axes.set(xlabel="batch size", ylabel="points per second", title=f"d={BASE.d}, D={BASE.D}")
    axes.legend()


def _cost(axes, settings):
    """Microseconds per point of every route against d (solid) and D (dashed)."""
    for field, values, style in (("d", DIMENSIONS, "o-"), ("D", AMBIENTS, "s--")):
        axes.set_prop_cycle(None)
        sizes = [replace(BASE, **{field: value}) for value in values]
        for name, lines in _sweep(sizes, settings).items():
            costs = [1e6 * line.times.median / line.size.batch for line in lines]
            dimensions = [getattr(line.size, field) for line in lines]
            axes.loglog(dimensions, costs, style, label=f"{name}, against {field}")
    title = f"d at D={BASE.D}, D at d={BASE.d}, batch {BASE.batch}"
    axes.set(xlabel="d (solid), D (dashed)", ylabel="µs per point", title=title)
    axes.legend(fontsize="small")


def _sweep(sizes, settings):
    """Route -> its lines over the sizes; a wrong result is left out."""
    curves = {}
    for size in sizes:
        lines, _ = measurement.measure(size, settings, directions=("forward",), memory=False)
        for line in lines:
            if line.passed:
                curves.setdefault(line.route, []).append(line)
    return curves
