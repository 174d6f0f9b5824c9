"""``verification.benchmark --plot``: throughput against batch size, cost against d and D."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot(path, sweeps):
    """Draw the Sweeps against batch, d and D."""
    batch, *dimensions = sweeps
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    _throughput(left, batch)
    _cost(right, dimensions)
    base = batch.base
    figure.suptitle(f"Scalar curvature of {base.depth}x{base.width} tanh decoders, forward")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _throughput(axes, sweep):
    """Points per second of every route against the batch size."""
    for name, lines in sweep.curves.items():
        rates = [line.rates["points_per_second"] for line in lines]
        axes.loglog([line.size.batch for line in lines], rates, "o-", label=name)
    title = f"d={sweep.base.d}, D={sweep.base.D}"
    axes.set(xlabel="batch size", ylabel="points per second", title=title)
    _legend(axes)


def _cost(axes, sweeps):
    """Microseconds per point of every route against d (solid) and D (dashed)."""
    for sweep, style in zip(sweeps, ("o-", "s--"), strict=True):
        axes.set_prop_cycle(None)
        for name, lines in sweep.curves.items():
            costs = [1e6 * line.times.median / line.size.batch for line in lines]
            dimensions = [getattr(line.size, sweep.field) for line in lines]
            axes.loglog(dimensions, costs, style, label=f"{name}, against {sweep.field}")
    base = sweeps[0].base
    title = f"d at D={base.D}, D at d={base.d}, batch {base.batch}"
    axes.set(xlabel="d (solid), D (dashed)", ylabel="µs per point", title=title)
    _legend(axes, fontsize="small")


def _legend(axes, **options):
    """None where time ran out before anything was measured."""
    if axes.lines:
        axes.legend(**options)
