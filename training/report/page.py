"""One HTML file, with all data and plotly's own code in it: it asks the network for nothing."""

import json
import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from plotly.offline import get_plotlyjs

from training.errors import TrainingError
from training.report.numbers import chapter_in_numbers
from training.report.words import chapter_in_words, command, versions
from training.writing import write_text

SCRIPTS = ("flow.js", "geodesics.js", "page.js")
MARKS = {"better": "▲", "worse": "▼", "same": "="}


def check_new(out):
    """Raise unless a report may be written to this path."""
    out = Path(out)
    if out.exists():
        raise TrainingError(f"{out} exists, and nothing is written over.")
    if not os.access(out.absolute().parent, os.W_OK):
        raise TrainingError(f"{out} must be in a folder that exists and can be written to.")
    if out.suffix.lower() not in (".html", ".htm"):
        raise TrainingError(f"{out} must be a new .html file.")


def write(chapters, out):
    """Write the report whole or not at all; bytes of a path that are no text stand as escapes."""
    text = rendered(chapters, Path(out).name)
    write_text(out, text.encode(errors="backslashreplace").decode())


def rendered(chapters, name):
    """The page."""
    environment = Environment(
        loader=PackageLoader("training.report", "."), autoescape=select_autoescape(),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    source = files("training.report")
    return environment.get_template("page.html").render(
        chapters=[chapter_in_words(number, chapter) for number, chapter in enumerate(chapters)],
        style=source.joinpath("page.css").read_text(encoding="utf-8"),
        script="\n".join(source.joinpath(n).read_text(encoding="utf-8") for n in SCRIPTS),
        plotly=get_plotlyjs(),
        data=_json([chapter_in_numbers(chapter) for chapter in chapters]),
        versions=versions(),
        command=command(chapters, name),
        marks=MARKS,
    )


def _json(value):
    """JSON that may stand in a script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
