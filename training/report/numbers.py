"""All numbers that the page's script draws, as JSON."""

import base64
import json

import numpy as np

from training.report import figures, flow_figures
from training.report.colours import own_limits
from training.report.paths import chart_distances
from training.writing import finite


def chapter_in_numbers(chapter):
    """All numbers of a chapter."""
    history = [figures.history_figure(chapter, name) for name in figures.terms_of(chapter)]
    flowing = [(i, run) for i, run in enumerate(chapter.runs) if run.flow is not None]
    curves = [flow_figures.curve_figure(flowing, n) for n in flow_figures.names_of(chapter)]
    colour = chapter.runs[0].view.colour
    return {
        "n": len(chapter.data),
        "landmarks": chapter.landmarks.tolist(),
        "labelName": colour.name if colour else None,
        "labels": colour.values.tolist() if colour else None,
        "chart": chart_distances(chapter.data, chapter.landmarks),
        "images": _packed(chapter.images),
        "colours": [_quantity(quantity) for quantity in chapter.colours],
        "maps": [_quantity(quantity) for quantity in chapter.maps],
        "history": [_figure(figure) for figure in history],
        "flowCurves": [_figure(figure) for figure in curves],
        "histogram": _figure(figures.histogram_figure(chapter)),
        "runs": [_run(chapter, run) for run in chapter.runs],
    }


def _quantity(quantity):
    marker = quantity.marker()
    return {
        "name": quantity.name, "limits": quantity.limits, "scale": quantity.scale,
        "colorbar": marker["colorbar"], "showscale": marker["showscale"],
    }  # fmt: skip


def _run(chapter, run):
    view, drawn = run.view, run.view.map is not None
    flows = drawn and run.flow is not None
    return {
        "name": view.name,
        "latent": _figure(figures.latent_figure(chapter, run)),
        "space": _figure(figures.space_figure(chapter, run)),
        "map": _figure(figures.map_figure(chapter, run)) if drawn else None,
        "pairs": _figure(figures.pairs_figure(chapter, run)) if view.latents.shape[1] > 2 else None,
        "flow": _figure(flow_figures.flow_figure(run)) if flows else None,
        "flowMaps": _packed(run.flow.maps) if flows else None,
        "flowEpochs": run.flow.epochs.tolist() if flows else None,
        "z": _packed(view.latents),
        "R": _packed(view.scalar),
        "metric": _packed(view.geometry.metric.numpy()),
        "eigenvalues": _packed(run.eigenvalues),
        "density": _packed(view.geometry.volume_density.numpy()),
        "error": _packed(view.error),
        "images": _packed(run.images),
        "epochs": run.movement.epochs.tolist(),
        "movement": _packed(run.movement.latents),
        "colours": [_packed(q.values(run)) for q in chapter.colours],
        "maps": [_packed(q.values(run)) for q in chapter.maps] if drawn else None,
        "mapLimits": own_limits(run) if drawn else None,
        "paths": _paths(run),
        "grid": _packed(run.grid),
    }


def _paths(run):
    paths, view = run.paths, run.view
    return {
        "pairs": paths.pairs.tolist(),
        "lengths": finite(paths.lengths.tolist()),
        "straightLengths": finite(paths.straight_lengths.tolist()),
        "known": paths.known.tolist(),
        "geodesic": {"plane": _packed(view.plane(paths.curves)), "space": _packed(paths.decoded)},
        "straight": {
            "plane": _packed(view.plane(paths.straight)),
            "space": _packed(paths.decoded_straight),
        },
    }


def _figure(figure):
    return json.loads(figure.to_json())


def _packed(array):
    """An array as base64 of float32 (of bytes where it is of bytes) and its shape."""
    if array is None:
        return None
    kind = "u1" if array.dtype == np.uint8 else "f4"
    array = np.ascontiguousarray(array, dtype="u1" if kind == "u1" else "<f4")
    text = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": kind, "shape": list(array.shape), "bdata": text}
