"""What each term of a study earned, as a picture: ``python docs/study.py NAME METRIC ...``.

Reads results/NAME.json, made by ``python -m training study --design training/studies/NAME.yaml``,
and writes docs/pictures/study_NAME.png: for each term the metrics of the row with it against those
of the row without it, and their 95 % intervals.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from training.ablation.design import ISOMAP, read_design
from training.ablation.paired import NEUTRAL
from training.ablation.tables import metric_comparison, pairs_of

OUT, DPI = Path("docs/pictures"), 110
# Colours that the colour-blind can tell apart: an interval without 1, or 0, and one with it.
NARROW = 1.3  # quotients that differ from one by less are drawn on a linear axis
TELLING, SILENT = "#0072B2", "#999999"


def comparisons(design, results, metric):
    """(label, Comparison) of every term that was added to a row and has runs."""
    found = []
    for name, terms in design.rows.items():
        if not terms or terms == (ISOMAP,):
            continue
        base = design.row_of(terms[:-1])
        pairs = pairs_of(results.get(name, {}), results.get(base, {}))
        if not pairs:
            continue
        label = terms[-1] if base == design.row_of(()) else f"{terms[-1]}, to {base}"
        found.append((label, metric_comparison(pairs, metric, design.metrics[metric])))
    return found


def draw(ax, found, metric, kind, with_labels):
    """Estimates and intervals, a line for each term; quotients on a logarithmic axis."""
    for place, (_, comparison) in enumerate(found):
        colour = TELLING if comparison.excludes(NEUTRAL[kind]) else SILENT
        ax.plot([comparison.low, comparison.high], [place] * 2, color=colour, linewidth=2)
        ax.plot(comparison.estimate, place, "o", color=colour, markersize=5)
    ax.axvline(NEUTRAL[kind], color="black", linewidth=0.8)
    if kind == "ratio" and _spread(found) > NARROW:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(
            LogLocator(subs=(1, 1.2, 1.5, 2, 5, 8) if _spread(found) < 10 else (1,))
        )
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.locator_params(axis="x", nbins=4)
    ax.set_title(metric.replace("_", " "), fontsize=9)
    ax.set_xlabel("quotient" if kind == "ratio" else "difference", fontsize=8)
    ax.set_yticks(range(len(found)), [label for label, _ in found] if with_labels else [])
    ax.tick_params(labelsize=8)
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)


def _spread(found):
    """By which factor a quotient may differ from one."""
    return max(max(1 / c.low, c.high) for _, c in found)


def main():
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="of a design in training/studies, and its numbers in results")
    parser.add_argument("metrics", nargs="+", help="of the design, a panel for each")
    options = parser.parse_args()
    design = read_design(Path("training/studies", f"{options.name}.yaml"))
    results = json.loads(Path("results", f"{options.name}.json").read_text())["metrics"]
    panels = [comparisons(design, results, metric) for metric in options.metrics]
    size = 1.8 + 2.4 * len(panels), 0.8 + 0.24 * len(panels[0])
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, metric, found in zip(axes, options.metrics, panels, strict=True):
        draw(ax, found, metric, design.metrics[metric], with_labels=ax is axes[0])
    figure.savefig(OUT / f"study_{options.name}.png", dpi=DPI)


if __name__ == "__main__":
    main()
