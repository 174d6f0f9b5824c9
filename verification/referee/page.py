"""The page of all records, in Markdown and as an HTML file that asks the network for nothing.

A page is a list of blocks: (level, heading), a paragraph, or a table (columns, rows).
"""

import html
import math
from statistics import geometric_mean

from verification.referee.cases import CASES, QUANTITIES
from verification.referee.score import ABSENT, FAULT, RIGHT

HEADER = (
    "Made by `python -m verification.referee` from the JSON files in `results/referee`, and by "
    "`--page` again: do not edit.",
    "Every library answers the same questions, in an environment of its own, by its public names, "
    "at settings that were chosen to be its best. What is right is worked out from values of the "
    "decoders alone, in 640 bits, by central differences and textbook formulas, with nothing of "
    "curvcore in it; closed forms agree with it, and certificates where there are none "
    "([how](../verification/referee/truth.py)).",
    "Errors are relative, of the worst of 8 points (of 4 geodesics); those of curvature in units "
    "of the terms of which it is the difference. A fault is an answer with fewer than half of its "
    "dtype's digits right (of geodesics, fewer than three), an exception, or no answer in 120 s. "
    "Behind the error stand milliseconds of a call at these points, and at 64 of them: medians of "
    "the processor's time of later calls, the first of which may have compiled, on one thread. "
    "late is a batch that would have taken more than 10 s. – is what a library does not offer.",
)
WORDS = {
    "jacobian": "∂Ψ",
    "hessian": "∂²Ψ",
    "metric": "Metric g",
    "christoffel": "Christoffel symbols Γ",
    "riemann": "Riemann tensor",
    "ricci": "Ricci tensor",
    "scalar": "Scalar curvature R",
    "gradient_z": "∂(mean R²)/∂z",
    "gradient_weights": "∂(mean R²)/∂W, first layer",
    "exponential": "Exponential map",
    "distance": "Geodesic distance",
}
STYLE = (
    "body{margin:0 auto;max-width:90rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif}"
    "table{border-collapse:collapse;font-size:.85rem}.scroll{overflow-x:auto}p{max-width:60rem}"
    "th,td{padding:.25rem .7rem .25rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #d0d0d0}td.fault{color:#a63a00;font-weight:600}"
)


def blocks(records):
    """The blocks of a page of records, curvcore first."""
    records = sorted(records, key=lambda r: (r["library"] != "curvcore", r["library"]))
    run = [record for record in records if "not_run" not in record]
    found = [(1, "One ruler"), *HEADER, (2, "Libraries"), _libraries(records), *_absent(run)]
    found += [(2, "Cases"), _cases()]
    for quantity in QUANTITIES:
        found += [(2, WORDS[quantity]), _answers(run, quantity)]
    return [*found, (2, "Faults"), _faults(run)]


def markdown(page):
    """The text of docs/referee.md."""
    parts = []
    for block in page:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block[0], int):
            parts.append("#" * block[0] + " " + block[1])
        else:
            columns, rows = block
            lines = [columns, ["---"] * len(columns), *rows]
            parts.append("\n".join(_row(line) for line in lines))
    return "\n\n".join(parts) + "\n"


def hypertext(page):
    """The text of docs/referee.html."""
    parts = []
    for block in page:
        if isinstance(block, str):
            parts.append(f"<p>{_text(block)}</p>")
        elif isinstance(block[0], int):
            parts.append(f"<h{block[0]}>{_text(block[1])}</h{block[0]}>")
        else:
            columns, rows = block
            head = "".join(f"<th>{_text(cell)}</th>" for cell in columns)
            body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
            parts.append(f'<div class="scroll">{table}</div>')
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>One ruler</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


# --- tables ---------------------------------------------------------------------------------------


def _libraries(records):
    columns = ("library", "release", "right", "faults", "time of R", "settings")
    own = next((r for r in records if r["library"] == "curvcore" and "results" in r), None)
    rows = []
    for record in records:
        name, release = record["library"], record["release"]
        if "not_run" in record:
            words = f"not run: {record['not_run']}"
            if record["never_run"]:
                words += ". The adapter was written from its sources and has never been run"
            rows.append((name, release, "", "", "", words))
            continue
        asked = [r for r in record["results"] if r["verdict"] != ABSENT]
        right = sum(r["verdict"] == RIGHT for r in asked)
        counts = f"{right} of {len(asked)}", str(len(asked) - right)
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        words = f"{record['settings']} ({versions})"
        rows.append((name, release, *counts, _times_of(record, own), words))
    return columns, rows


def _times_of(record, own):
    """Geometric mean, over cases, of the time of R at the many points over curvcore's."""
    if own is None:
        return ""
    ours, theirs = (
        {
            (r["case"], r["dtype"]): taken
            for r in of["results"]
            if r["quantity"] == "scalar" and "seconds" in r
            for taken in list(r["seconds"].values())[-1:]
        }
        for of in (own, record)
    )
    both = [k for k in ours.keys() & theirs.keys() if _is_number(ours[k]) and theirs[k] is not None]
    timed = [theirs[k] / ours[k] for k in both if _is_number(theirs[k])]
    late = len([k for k in both if not _is_number(theirs[k])])
    if not timed:
        return "" if not late else "too long"
    words = f"× {geometric_mean(timed):.2g}"
    return f"{words}, too long in {late} of {len(both)}" if late else words


def _absent(records):
    rows = {}
    for record in records:
        for r in record["results"]:
            if r["verdict"] == ABSENT:
                rows.setdefault((record["library"], r["why"]), {})[r["quantity"]] = None
    if not rows:
        return []
    table = [(name, ", ".join(quantities), why) for (name, why), quantities in rows.items()]
    return [(3, "Not offered"), (("library", "quantities", "in its words, or why"), table)]


def _cases():
    rows = [
        (case.name, case.words, str(case.dimension), ", ".join(case.dtypes), case.manifold or "–")
        for case in CASES
    ]
    return ("case", "what", "d", "dtypes", "closed form"), rows


def _answers(records, quantity):
    rows = []
    for case in CASES:
        for dtype in case.dtypes:
            if quantity not in case.asked(dtype):
                continue
            cells = [_found(record, case.name, dtype, quantity) for record in records]
            rows.append((f"{case.name}, {dtype}", *map(_answer, cells)))
    return ("case", *(record["library"] for record in records)), rows


def _found(record, case, dtype, quantity):
    wanted = case, dtype, quantity
    found = (r for r in record["results"] if (r["case"], r["dtype"], r["quantity"]) == wanted)
    return next(found, None)


def _answer(result):
    """One cell: the error, or that there is a fault, and the times."""
    if result is None or result["verdict"] == ABSENT:
        return "–"
    error = result.get("error")
    words = "error" if error is None else _short(error)
    if result["verdict"] == FAULT:
        words = f"**fault** {words}"
    times = [_milliseconds(taken) for taken in result.get("seconds", {}).values()]
    return f"{words}<br>{' / '.join(times)} ms" if times else words


def _faults(records):
    rows = []
    for record in records:
        for r in record["results"]:
            if r["verdict"] == FAULT:
                asked = f"{r['quantity']} of {r['case']}, {r['dtype']}"
                at = f" at {r['index']}" if "index" in r else ""
                got, right = (str(r.get(name, "")) for name in ("got", "right"))
                rows.append((record["library"], asked, _shown(got) + at, right))
    return ("library", "asked", "got", "right"), rows


# --- words ----------------------------------------------------------------------------------------


def _short(number):
    if not _is_number(number):
        return str(number)
    return "0" if number == 0 else f"{number:.0e}" if abs(number) > 1e-99 else "0"


def _milliseconds(taken):
    if not _is_number(taken):
        return str(taken)
    return f"{1e3 * taken:.2g}" if taken < 0.1 else f"{1e3 * taken:.0f}"


def _is_number(value):
    return isinstance(value, int | float) and math.isfinite(value)


def _shown(text):
    return f"`{text.replace('`', '')}`" if ":" in text else text


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _cell(cell):
    mark = ' class="fault"' if cell.startswith("**fault**") else ""
    return f"<td{mark}>{_text(cell)}</td>"


def _text(words):
    """HTML of the little Markdown that is used here."""
    escaped = html.escape(words, quote=False).replace("&lt;br&gt;", "<br>").replace("**", "")
    for start, end in (("](", ")"),):
        while start in escaped and "[" in escaped:
            before, _, rest = escaped.partition("[")
            label, _, rest = rest.partition(start)
            target, _, after = rest.partition(end)
            escaped = f'{before}<a href="{target}">{label}</a>{after}'
    return escaped.replace("`", "")
