"""How long reports take to load: ``python -m tests.support.load_time REPORT.html ...``.

Median seconds of five loads each, in headless Chromium that draws surfaces by the processor: until
the page answers, and until the first latent space and decoded surface have been gone to and drawn.
"""

import statistics
import sys
import time

from tests.support.chromium import browser, opened

LOADS = 5


def load_times(chromium, path):
    """Seconds until ready, and until the first latent plot and surface are drawn."""
    start = time.perf_counter()
    page = opened(chromium, path)
    ready = time.perf_counter() - start
    for kind in ("latent", "space"):
        plot = page.locator(f".plot.{kind}").first
        plot.scroll_into_view_if_needed()
        plot.and_(page.locator("[data-drawn]")).wait_for()
    drawn = time.perf_counter() - start
    page.context.close()
    return ready, drawn


def main(paths):
    """Print a line for each report."""
    with browser() as chromium:
        for path in paths:
            times = [load_times(chromium, path) for _ in range(LOADS)]
            ready, drawn = map(statistics.median, zip(*times, strict=True))
            print(f"{path}: answers after {ready:.1f} s, first pictures after {drawn:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
