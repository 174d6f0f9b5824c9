"""Make the pictures of the gallery: ``python docs/gallery.py``, from the top folder.

Trains what is not yet in runs/gallery, some five minutes on two cores, and writes docs/pictures.
The picture of the report needs playwright and Chromium, as its tests do; without them it is left.
"""

import io
import math
import sys
import tempfile
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # for ``tests.support``

import curvcore
from tests.support.chromium import NoBrowserError, browser, opened
from training.__main__ import main as training
from training.pictures import figures_of, side_by_side, views_of

CONFIGS, RUNS, OUT = Path("training/configs"), Path("runs/gallery"), Path("docs/pictures")
DATA = ("swiss_roll", "gaussians")
DPI = 90


def torus(z, major=2.0, minor=1.0):
    """A torus of revolution: R = 2 cos v / (r (R + r cos v)), known in closed form."""
    u, v = z.T
    across = major + minor * v.cos()
    return torch.stack([across * u.cos(), across * u.sin(), minor * v.sin()], dim=1)


def runs_of(data):
    """The folders of the runs without and with regularisation, trained if they are not there."""
    folders = [RUNS / f"{data}_{kind}" for kind in ("none", "r2")]
    for folder in folders:
        if not (folder / "metrics.json").is_file():
            config = CONFIGS / f"{folder.name}.yaml"
            if training(["fit", "--config", str(config), "--run", str(folder)]):
                raise SystemExit(f"{config} could not be trained")
    return folders


def write(name, png):
    """Into the gallery."""
    path = OUT / f"{name}.png"
    Image.open(io.BytesIO(png)).convert("RGB").save(path, optimize=True)
    print(path)


def drawn(figure):
    """The bytes of a matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def photographed(runs):
    """The latent spaces and surfaces of the report of runs, as PNG; None without a browser."""
    try:
        with tempfile.TemporaryDirectory() as folder, browser() as chromium:
            path = Path(folder) / "report.html"
            training(["report", *map(str, runs), "--out", str(path)])
            page = opened(chromium, path, width=1280, height=1250)
            page.select_option("[name=from]", "0")
            page.select_option("[name=to]", "2")
            page.fill("[name=point]", "300")
            page.evaluate("document.querySelector('.explorer').scrollIntoView()")
            for kind in ("latent", "space"):
                for plot in page.locator(f".plot.{kind}").all():
                    plot.and_(page.locator("[data-drawn]")).wait_for()
            page.wait_for_timeout(3000)  # surfaces are drawn by the processor
            return page.screenshot()
    except NoBrowserError as error:
        print(f"no picture of the report: {error}")
        return None


def main():
    """All pictures."""
    OUT.mkdir(exist_ok=True)
    figure = Figure((6, 5), layout="constrained")
    box = ((-math.pi, math.pi), (-math.pi, math.pi))
    curvcore.plot_curvature(torus, box, ax=figure.add_subplot())
    write("torus", drawn(figure))
    for data in DATA:
        views = views_of(runs_of(data))
        for name in ("data", "training"):
            write(f"{data}_{name}", drawn(figures_of(views[1])[name]))
        write(f"{data}_before_and_after", drawn(side_by_side(*views)))
    if (png := photographed(runs_of("gaussians"))) is not None:
        write("report", png)


if __name__ == "__main__":
    main()
