"""What points and maps can be coloured by, in one scale for all runs of a chapter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from plotly.colors import diverging, make_colorscale

from training.pictures.palette import PLAIN, R_LABEL, class_colours

CURVATURE = make_colorscale(diverging.RdBu_r)  # blue where R < 0, as in the static figures
SIZE = "Viridis"  # of what is never negative
SHARE = (0.02, 0.98)  # quantiles where colours end


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number at every point, or at every node of a map.

    Attributes:
        name: what the page calls it.
        values: run -> array.
        limits: where the colours end.
        scale: plotly's colour scale.
        ticks: number -> text on the colour bar, of classes; None for numbers.
    """

    name: str
    values: Callable
    limits: tuple[float, float]
    scale: object
    ticks: dict | None = None

    def marker(self):
        """Plotly's options of markers."""
        low, high = self.limits
        return {
            "cmin": low, "cmax": high, "colorscale": self.scale,
            "colorbar": bar(self.name, self.ticks), "showscale": self.name != NONE,
        }  # fmt: skip

    def heatmap(self):
        """Plotly's options of a heat map."""
        low, high = self.limits
        return {
            "zmin": low,
            "zmax": high,
            "colorscale": self.scale,
            "colorbar": bar(self.name, self.ticks),
        }


def bar(title, ticks=None):
    """Plotly's options of a colour bar."""
    options = {"title": {"text": title, "side": "right"}, "thickness": 12, "len": 0.9}
    if ticks:
        options |= {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    return options


NONE, CONDITION = "one colour", "log₁₀ λmax/λmin of g"


def colours_of(chapter):
    """The quantities that points can be coloured by, labels or arc length first."""
    sizes = [
        ("√det g", lambda run: run.view.geometry.volume_density.numpy()),
        (CONDITION, log_condition_at_points),
        ("reconstruction error", lambda run: run.view.error),
    ]
    curvature = Quantity(
        R_LABEL, lambda run: run.view.scalar, (-chapter.limit, chapter.limit), CURVATURE
    )
    others = [Quantity(name, of, _limits(map(of, chapter.runs)), SIZE) for name, of in sizes]
    return [_given(chapter), curvature, *others]


def maps_of(chapter):
    """The quantities that a map over the latent box can show: of runs that have one."""
    runs = [run for run in chapter.runs if run.view.map is not None]
    limit = chapter.limit
    curvature = Quantity(R_LABEL, lambda run: run.view.map.scalar, (-limit, limit), CURVATURE)
    sizes = {
        "√det g": lambda run: run.view.map.volume_density,
        CONDITION: lambda run: log_condition(run.view.map.eigenvalues),
    }
    return [curvature, *(Quantity(n, of, _limits(map(of, runs)), SIZE) for n, of in sizes.items())]


def own_limits(run):
    """Where the colours of each of ``maps_of`` end if they are those of one run alone."""
    drawn, limit = run.view.map, run.view.limit
    sizes = (drawn.volume_density, log_condition(drawn.eigenvalues))
    return [(-limit, limit), *(_limits([size]) for size in sizes)]


def log_condition(eigenvalues):
    """log₁₀ λmax/λmin of eigenvalues (..., d), ascending."""
    return np.log10(eigenvalues[..., -1] / eigenvalues[..., 0])


def log_condition_at_points(run):
    """That of g at the encoded points, NaN where it is degenerate: (n,)."""
    values, ratio = run.eigenvalues, np.full(len(run.view.latents), np.nan)
    regular = run.view.geometry.regular.numpy()
    ratio[regular] = log_condition(values[regular])
    return ratio


def _given(chapter):
    """What the data themselves are coloured by."""
    colour = chapter.runs[0].view.colour
    if colour is None:
        return Quantity(
            NONE, lambda run: np.zeros(len(chapter.data)), (0, 1), [[0, PLAIN], [1, PLAIN]]
        )
    if not colour.discrete:
        limits = _widened(colour.values.min(), colour.values.max())
        return Quantity(colour.name, lambda run: colour.values, limits, SIZE)
    codes = class_colours(colour)
    index = np.searchsorted(list(codes), colour.values)
    k = len(codes)
    steps = [[(i + side) / k, code] for i, code in enumerate(codes.values()) for side in (0, 1)]
    return Quantity(
        colour.name, lambda run: index, (-0.5, k - 0.5), steps,
        {i: str(value) for i, value in enumerate(codes)},
    )  # fmt: skip


def _limits(arrays):
    """Quantiles of all that is finite in the arrays."""
    joined = np.concatenate([np.empty(0), *map(np.ravel, arrays)])
    finite = joined[np.isfinite(joined)]
    return _widened(*np.quantile(finite, SHARE)) if finite.size else (0.0, 1.0)


def _widened(low, high):
    """The limits, apart even where all values are one."""
    low, high = float(low), float(high)
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), low + 0.5 * (abs(low) or 1))
