"""A headless Chromium without network, for the report's page."""

import contextlib
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Surfaces without a graphics card, and no calls home.
OPTIONS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class NoBrowserError(Exception):
    """Why there is none."""


@contextlib.contextmanager
def browser():
    """Chromium: playwright's own or the system's; NoBrowserError where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowserError("playwright is missing: pip install '.[browser]'") from error
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = own if Path(own).is_file() else next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            raise NoBrowserError(
                "Chromium is missing: install it, or `playwright install chromium`"
            )
        chromium = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        try:
            yield chromium
        finally:
            chromium.close()


def opened(chromium, path, width=1300, height=1000, **options):
    """The page of a file, ready, without a network; console and requests are written down."""
    context = chromium.new_context(
        viewport={"width": width, "height": height}, offline=True, **options
    )
    page = context.new_page()
    page.errors, page.requests = [], []
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(Path(path).absolute().as_uri())
    page.wait_for_selector("body[data-ready]")
    return page
