"""Markdown tables of an ablation."""

import math
import statistics

from training.ablation.design import ISOMAP
from training.ablation.paired import NEUTRAL, paired


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

    Quotients are below 1, and differences of errors below 0, where the term lowers the metric.
    """
    lines = _head(["term", "added to", "seeds", *design.metrics])
    for name, terms in design.rows.items():
        if not terms or terms == (ISOMAP,):
            continue
        base = design.row_of(terms[:-1])
        pairs = pairs_of(results.get(name, {}), results.get(base, {}))
        cells = [_comparison(pairs, key, kind) for key, kind in design.metrics.items()]
        lines.append(_line([terms[-1], base, str(len(pairs)), *cells]))
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


def _comparison(pairs, key, kind):
    values = [(one.get(key), other.get(key)) for one, other in pairs]
    if len(values) < 2 or any(x is None for pair in values for x in pair):
        return ""
    found = paired(*zip(*values, strict=True), kind)
    if math.isnan(found.estimate):
        return ""
    sign = "×" if kind == "ratio" else "+" if found.estimate >= 0 else "−"
    text = f"{sign}{abs(found.estimate):.3g} [{found.low:.3g}, {found.high:.3g}]"
    return f"**{text}**" if found.excludes(NEUTRAL[kind]) else text


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
