"""What the page says in plain words: summaries, notes, commands, versions."""

import platform
import shlex
from importlib.metadata import version

import numpy as np
import yaml

import curvcore
from training.report import figures, flow_figures
from training.report.chapters import GIVEN, HELD_OUT
from training.report.comparison import rows_of
from training.runs import CONFIG
from training.trust import is_foreign

PACKAGES = ("torch", "numpy", "lightning", "scikit-learn", "plotly")


def chapter_in_words(number, chapter):
    """What is plain text of a chapter."""
    n, total = len(chapter.data), chapter.total
    first = ", held-out ones first" if chapter.kind == HELD_OUT else ""
    thinned = f", {n} of them shown{first}" if n < total else ""
    names = [run.view.name for run in chapter.runs]
    runs = [_summary(number, run) for number, run in enumerate(chapter.runs)]
    return {
        "id": f"chapter-{number}",
        "title": chapter.data.name or "data",
        "source": chapter.source,
        "kind": chapter.kind,
        "points": f"{total} points in ℝ{_superscript(chapter.data.dimension)}{thinned}.",
        "names": names,
        "runs": runs,
        "facts": list(dict.fromkeys(key for run in runs for key in run["pairs"])),
        "rows": rows_of([run.metrics for run in chapter.runs]),
        "colours": [quantity.name for quantity in chapter.colours],
        "maps": [quantity.name for quantity in chapter.maps],
        "has_maps": any(run.view.map is not None for run in chapter.runs),
        "has_pairs": any(run.view.latents.shape[1] > 2 for run in chapter.runs),
        "space": _how_seen(chapter),
        "terms": figures.terms_of(chapter),
        "steps": max(len(run.movement.epochs) for run in chapter.runs) - 1,
        "flow": [flow_figures.TITLES[name] for name in flow_figures.names_of(chapter)],
        "flow_steps": max((len(run.flow.epochs) for run in chapter.runs if run.flow), default=0)
        - 1,
        "landmarks": figures.letters(len(chapter.landmarks)),
        "last": n - 1,
    }


def _how_seen(chapter):
    """Where space has more dimensions than three: how these are seen."""
    space = chapter.runs[0].view.space
    return f", and seen by {'a' if space.opens else 'the'} {space.how}" if space.how else ""


def _summary(number, run):
    """What is to be known of a run, as pairs, and how to make it again."""
    model = run.config["model"]
    terms = [
        f"{name}: {entry['functional']['class_path'].rpartition('.')[2]} × {entry['weight']:g}"
        for name, entry in (model.get("terms") or {}).items()
    ]
    d = run.view.latents.shape[1]
    degenerate = int((~run.view.geometry.regular).sum())
    pairs = {
        "run": str(run.folder or run.view.name),
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
        "file": f" ({CONFIG})" if run.folder else "",
        "command": run.again,
        "notes": _notes(run),
        "has_map": run.view.map is not None,
        "has_pairs": d > 2,
        "has_flow": run.view.map is not None and run.flow is not None,
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
    if not run.paths.known.all():
        count = int((~run.paths.known).sum())
        notes.append(
            f"{count} of {len(run.paths.pairs)} geodesics did not converge, or are not known to "
            "0.5 %: the decoder folds."
        )
    if not run.same_parts:
        notes.append(
            "trained and tested on another split of the data: its metrics are of other points, and "
            "points shown may be training points."
        )
    return notes


def versions():
    found = {"Python": platform.python_version(), "curvcore": curvcore.__version__}
    return found | {name: version(name) for name in PACKAGES}


def command(chapters, name):
    """How to make the report of these chapters again."""
    every = [run for chapter in chapters for run in chapter.runs]
    if every[0].folder is None:
        return f"model.report({name!r}{', X, y' * (chapters[0].kind == GIVEN)})"
    paths = " ".join(shlex.quote(str(run.folder)) for run in every)
    best = " --checkpoint best" if every[0].checkpoint == "best" else ""
    trust = " --trust" if any(is_foreign(run.config) for run in every) else ""
    return f"python -m training report {paths} --out {shlex.quote(name)}{best}{trust}"


def _superscript(number):
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
