"""Tables of pages from the JSON files that commands write to results/."""

import json
import re
from pathlib import Path

from IPython.display import Markdown

RESULTS = Path(__file__).parents[2] / "results"
VERDICTS = {True: "passed", False: "**failed**"}


def record(name):
    """What results/NAME.json holds."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    cells = ([_text(cell) for cell in line] for line in lines)
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in cells))


def _text(cell):
    """Bars escaped, and 2e-06 with a minus at which no line breaks."""
    return re.sub(r"(\de)-(\d)", r"\1−\2", str(cell).replace("|", "\\|"))


def sections(checked):
    """Each section of ``verification.check``: how many results, and whether all passed."""
    counts = {}
    for result in checked["results"]:
        counts.setdefault(result["section"], []).append(result["passed"])
    rows = ((name, len(found), VERDICTS[all(found)]) for name, found in counts.items())
    return table(("section", "results", ""), rows)


def findings(checked, section):
    """A section's statements with their figures, and of what these were seen."""
    seen = {}
    for r in checked["results"]:
        if r["section"] == section:
            line = r["statement"], r["figure"], VERDICTS[r["passed"]]
            seen.setdefault(line, []).append(r["subject"])
    rows = (("; ".join(dict.fromkeys(subjects)), *line) for line, subjects in seen.items())
    return table(("of", "statement", "seen", ""), rows)


def manifolds(checked):
    """A manifold a line: the worst error by formula and dtype."""
    worst = {}
    for r in checked["results"]:
        if r["section"] == "manifolds" and r["dtype"] != "exact":
            line = worst.setdefault(r["subject"], {})
            key = r["formula"], r["dtype"]
            line[key] = max(line.get(key, 0), r["error"])
    routes = [(f, t) for t in ("float64", "float32") for f in ("gauss", "intrinsic")]
    rows = ((name, *(f"{line[key]:.1e}" for key in routes)) for name, line in worst.items())
    return table(("manifold", *(" ".join(key) for key in routes)), rows)


def decoder(checked):
    """The trained decoder, a route a line: its error, and what the analysis of rounding allows."""
    found = (r for r in checked["results"] if r["section"] == "decoder")
    rows = (
        (r["derivatives"], r["formula"], r["dtype"], f"{r['error']:.1e}", f"{r['tolerance']:.1e}")
        for r in found
    )
    return table(("derivatives", "formula", "dtype", "error of R", "allowed"), rows)


def times(benchmark, direction):
    """A route a line, by size: its time in passes of the decoder, and its error."""
    rows = (_time(r) for r in benchmark["results"] if r["direction"] == direction)
    return table(("decoder", "route", "ms", "passes", "bare products", "error"), rows)


def _time(r):
    size = "d={d}, {depth}x{width}, D={D}, {batch} points".format(**r["size"])
    seconds = r["median_seconds"]
    passes, share = seconds / r["decoder_pass_seconds"], r["bare_products_seconds"] / seconds
    numbers = f"{1000 * seconds:.3g}", f"{passes:.3g}", f"{share:.0%}", f"{r['error']:.0e}"
    return size, r["route"], *numbers
