"""Plotly figures of a chapter. Traces have names: ``page.js`` finds them by these."""

import html

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.pictures.palette import FLOOR, FLOOR_LABEL, OKABE_ITO, PLAIN, R_LABEL
from training.pictures.views import MOST_LATENTS
from training.report.colours import CURVATURE, bar

FONT = {"family": "system-ui, sans-serif", "size": 13}
MARGIN = {"l": 55, "r": 10, "t": 30, "b": 45}
LINES = {
    "geodesic": {"color": "black", "width": 4, "dash": "solid"},
    "straight": {"color": "black", "width": 2, "dash": "dash"},
}
RING = {"color": "rgba(0,0,0,0)", "size": 16, "line": {"color": "black", "width": 3}}
RING_IN_SPACE = {"color": "black", "size": 9, "symbol": "circle-open", "line": {"width": 4}}
EVEN_LIGHT = {"ambient": 0.9, "diffuse": 0.2, "specular": 0, "fresnel": 0}  # true colours
BINS = 41
MOST_FILLED = 2  # histograms that can be told apart
FLOOR_LINE = {"color": FLOOR, "width": 1.5, "dash": "dash"}
FLOOR_NOTE = {"text": FLOOR_LABEL, "font": {"size": 11, "color": FLOOR}}
FLATTEST = 0.1  # least half extent of a box in space, of its largest extent
SCENE = 1.5  # diagonal of a box in space, in units of plotly's camera


# z is below the picture: in it the point may be where it was at another epoch.
HOVER = (
    "point %{pointNumber}<br>R = %{customdata[0]:.3g}<br>error = %{customdata[1]:.3g}"
    "<extra></extra>"
)


def literal(text):
    """The text as plotly shall draw it: what looks like a tag is none."""
    return html.escape(text, quote=False)


def letters(count):
    """What landmarks are called."""
    return [chr(ord("A") + i) for i in range(count)]


def latent_axes(view):
    """What the two coordinates of the latent plot are called."""
    d = view.latents.shape[1]
    return ("PC 1", "PC 2") if d > 2 else ("z₁", "z₂" if d == 2 else "")


# --- points ---------------------------------------------------------------------------------------


def latent_figure(chapter, run):
    """Encoded points; the page moves them along the training, and draws geodesics."""
    view = run.view
    figure = go.Figure(layout=plain_layout())
    points, landmarks = view.plane(view.latents), view.plane(view.latents[chapter.landmarks])
    figure.add_scatter(**_points(chapter, run, points, 5))
    for name, line in LINES.items():
        figure.add_scatter(x=[], y=[], mode="lines", name=name, line=line, hoverinfo="skip")
    figure.add_scatter(**_landmarks(landmarks))
    figure.add_scatter(**_selected("xy"), marker=RING)
    _label(figure, latent_axes(view), run.movement.box)
    return figure


def space_figure(chapter, run):
    """The decoded surface, coloured by R, and the reconstructed points."""
    view = run.view
    figure = go.Figure(layout=plain_layout())
    for mesh in _surface(chapter, view):
        figure.add_mesh3d(**mesh)
    points = _points(chapter, run, view.reconstruction, 2.5)
    if view.surface is not None:
        points["marker"] |= {"showscale": False}  # the bar is that of the surface
    figure.add_scatter3d(**points)
    for name, line in LINES.items():
        options = {"name": name, "line": line | {"width": 2 * line["width"]}}
        figure.add_scatter3d(x=[], y=[], z=[], mode="lines", hoverinfo="skip", **options)
    figure.add_scatter3d(**_landmarks(view.reconstruction[chapter.landmarks]))
    figure.add_scatter3d(**_selected("xyz"), marker=RING_IN_SPACE)
    return figure.update_layout(scene=_scene(view), margin={"l": 0, "r": 0, "b": 0})


def _surface(chapter, view):
    """Options of the decoded nodes as triangles: coloured by R, and grey where g is degenerate.

    Meshes take a fifth of the time of plotly's surfaces, which refine their nodes at every change.
    """
    if view.surface is None:
        return
    known = np.isfinite(view.map.scalar).ravel()
    corners = triangles(*view.map.scalar.shape)
    nodes = {**_coordinates(view.surface.reshape(-1, 3)), "hoverinfo": "skip"}
    coloured = known[corners].all(axis=1)
    yield nodes | {
        **_corners(corners[coloured]), "name": "surface", "lighting": EVEN_LIGHT,
        "intensity": short(np.where(known, view.map.scalar.ravel(), 0)), "colorscale": CURVATURE,
        "cmin": -chapter.limit, "cmax": chapter.limit, "colorbar": bar(R_LABEL),
    }  # fmt: skip
    if not coloured.all():
        grey = {"name": "degenerate", "color": "#999999", "lighting": EVEN_LIGHT}
        yield nodes | _corners(corners[~coloured]) | grey


def triangles(rows, columns):
    """Two triangles in every cell of a grid: numbers of their nodes, (m, 3)."""
    node = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = node[:-1, :-1], node[:-1, 1:], node[1:, :-1], node[1:, 1:]
    return np.stack([[a, b, c], [b, d, c]], axis=0).reshape(2, 3, -1).swapaxes(1, 2).reshape(-1, 3)


def _corners(numbers):
    return {axis: column.astype(np.int32) for axis, column in zip("ijk", numbers.T, strict=True)}


def _points(chapter, run, where, size):
    """Options of the trace of all points, in the first of the colours there are to choose."""
    view, colours = run.view, chapter.colours[0]
    return {
        **_coordinates(where),
        "mode": "markers",
        "name": "points",
        "marker": {"size": size, "color": short(colours.values(run)), **colours.marker()},
        "customdata": short(np.column_stack([view.scalar, view.error])),
        "hovertemplate": HOVER,
    }


def _landmarks(where):
    """Crosses with letters."""
    return {
        **_coordinates(where), "mode": "markers+text", "text": letters(len(where)),
        "name": "landmarks", "textposition": "top center", "hoverinfo": "skip",
        "marker": {"color": "black", "size": 4, "symbol": "diamond"},
    }  # fmt: skip


def _selected(axes):
    """A trace for the point that is chosen: empty as yet."""
    empty = {axis: [] for axis in axes}
    return empty | {"mode": "markers", "name": "selected", "hoverinfo": "skip"}


def _coordinates(where):
    """x, y (and z) of points (..., 2 or 3)."""
    columns = np.moveaxis(where, -1, 0)
    return {axis: short(column) for axis, column in zip("xyz", columns, strict=False)}


def _scene(view):
    """Axes with one unit as long on all, also where the box is flat."""
    shown = view.reconstruction
    if view.surface is not None:
        shown = np.concatenate([shown, view.surface.reshape(-1, 3)])
    low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
    half = np.maximum((high - low) / 2, FLATTEST * max((high - low).max(), 1e-9))
    shape = SCENE * half / np.linalg.norm(half)
    scene = {"aspectmode": "manual", "aspectratio": dict(zip("xyz", shape.tolist(), strict=True))}
    for axis, name, middle, extent in zip(
        "xyz", view.space.names, (low + high) / 2, half, strict=True
    ):
        limits = [float(middle - extent), float(middle + extent)]
        scene[f"{axis}axis"] = {"title": {"text": name}, "range": limits, "nticks": 5}
    return scene


def _label(figure, names, box, **options):
    """Names and limits of the axes of a plane, one unit as long on both."""
    for axis, name, limits in zip("xy", names, np.asarray(box).tolist(), strict=True):
        axis_options = {"title": {"text": name}, "range": limits, **options}
        figure.update_layout({f"{axis}axis": axis_options})
    figure.update_yaxes(scaleanchor="x", scaleratio=1)


def pairs_figure(chapter, run):
    """Every pair of the first five latent coordinates, for d > 2."""
    z = run.view.latents[:, :MOST_LATENTS]
    count, marker = z.shape[1] - 1, _points(chapter, run, z, 3)["marker"] | {"showscale": False}
    figure = make_subplots(count, count, shared_xaxes=True, shared_yaxes=True)
    figure.update_layout(plain_layout())
    for row in range(count):
        for column in range(row + 1):
            figure.add_scatter(
                x=short(z[:, column]), y=short(z[:, row + 1]), mode="markers",
                marker=marker, hoverinfo="skip",
                row=row + 1, col=column + 1,
            )  # fmt: skip
    for i in range(count):
        figure.update_xaxes(title_text=f"z{i + 1}", row=count, col=i + 1)
        figure.update_yaxes(title_text=f"z{i + 2}", row=i + 1, col=1)
    return figure


# --- maps, curvature ------------------------------------------------------------------------------


def map_figure(chapter, run):
    """R over the latent box, and Tissot's ellipses.

    The page exchanges R for other quantities, and draws geodesics between points that are chosen.
    """
    drawn, quantity = run.view.map, chapter.maps[0]
    figure = go.Figure(layout=plain_layout())
    figure.add_heatmap(
        x=short(drawn.x), y=short(drawn.y), z=short(quantity.values(run)), name="map",
        hovertemplate="z = (%{x:.4g}, %{y:.4g})<br>%{z:.4g}<extra></extra>",
        **quantity.heatmap(),
    )  # fmt: skip
    radius = chapter.radius or drawn.radius
    x, y = ellipse_lines(drawn.ellipses_of(radius))
    figure.add_scatter(
        x=x, y=y, mode="lines", name="ellipses", line={"color": "black", "width": 1.2},
        hoverinfo="skip",
    )  # fmt: skip
    for name, line in LINES.items():
        figure.add_scatter(x=[], y=[], mode="lines", name=name, line=line, hoverinfo="skip")
    figure.add_scatter(x=[], y=[], mode="markers", name="ends", marker=RING, hoverinfo="skip")
    figure.update_layout(title={"text": f"r = {radius:.2g}", "x": 0.5, "font": FONT})
    box = [nodes[[0, -1]] for nodes in (drawn.x, drawn.y)]
    _label(figure, latent_axes(run.view), box, constrain="domain")
    return figure


def ellipse_lines(ellipses, nodes=33):
    """Rows (centre, semi-axes, angle in degrees) as one line with gaps: x and y."""
    t = np.linspace(0, 2 * np.pi, nodes)
    circle = np.stack([np.cos(t), np.sin(t)])
    x, y = [], []
    for cx, cy, a, b, angle in ellipses:
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        u, v = np.array([[c, -s], [s, c]]) @ (circle * [[a], [b]])
        x += [*np.round(cx + u, 6).tolist(), None]
        y += [*np.round(cy + v, 6).tolist(), None]
    return x, y


def histogram_figure(chapter):
    """R at the encoded points of every run; what lies beyond ±limit is in the outermost bins."""
    limit = chapter.limit
    edges = np.linspace(-limit, limit, BINS + 1)
    figure = go.Figure(layout=plain_layout())
    for index, run in enumerate(chapter.runs):
        scalar = run.view.scalar[np.isfinite(run.view.scalar)]
        counts, _ = np.histogram(np.clip(scalar, -limit, limit), edges)
        figure.add_scatter(
            x=(edges[1:] + edges[:-1]) / 2, y=counts, name=literal(run.view.name), mode="lines",
            line={"shape": "hvh", **run_line(index)},
            fill="tozeroy" if len(chapter.runs) <= MOST_FILLED else None,
        )  # fmt: skip
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.12})
    figure.update_xaxes(title_text=R_LABEL).update_yaxes(title_text="points")
    return figure


# --- training -------------------------------------------------------------------------------------


def run_line(index):
    """Colour of the runs, one after the other."""
    return {"color": OKABE_ITO[index % len(OKABE_ITO)]}


def terms_of(chapter):
    """Names of the loss and of every term that some run has a history of."""
    return list(dict.fromkeys(name for run in chapter.runs for name in run.view.curves))


def history_figure(chapter, name):
    """A term against the epoch, a colour for each run."""
    figure, shown = go.Figure(layout=plain_layout()), []
    for index, run in enumerate(chapter.runs):
        for stage, (epochs, values) in run.view.curves.get(name, {}).items():
            shown.append(values)
            line = {"dash": "dot" if stage == "val" else "solid", **run_line(index)}
            label = f"{literal(run.view.name)}, {stage}"
            figure.add_scatter(
                x=epochs, y=values, name=label, mode="lines+markers", line=line, marker={"size": 4}
            )
    for floor in sorted({run.view.floors[name] for run in chapter.runs if name in run.view.floors}):
        figure.add_hline(floor, line=FLOOR_LINE, annotation=FLOOR_NOTE)
        shown.append(np.array([floor]))
    figure.update_layout(title={"text": literal(name), "x": 0.5}, height=260)
    figure.update_xaxes(title_text="epoch")
    return figure.update_yaxes(**_scale(np.concatenate(shown)))


def _scale(values):
    """Options of an axis: logarithmic where all values are positive."""
    if not (values > 0).all():
        return {}
    decades = np.log10(values.max() / values.min())
    ticks = {"dtick": int(np.ceil(decades / 4))} if decades > 1 else {"nticks": 5}
    return {"type": "log", "exponentformat": "power", **ticks}


# --- common ---------------------------------------------------------------------------------------


def plain_layout():
    """Of every figure."""
    return {
        "template": "plotly_white", "font": FONT, "margin": MARGIN, "showlegend": False,
        "hovermode": "closest", "height": 420, "colorway": [PLAIN],
    }  # fmt: skip


def short(values):
    """Numbers of seven digits, which is what a picture needs."""
    return np.ascontiguousarray(values, dtype=np.float32)
