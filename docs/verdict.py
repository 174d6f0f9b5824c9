"""What each term buys on data of classes, all studies in one picture: ``python docs/verdict.py``.

Reads results/NAME.json of the studies below. Writes docs/pictures/study_verdict.png, a panel for
each metric: how a row with a term differs from the row without it, and whether for the better; and
results/verdict.md, of how many comparisons in 8 and 16 dimensions that holds.
"""

import json
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from training.ablation.design import read_design
from training.ablation.paired import NEUTRAL
from training.ablation.tables import metric_comparison, pairs_of

PICTURE, TABLE, DPI = Path("docs/pictures/study_verdict.png"), Path("results/verdict.md"), 110
DATA = {
    "digits": ("digits", "digits_8", "digits_16"),
    "MNIST": ("mnist", "mnist_8", "mnist_16"),
    "5 against 8": ("mnist_5_8", "mnist_5_8_d8", "mnist_5_8_d16"),
    "cells": ("pbmc", "pbmc_8", "pbmc_16"),
}
DIMENSIONS = 2, 8, 16
# name -> (title, in a table, 1 where more is better and −1 where less is)
METRICS = {
    "mse": ("MSE, %", "MSE", -1),
    "kmeans_f1": ("F-score of clusters, hundredths", "clusters", 1),
    "knn_accuracy_5_labels": ("accuracy from five labels, hundredths", "accuracy", 1),
    "knn_recall_at_10": ("kNN recall, hundredths", "recall", 1),
    "geodesic_cycle_error": ("cycle error on geodesics, %", "ways", -1),
}
ALONE = "R2", "F", "W"
BESIDE = tuple(f"isometry + {term}" for term in ALONE)
ROWS = *ALONE, *BESIDE, "isometry", "gauge", "log det", "flat metric", "weight decay"
LABELS = [row.replace("R2", "∫R²") for row in ROWS]
BREAKS = 3, 6  # rows before which a line is drawn: alone, beside isometry, without curvature
# Colours that the colour-blind can tell apart: (beyond these points, of these points alone).
BETTER, WORSE, NEITHER = ("#0072B2", "#a6cfe6"), ("#D55E00", "#f5c6a0"), "#eeeeee"


class Verdict(NamedTuple):
    """How a row differs from the one without its last term.

    The side is 1 for the better, −1 for the worse, 0 where Student's interval holds no difference;
    ``beyond`` these splits it holds by Nadeau and Bengio's interval.
    """

    estimate: float
    kind: str
    side: int
    beyond: bool

    @property
    def text(self):
        """The change in per cent, or in hundredths."""
        change = 100 * (self.estimate - NEUTRAL[self.kind])
        return (f"{change:+.1f}" if abs(change) < 9.95 else f"{change:+.0f}").replace("-", "−")

    @property
    def colours(self):
        """Of the cell and of its text."""
        if not self.side:
            return NEITHER, "#777777"
        strong, pale = BETTER if self.side > 0 else WORSE
        return (strong, "white") if self.beyond else (pale, "black")


def verdicts(name):
    """(row, metric) -> Verdict of a study; of none that is not run, no row that no weight has."""
    path = Path("results", f"{name}.json")
    if not path.is_file():
        return {}
    design = read_design(Path("training/studies", f"{name}.yaml"))
    results, found = json.loads(path.read_text())["metrics"], {}
    for row in {*ROWS} & design.rows.keys():
        base = design.row_of(design.rows[row][:-1])
        pairs = pairs_of(results.get(row, {}), results.get(base, {}))
        for metric, (*_, good) in METRICS.items() if pairs else ():
            kind = design.metrics[metric]
            comparison = metric_comparison(pairs, metric, kind)
            beyond = metric_comparison(pairs, metric, kind, design.overlap)
            differs = comparison.excludes(NEUTRAL[kind])
            side = good * (1 if comparison.estimate > NEUTRAL[kind] else -1) * differs
            holds = beyond.excludes(NEUTRAL[kind])
            found[row, metric] = Verdict(comparison.estimate, kind, side, holds)
    return found


def draw(ax, metric, found):
    """A cell for each row and study, in the colour of its side."""
    for column, verdict in enumerate(found):
        for place, row in enumerate(ROWS):
            if (row, metric) not in verdict:
                continue
            cell, (colour, ink) = verdict[row, metric], verdict[row, metric].colours
            ax.add_patch(Rectangle((column, place), 1, 1, facecolor=colour, edgecolor="white"))
            middle = column + 0.5, place + 0.52
            ax.text(*middle, cell.text, ha="center", va="center", color=ink, size=6.5)
    ax.set(xlim=(0, len(found)), ylim=(len(ROWS), 0), title=METRICS[metric][0])
    ax.title.set_fontsize(9)
    ax.set_yticks([place + 0.5 for place in range(len(ROWS))], LABELS, fontsize=8)
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
        "no difference beyond that of seeds": NEITHER,
        "worse, on other splits of these points": WORSE[1],
        "worse, for other points too": WORSE[0],
    }
    patches = [Patch(facecolor=colour, label=label) for label, colour in said.items()]
    title = (
        "Rows: a term, or isometry and a term, against the row\nwithout it. "
        "Columns: data, in 2, 8 and 16 latent dimensions.\nEmpty: not run.\n"
    )
    ax.legend(handles=patches, loc="center", frameon=False, fontsize=9, title=title)


def table(found):
    """Of each row: comparisons, those for the better and the worse by metric, those beyond."""
    yield (
        "`python docs/verdict.py`: comparisons of five metrics in the studies of data of classes "
        "in 8 and 16 dimensions, each row against the row without its last term. Those whose 95 % "
        "interval leaves out no difference, for the better and for the worse, by metric; in "
        "brackets those for other points too (‡). By chance one in twenty would.\n"
    )
    yield "| row | comparisons | better | | worse | |"
    yield "|---|---|---|---|---|---|"
    for row, label in zip(ROWS, LABELS, strict=True):
        cells = [
            (metric, verdict)
            for study in found
            for (other, metric), verdict in study.items()
            if other == row
        ]
        sides = (_side(cells, side) for side in (1, -1))
        yield " | ".join([f"| {label}", f"{len(cells)}", *sides]) + " |"


def _side(cells, side):
    """How many are on a side, and of which metrics."""
    there = [(metric, verdict.beyond) for metric, verdict in cells if verdict.side == side]
    numbers = {METRICS[m][1]: sum(other == m for other, _ in there) for m in METRICS}
    listed = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
    return f"{len(there)} ({sum(beyond for _, beyond in there)}) | {listed}"


def main():
    """Draw and count."""
    found = {name: verdicts(name) for names in DATA.values() for name in names}
    figure = Figure(figsize=(13.5, 6.4), layout="constrained")
    *panels, legend = figure.subplots(2, 3).flat
    for ax, metric in zip(panels, METRICS, strict=True):
        draw(ax, metric, found.values())
    explain(legend)
    figure.savefig(PICTURE, dpi=DPI)
    lines = table([found[name] for _, *names in DATA.values() for name in names])
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
