"""One HTML file, with all data and plotly's own code in it: it asks the network for nothing."""

import base64
import json
import os
import platform
import shlex
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from plotly.offline import get_plotlyjs

import curvcore
from training.errors import TrainingError
from training.report import figures
from training.report.colours import colours_of, maps_of
from training.report.comparison import rows_of
from training.runs import CONFIG, finite

MARKS = {"better": "▲", "worse": "▼", "same": "="}
PACKAGES = ("torch", "numpy", "lightning", "scikit-learn", "plotly")


def check_new(out):
    """Raise unless a report may be written to this path."""
    out = Path(out)
    if out.exists():
        raise TrainingError(f"--out {out} exists, and nothing is written over.")
    if out.suffix.lower() not in (".html", ".htm") or not out.absolute().parent.is_dir():
        raise TrainingError(f"--out {out} must be a new .html file in a folder that exists.")


def write(chapters, out):
    """Write the report whole or not at all."""
    temporary = Path(f"{out}.part")
    try:
        temporary.write_text(rendered(chapters, Path(out).name), encoding="utf-8")
        os.replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def rendered(chapters, name):
    """The page."""
    environment = Environment(
        loader=PackageLoader("training.report", "."), autoescape=select_autoescape(),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    source = files("training.report")
    every = [run for chapter in chapters for run in chapter.runs]
    return environment.get_template("page.html").render(
        chapters=[_shown(number, chapter) for number, chapter in enumerate(chapters)],
        style=source.joinpath("page.css").read_text(encoding="utf-8"),
        script=source.joinpath("page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        data=_json([_data(chapter) for chapter in chapters]),
        versions=_versions(),
        command=_command(every, name),
        marks=MARKS,
    )


# --- what the template shows ----------------------------------------------------------------------


def _shown(number, chapter):
    """What is plain text of a chapter."""
    n, total = len(chapter.data), chapter.total
    thinned = f", {n} of them shown, held-out ones first" if n < total else ""
    names = [run.view.name for run in chapter.runs]
    runs = [_summary(number, run) for number, run in enumerate(chapter.runs)]
    return {
        "id": f"chapter-{number}",
        "title": chapter.data.name or "data",
        "source": chapter.source,
        "points": f"{total} points in ℝ{_superscript(chapter.data.dimension)}{thinned}.",
        "names": names,
        "runs": runs,
        "facts": list(dict.fromkeys(key for run in runs for key in run["pairs"])),
        "rows": rows_of([run.metrics for run in chapter.runs]),
        "colours": [quantity.name for quantity in colours_of(chapter)],
        "maps": [quantity.name for quantity in maps_of(chapter)],
        "has_maps": any(run.view.map is not None for run in chapter.runs),
        "has_pairs": any(run.view.latents.shape[1] > 2 for run in chapter.runs),
        "terms": figures.terms_of(chapter),
        "has_movement": any(len(run.movement.epochs) > 1 for run in chapter.runs),
        "landmarks": figures.letters(len(chapter.landmarks)),
        "last": n - 1,
    }


def _summary(number, run):
    """What is to be known of a run, as pairs, and how to make it again."""
    model = run.config["model"]
    terms = [
        f"{name}: {entry['functional']['class_path'].rpartition('.')[2]} × {entry['weight']:g}"
        for name, entry in (model.get("terms") or {}).items()
    ]
    d, path = run.view.latents.shape[1], str(run.folder)
    degenerate = int((~run.view.geometry.regular).sum())
    pairs = {
        "run": path,
        "regularisation": "; ".join(terms) or "none",
        "autoencoder": model["autoencoder"]["class_path"].rpartition(".")[2],
        "latent dimension": d,
        "parameters": f"{run.parameters:,}",
        "epochs": int(run.movement.epochs[-1]),
        "checkpoint": run.checkpoint,
        "warm start": model.get("warm_start", "none"),
        "seed": run.config.get("seed_everything"),
    }
    if degenerate:
        pairs["degenerate points"] = f"{degenerate} of {len(run.view.latents)} shown"
    return {
        "number": number,
        "colour": figures.run_line(number)["color"],
        "name": run.view.name,
        "pairs": pairs,
        "config": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
        "command": f"python -m training fit --config {shlex.quote(path + '/' + CONFIG)} "
        f"--run {shlex.quote(path + '-again')}",
        "notes": _notes(run),
        "has_map": run.view.map is not None,
        "has_pairs": d > 2,
    }


def _notes(run):
    """What a reader would miss, or take for something else."""
    view, notes = run.view, []
    if view.map is None:
        d = view.latents.shape[1]
        how = "the PCA of the latents" if d > 2 else "the line of latents"
        notes.append(f"d = {d}: {how} in place of the plane, and no map of curvature.")
    if len(run.movement.epochs) < 2:
        notes.append("No snapshots were kept: the epoch cannot be moved.")
    if np.ptp(view.latents, axis=0).max() == 0:
        notes.append("All points are encoded to one latent point.")
    if not view.geometry.regular.any():
        notes.append("The metric is degenerate at all points: R is not known anywhere.")
    if not run.paths.converged.all():
        count = int((~run.paths.converged).sum())
        notes.append(f"{count} of {len(run.paths.pairs)} geodesics did not converge.")
    return notes


def _versions():
    found = {"Python": platform.python_version(), "curvcore": curvcore.__version__}
    return found | {name: version(name) for name in PACKAGES}


def _command(every, name):
    paths = " ".join(shlex.quote(str(run.folder)) for run in every)
    best = " --checkpoint best" if every[0].checkpoint == "best" else ""
    return f"python -m training report {paths} --out {shlex.quote(name)}{best}"


def _superscript(number):
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


# --- what the script draws ------------------------------------------------------------------------


def _data(chapter):
    """All numbers of a chapter."""
    history = [figures.history_figure(chapter, name) for name in figures.terms_of(chapter)]
    colour = chapter.runs[0].view.colour
    return {
        "n": len(chapter.data),
        "landmarks": chapter.landmarks.tolist(),
        "labelName": colour.name if colour else None,
        "labels": colour.values.tolist() if colour else None,
        "chart": _chart_distances(chapter),
        "images": _packed(chapter.images),
        "colours": [_quantity(quantity) for quantity in colours_of(chapter)],
        "maps": [_quantity(quantity) for quantity in maps_of(chapter)],
        "history": [_figure(figure) for figure in history],
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
    return {
        "name": view.name,
        "latent": _figure(figures.latent_figure(chapter, run)),
        "space": _figure(figures.space_figure(chapter, run)),
        "map": _figure(figures.map_figure(chapter, run)) if drawn else None,
        "pairs": _figure(figures.pairs_figure(chapter, run)) if view.latents.shape[1] > 2 else None,
        "z": _packed(view.latents),
        "R": _packed(view.scalar),
        "metric": _packed(view.geometry.metric.numpy()),
        "eigenvalues": _packed(run.eigenvalues),
        "density": _packed(view.geometry.volume_density.numpy()),
        "error": _packed(view.error),
        "images": _packed(run.images),
        "epochs": run.movement.epochs.tolist(),
        "movement": _packed(run.movement.latents),
        "colours": [_packed(q.values(run)) for q in colours_of(chapter)],
        "maps": [_packed(q.values(run)) for q in maps_of(chapter)] if drawn else None,
        "paths": _paths(run),
    }


def _paths(run):
    paths, view = run.paths, run.view
    return {
        "pairs": paths.pairs.tolist(),
        "lengths": finite(paths.lengths.tolist()),
        "straightLengths": finite(paths.straight_lengths.tolist()),
        "converged": paths.converged.tolist(),
        "geodesic": {"plane": _packed(view.plane(paths.curves)), "space": _packed(paths.decoded)},
        "straight": {
            "plane": _packed(view.plane(paths.straight)),
            "space": _packed(paths.decoded_straight),
        },
    }


def _chart_distances(chapter):
    """Between landmarks, of one piece of the ideal chart: rows of numbers or None; None at all."""
    data, at = chapter.data, chapter.landmarks
    if data.chart is None:
        return None
    distance = np.linalg.norm(data.chart[at, None] - data.chart[None, at], axis=2)
    together = data.groups[at, None] == data.groups[None, at]
    return [
        [float(d) if same else None for d, same in zip(*row, strict=True)]
        for row in zip(distance, together, strict=True)
    ]


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


def _json(value):
    """JSON that may stand in a script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
