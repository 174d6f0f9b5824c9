"""How long reports take to load: ``python -m tests.support.load_time REPORT.html ...``.

Median seconds of five loads each, in headless Chromium that draws surfaces by the processor: until
the page answers, and until its first latent space, its first decoded surface, gone to at once, are
drawn.
"""

import statistics
import sys

from tests.support.chromium import browser, opened

LOADS = 5


def load_times(chromium, path):
    """Milliseconds until the page is ready, and until the first plots of both kinds are drawn."""
    page = opened(chromium, path)
    page.locator(".plot.space").first.scroll_into_view_if_needed()
    places = [page.locator(f".plot.{kind}[data-drawn]").first for kind in ("latent", "space")]
    ready = page.locator("body").get_attribute("data-ready")
    times = [int(ready), *(int(place.get_attribute("data-drawn")) for place in places)]
    page.context.close()
    return times


def main(paths):
    """Print a line for each report."""
    with browser() as chromium:
        for path in paths:
            times = zip(*(load_times(chromium, path) for _ in range(LOADS)), strict=True)
            answers, latent, surface = (statistics.median(t) / 1000 for t in times)
            print(
                f"{path}: answers after {answers:.1f} s, latent space after {latent:.1f} s, "
                f"decoded surface after {surface:.1f} s"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
