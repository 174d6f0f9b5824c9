"""Names that are markup, in a real browser: text to read, and nothing that runs or is asked for."""

import numpy as np
import pytest

from tests.support.chromium import opened
from tests.support.small_runs import fit
from training.__main__ import main

pytestmark = [
    pytest.mark.slow,
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("browser"),
]
RUN = "<img src=x onerror=window.ran=1>"
FILE = "\"'{{7*7}}${window.ran=2}<svg onload=window.ran=3>.csv"
COLUMN = "<script>window.ran=4<script>"
LABELS = ("</script><script>window.ran=5</script>", "javascript:window.ran=6", "{{7*7}}")


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    rows = np.random.default_rng(0).normal(size=(60, 3))
    lines = [f"a,b,c,{COLUMN}"]
    lines += [
        ",".join(map(repr, map(float, row))) + f',"{LABELS[n % 3]}"' for n, row in enumerate(rows)
    ]
    (folder / FILE).write_text("\n".join(lines))
    settings = {"path": str(folder / FILE), "labels": COLUMN}
    run = fit(folder / RUN, {"class_path": "training.data.UserFile", "init_args": settings}, D=3)
    report = folder / "report.html"
    assert main(["report", str(run), "--out", str(report)]) == 0
    page = opened(chromium, report)
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.and_(page.locator("[data-drawn]")).wait_for()
    return page


def test_nothing_runs(page):
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src=x], svg[onload]").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0
    assert page.errors == []


def test_names_are_text(page):
    text = page.locator("body").inner_text()
    assert RUN in text
    assert "49" not in page.title()
    assert FILE in text
