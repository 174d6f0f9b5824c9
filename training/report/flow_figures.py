"""Plotly figures of a flow: R and f over the latent box, and its numbers against the epoch."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.report import figures
from training.report.colours import CURVATURE, SHARE, SIZE, bar

TRACES = ("flow R", "flow f")  # flow.js exchanges their values
TITLES = {
    "F": "F [1/L²]", "W": "W", "defect": "∫|Ric + ∇²f|² dm [1/L⁴]", "mass": "∫ e^{−f} dμ",
    "total_curvature": "∫ R dμ", "volume": "Vol [L²]", "tau": "τ [L²]",
}  # fmt: skip


def flow_figure(run):
    """R and f at the end of the training; the page moves them along it."""
    flow = run.flow
    f = flow.maps[:, 1]
    low, high = np.nanquantile(f, SHARE) if np.isfinite(f).any() else (0.0, 1.0)
    limits = ((-run.view.limit, run.view.limit), (float(low), float(high)))
    figure = make_subplots(1, 2, horizontal_spacing=0.2)
    figure.update_layout(figures.plain_layout())
    for column, name in enumerate(TRACES):
        title = {"text": "Rf"[column], "side": "top"}
        scale = bar("") | {"title": title, "x": (0.41, 1.01)[column]}
        figure.add_heatmap(
            x=figures.short(flow.x), y=figures.short(flow.y),
            z=figures.short(flow.maps[-1, column]), name=name,
            zmin=limits[column][0], zmax=limits[column][1], colorbar=scale,
            colorscale=(CURVATURE, SIZE)[column],
            hovertemplate="z = (%{x:.4g}, %{y:.4g})<br>%{z:.4g}<extra></extra>",
            row=1, col=column + 1,
        )  # fmt: skip
    first, second = figures.latent_axes(run.view)
    figure.update_xaxes(title_text=first).update_yaxes(title_text=second, col=1)
    return figure


def curve_figure(runs, name):
    """A logged number against the epoch, a line for each pair of an index and a run."""
    figure = go.Figure(layout=figures.plain_layout())
    for index, run in runs:
        epochs, values = run.flow.curves.get(name, ((), ()))
        figure.add_scatter(
            x=epochs, y=values, name=figures.literal(run.view.name), mode="lines+markers",
            line=figures.run_line(index), marker={"size": 4},
        )  # fmt: skip
    figure.update_layout(title={"text": TITLES[name], "x": 0.5}, height=260)
    if name == "mass":
        figure.update_yaxes(range=[1 - 2e-5, 1 + 2e-5], tickformat=".5f")
    return figure.update_xaxes(title_text="epoch")


def names_of(chapter):
    """The logged numbers of any run."""
    return [n for n in TITLES if any(run.flow and n in run.flow.curves for run in chapter.runs)]
