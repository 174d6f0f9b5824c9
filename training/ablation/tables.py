"""Markdown tables of an ablation."""

import math
import statistics

from training.ablation.design import ISOMAP
from training.ablation.paired import NEUTRAL, paired, survivors


def rows_table(design, chosen, results):
    """Mean ± standard deviation of each metric over the seeds, a line for each row."""
    lines = _head(["row", "weights", "seeds", *design.metrics])
    for name, terms in design.rows.items():
        metrics = [found for found in results.get(name, {}).values() if found]
        cells = [_mean_and_deviation([m.get(key) for m in metrics]) for key in design.metrics]
        weights = "" if terms == (ISOMAP,) else _weights(terms, chosen.get(name))
        lines.append(_line([name, weights, _count(results.get(name, {})), *cells]))
    return "\n".join(lines) + "\n"


def earned_table(design, results):
    """What the last term of each row earned, against the row without it; bold if it is no chance.

    Quotients are below 1, and differences of errors below 0, where the term lowers the metric. What
    is bold has † where it holds among all comparisons of the table (Holm), ‡ for other points.
    """
    rows = {
        name: design.row_of(terms[:-1])
        for name, terms in design.rows.items()
        if terms and terms != (ISOMAP,)
    }
    labels = [(design.rows[name][-1], base) for name, base in rows.items()]
    return _compared("term", "added to", labels, rows.items(), design, results)


def against_table(design, results):
    """The pairs of rows that the design asks for besides, marked as in the table above."""
    if not design.against:
        return ""
    return _compared("row", "against", design.against, design.against, design, results)


def _compared(one, other, labels, pairs_of_rows, design, results):
    """A table of comparisons: a line for each pair of rows, a column for each metric."""
    pairs = [pairs_of(results.get(a, {}), results.get(b, {})) for a, b in pairs_of_rows]
    asked = [(p, key, kind) for p in pairs for key, kind in design.metrics.items()]
    found = [metric_comparison(*case) for case in asked]
    marked = zip(asked, found, survivors([comparison.p for comparison in found]), strict=True)
    cells = [_cell(*case, design.overlap, comparison, fell) for case, comparison, fell in marked]
    lines = _head([one, other, "seeds", *design.metrics])
    for label, p in zip(labels, pairs, strict=True):
        ours, cells = cells[: len(design.metrics)], cells[len(design.metrics) :]
        lines.append(_line([*label, str(len(p)), *ours]))
    return "\n".join(lines) + "\n"


def agreement_table(agreed):
    """How well runs agree, a line for each row: the mean over pairs of runs and its interval."""
    rows = agreed.get("agreement", {})
    if not rows:
        return ""
    keys = list(next(iter(rows.values())))
    lines = _head(["row", *keys])
    for name, found in rows.items():
        cells = [_interval(found[key]) for key in keys]
        lines.append(_line([name, *cells]))
    return (
        "\nDo autoencoders that differ in seed and split alone agree? Mean over all pairs of runs, "
        "and its 95 % interval (jackknife over runs).\n\n" + "\n".join(lines) + "\n"
    )


def _interval(numbers):
    return "" if None in numbers else "{:.3g} [{:.3g}, {:.3g}]".format(*numbers)


def pairs_of(one, other):
    """Metrics of two rows with the same seeds, of those that diverged in neither."""
    return [(one[s], other[s]) for s in one if one[s] and other.get(s)]


def metric_comparison(pairs, key, kind, overlap=0.0):
    """A metric's Comparison over pairs of runs; NaN where some of them lack it."""
    values = [(one.get(key), other.get(key)) for one, other in pairs]
    if any(x is None for pair in values for x in pair):
        values = []
    one, other = zip(*values, strict=True) if values else ((), ())
    return paired(one, other, kind, overlap)


def _cell(pairs, key, kind, overlap, found, fell):
    """A Comparison; bold where it is no chance, with its marks."""
    if math.isnan(found.estimate):
        return ""
    sign = "×" if kind == "ratio" else "+" if found.estimate >= 0 else "−"
    digits = _digits(found)
    numbers = [f"{x:.{digits}g}" for x in (abs(found.estimate), found.low, found.high)]
    text = "{}{} [{}, {}]".format(sign, *numbers)
    if not found.excludes(NEUTRAL[kind]):
        return text
    # Errors on training points are of those that every split has: none are held out.
    of_others = not key.startswith("train_") and metric_comparison(pairs, key, kind, overlap)
    beyond = of_others and of_others.excludes(NEUTRAL[kind])
    return f"**{text}**" + "†" * fell + "‡" * beyond


def _digits(found):
    """Three significant ones, or as many more as an interval needs to be seen."""
    largest, width = max(abs(found.low), abs(found.high)), found.high - found.low
    if not 0 < width < math.inf:
        return 3
    return min(max(3, 1 - math.floor(math.log10(width / largest))), 6)


def _weights(terms, weights):
    if weights is None:
        return "none allowed"
    return ", ".join(f"{term} {weight:g}" for term, weight in zip(terms, weights, strict=True))


def _count(by_seed):
    diverged = sum(1 for metrics in by_seed.values() if not metrics)
    return f"{len(by_seed) - diverged}" + (f" ({diverged} diverged)" if diverged else "")


def _mean_and_deviation(values):
    if not values or any(value is None for value in values):
        return ""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3g} ± {deviation:.1g}"


def _head(columns):
    return [_line(columns), "|---" * len(columns) + "|"]


def _line(cells):
    return "| " + " | ".join(cells) + " |"
