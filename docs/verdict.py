"""What each term buys on data of classes, all studies in one picture: ``python docs/verdict.py``.

Reads results/NAME.json of the studies below, writes docs/pictures/study_verdict.png, a panel for
each metric: how a row with a term differs from the row without it, and whether for the better. Says
how many of a term's comparisons are for the better, and for the worse.
"""

import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from training.ablation.design import read_design
from training.ablation.paired import NEUTRAL, paired
from training.ablation.tables import pairs_of

OUT, DPI = Path("docs/pictures/study_verdict.png"), 110
DATA = {
    "digits": ("digits", "digits_8", "digits_16"),
    "MNIST": ("mnist", "mnist_8", "mnist_16"),
    "5 against 8": ("mnist_5_8", "mnist_5_8_d8", "mnist_5_8_d16"),
    "cells": ("pbmc", "pbmc_8", "pbmc_16"),
}
DIMENSIONS = 2, 8, 16
# name -> (title, 1 where more is better and −1 where less is)
METRICS = {
    "mse": ("MSE, %", -1),
    "kmeans_f1": ("F-score of clusters, hundredths", 1),
    "knn_accuracy_5_labels": ("accuracy from five labels, hundredths", 1),
    "knn_recall_at_10": ("kNN recall, hundredths", 1),
    "geodesic_cycle_error": ("cycle error on geodesics, %", -1),
}
ROWS = {
    "R2": "∫R²",
    "F": "F",
    "W": "W",
    "isometry + R2": "isometry + ∫R²",
    "isometry + F": "isometry + F",
    "isometry + W": "isometry + W",
    "isometry": "isometry",
    "gauge": "gauge",
    "log det": "log det",
    "flat metric": "flat metric",
    "weight decay": "weight decay",
}
BREAKS = 3, 6  # rows before which a line is drawn: alone, beside isometry, without curvature
# Colours that the colour-blind can tell apart: (beyond these points, of these points alone).
BETTER, WORSE, NEITHER = ("#0072B2", "#a6cfe6"), ("#D55E00", "#f5c6a0"), ("#eeeeee",) * 2


def verdicts(name):
    """(row, metric) -> (estimate, kind, side, holds beyond) of a study; none where it is not run.

    The side is 1 for the better, −1 for the worse, 0 where Student's interval holds no difference;
    what holds beyond these splits does so by Nadeau and Bengio's interval.
    """
    path = Path("results", f"{name}.json")
    if not path.is_file():
        return {}
    design = read_design(Path("training/studies", f"{name}.yaml"))
    results, found = json.loads(path.read_text())["metrics"], {}
    for row in ROWS.keys() & design.rows.keys():
        pairs = pairs_of(results[row], results[design.row_of(design.rows[row][:-1])])
        for metric, (_, good) in METRICS.items():
            kind = design.metrics[metric]
            values = [*zip(*((one[metric], other[metric]) for one, other in pairs), strict=True)]
            comparison, beyond = paired(*values, kind), paired(*values, kind, design.overlap)
            differs = comparison.excludes(NEUTRAL[kind])
            side = good * (1 if comparison.estimate > NEUTRAL[kind] else -1) * differs
            found[row, metric] = comparison.estimate, kind, side, beyond.excludes(NEUTRAL[kind])
    return found


def text_of(estimate, kind):
    """A change in per cent, or in hundredths."""
    change = 100 * (estimate - NEUTRAL[kind])
    return f"{change:+.1f}" if abs(change) < 9.95 else f"{change:+.0f}"


def draw(ax, metric, found):
    """A cell for each row and study, in the colour of its side."""
    for column, verdict in enumerate(found):
        for place, row in enumerate(ROWS):
            if (row, metric) not in verdict:
                continue
            estimate, kind, side, beyond = verdict[row, metric]
            colours = {1: BETTER, -1: WORSE, 0: NEITHER}[side]
            colour = colours[0 if beyond else 1]
            ax.add_patch(Rectangle((column, place), 1, 1, facecolor=colour, edgecolor="white"))
            ink = "white" if side and beyond else "black" if side else "#777777"
            text = text_of(estimate, kind).replace("-", "−")
            ax.text(column + 0.5, place + 0.52, text, ha="center", va="center", color=ink, size=6.5)
    ax.set(xlim=(0, len(found)), ylim=(len(ROWS), 0), title=METRICS[metric][0])
    ax.title.set_fontsize(9)
    ax.set_yticks([place + 0.5 for place in range(len(ROWS))], ROWS.values(), fontsize=8)
    columns = [f"{d}" for _ in DATA for d in DIMENSIONS]
    ax.set_xticks([place + 0.5 for place in range(len(columns))], columns, fontsize=7)
    ax.tick_params(length=0)
    for place in BREAKS:
        ax.axhline(place, color="black", linewidth=0.8)
    for place, name in enumerate(DATA):
        ax.axvline(3 * place, color="black", linewidth=0.8)
        ax.text(3 * place + 1.5, len(ROWS) + 1.35, name, ha="center", va="center", size=8)


def explain(ax):
    """The legend."""
    ax.axis("off")
    said = {
        "better, for other points too (Nadeau and Bengio)": BETTER[0],
        "better, on other splits of these points": BETTER[1],
        "no difference beyond that of seeds": NEITHER[0],
        "worse, on other splits of these points": WORSE[1],
        "worse, for other points too": WORSE[0],
    }
    patches = [Patch(facecolor=colour, label=label) for label, colour in said.items()]
    title = (
        "Rows: a term, or isometry and a term, against the row\nwithout it. "
        "Columns: data, in 2, 8 and 16 latent dimensions.\nEmpty: not run.\n"
    )
    ax.legend(handles=patches, loc="center", frameon=False, fontsize=9, title=title)


def counts(found):
    """A line for each row: how many comparisons are better and worse, and beyond these points."""
    for row, label in ROWS.items():
        cells = [cell for verdict in found for (of, _), cell in verdict.items() if of == row]
        number = {side: sum(cell[2] == side for cell in cells) for side in (1, -1)}
        beyond = {side: sum(cell[2] == side and cell[3] for cell in cells) for side in (1, -1)}
        yield (
            f"{label}: {len(cells)} comparisons, {number[1]} better ({beyond[1]} for other points "
            f"too), {number[-1]} worse ({beyond[-1]})"
        )


def main():
    """Draw it."""
    found = [verdicts(name) for names in DATA.values() for name in names]
    figure = Figure(figsize=(13.5, 6.4), layout="constrained")
    *panels, legend = figure.subplots(2, 3).flat
    for ax, metric in zip(panels, METRICS, strict=True):
        draw(ax, metric, found)
    explain(legend)
    figure.savefig(OUT, dpi=DPI)
    print("\n".join(counts(found)))


if __name__ == "__main__":
    main()
