"""The picture of a flow: the surface at five times coloured by R, and its numbers against time."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from training.pictures.palette import CURVATURE, OKABE_ITO, R_LABEL
from training.pictures.panels import literal
from training.pictures.projections import by_pca
from training.pictures.spaces import EDGES
from training.writing import whole

SIZE, DPI = (14, 6.6), 120
LIMIT = 98  # percentile of |R| where colours end


def picture(made, path):
    """Write the picture of a Film; its path."""
    figure = Figure(SIZE, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    _surfaces(upper, made)
    _curves(lower, made)
    figure.suptitle(f"{literal(made.subject.name)}: {made.flow.name} along the flow")
    with whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return path


def _surfaces(figure, made):
    """The decoded surface at a few times, all in one scale, seen by the PCA of the first."""
    first, _ = next(iter(made.shots.values()))
    shown = np.abs([scalar for _, scalar in made.shots.values()])
    finite = shown[np.isfinite(shown)]
    limit = np.percentile(finite, LIMIT) if finite.size else 1.0
    norm = Normalize(-limit, limit)
    colours = ScalarMappable(norm, CURVATURE)
    space = _space(first)
    reach = np.abs(space(first)).max()
    axes = figure.subplots(1, len(made.shots), subplot_kw={"projection": "3d"}, squeeze=False)[0]
    for ax, (time, (value, scalar)) in zip(axes, made.shots.items(), strict=True):
        seen = space(value)
        seen = seen - (seen.max((0, 1)) + seen.min((0, 1))) / 2
        faces = colours.to_rgba(np.ma.masked_invalid(scalar))
        drawn = ax.plot_surface(
            *np.moveaxis(seen, -1, 0), facecolors=faces, rstride=1, cstride=1, linewidth=0.2,
            shade=False, rasterized=True,
        )  # fmt: skip
        drawn.set_edgecolor(faces[:-1, :-1].reshape(-1, 4) * EDGES)
        ax.set(**{f"{axis}lim": (-reach, reach) for axis in "xyz"}, title=f"t = {time:.3g}")
        ax.set_box_aspect((1, 1, 1), zoom=1.6)
        ax.view_init(elev=28, azim=-60)
        ax.set_axis_off()
    figure.colorbar(
        colours, ax=axes, label=R_LABEL, extend="both", shrink=0.7, location="right", pad=0.01
    )


def _space(value):
    """As it is in R³; in more dimensions by the first three, or of a run's data by their PCA."""
    dimension = value.shape[-1]
    if dimension <= 7:
        return lambda points: points[..., :3]
    flat = value.reshape(-1, dimension)
    return by_pca(flat[np.isfinite(flat).all(1)], 3)


def _curves(figure, made):
    name, steps = made.flow.name, [row for row in made.rows if "dt" in row]
    axes = figure.subplots(1, 4)
    times = np.array([row["time"] for row in made.rows])
    axes[0].plot(times, [row[name] for row in made.rows], "o-", ms=3, color=OKABE_ITO[0])
    axes[0].set(title=f"{name}: {_falls(steps)}", ylabel=f"{name} [{_unit(name)}]")
    rates = {
        "perelman": ("2∫|Ric+∇²f|² dm" if name == "F" else "2τ∫|Ric+∇²f−g/2τ|² dm", "-"),
        "predicted": ("of the decoder", "--"),
        "measured": ("measured", "o"),
    }
    starts = times[:-1]
    for index, (key, (label, style)) in enumerate(rates.items()):
        where = (starts + times[1:]) / 2 if key == "measured" else starts
        colour = OKABE_ITO[(7, 1, 0)[index]]
        axes[1].plot(where, [row[key] for row in steps], style, label=label, ms=4, color=colour)
    axes[1].set(title=f"d{name}/dt")
    axes[1].legend(fontsize=8)
    for key, label in (("share", "share of ‖2E‖²"), ("alignment", "cosine with −2E")):
        axes[2].plot(starts, [row[key] for row in steps], "o-", ms=3, label=label)
    axes[2].set(title="what the decoder realises", ylim=(0, 1.1))
    axes[2].legend(fontsize=8)
    _evenness(axes[3], made, times)
    for ax in axes:
        ax.set_xlabel("t [length²]")
        ax.grid(alpha=0.3)


def _evenness(ax, made, times):
    """Var(R) Vol², relative, and the lengths of parallels."""
    start = made.rows[0]["unevenness"]
    ax.plot(
        times,
        [row["unevenness"] / start for row in made.rows],
        "o-",
        ms=3,
        label="Var(R) Vol², of the start's",
    )
    if {"neck", "bulb"} <= made.rows[0].keys():
        ratio = [row["neck"] / row["bulb"] for row in made.rows]
        ax.plot(times, ratio, "s-", ms=3, color=OKABE_ITO[5], label="length of neck / of bulb")
    else:
        ax.plot(
            times,
            [row["volume"] / made.rows[0]["volume"] for row in made.rows],
            label="Vol, of the start's",
        )
    ax.set(title="how even it is", ylim=(0, None))
    ax.legend(fontsize=8)


def _falls(steps):
    falls = sum(row["rise"] < 0 for row in steps)
    return f"rises at each of {len(steps)} steps" if not falls else f"falls at {falls} steps"


def _unit(name):
    return "1/length²" if name == "F" else "1"
