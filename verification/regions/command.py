"""The command line of :mod:`verification.regions.__main__`."""

import math
import time
from typing import Annotated

import torch
import typer
from rich.console import Console

from verification import report
from verification.decoders import UsageError, user_decoder
from verification.decoders.subjects import images_decoder
from verification.exact.balls_of_decoders import CertificationError
from verification.regions.region import GOALS, certify_region

# d, width, activation, and which part of the range of each coordinate of the latents.
TRAINED = (
    (2, 64, "Tanh", 1.0),
    (2, 64, "SiLU", 1.0),
    (2, 128, "SiLU", 1.0),
    (3, 64, "SiLU", 0.05),
)
TORUS = torch.tensor([[0.0, 2 * math.pi], [0.0, 2 * math.pi]], dtype=torch.float64)

app = typer.Typer(add_completion=False)


def torus(z):
    """Radii 2 and 1."""
    u, v = z.unbind(1)
    width = 2 + torch.cos(v)
    return torch.stack([width * torch.cos(u), width * torch.sin(u), torch.sin(v)], 1)


@app.command()
def main(
    decoder: Annotated[
        str | None, typer.Option(metavar="module:factory", help="Your own decoder.")
    ] = None,
    points: Annotated[
        str | None, typer.Option(metavar="FILE", help="Latents (B, d), of which the box is taken.")
    ] = None,
    goal: Annotated[
        str, typer.Option(help=f"What is to be known: {', '.join(GOALS)}.")
    ] = "total_squared_curvature",
    relative: Annotated[float, typer.Option(help="How well.")] = 0.01,
    seconds: Annotated[float, typer.Option(help="For each at most.")] = 600.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    degree: Annotated[int, typer.Option(help="Of the Taylor models.")] = 5,
    state: Annotated[
        str | None, typer.Option(metavar="FILE", help="Of your decoder, to go on from: .npz.")
    ] = None,
):
    """Curvature proved over boxes of latents."""
    console, reached = Console(), True
    table = report.empty_table(f"{goal} to {relative:g}, degree {degree}, {jobs} processes")
    for column in ("", "seconds", "boxes", "∫dμ", "∫R dμ", "∫R²dμ", "R", "√det g"):
        table.add_column(column, justify="right" if column else "left")
    options = {"goal": goal, "relative": relative, "degree": degree, "jobs": jobs}
    try:
        if (decoder is None) != (points is None):
            raise UsageError("--decoder and --points go together.")
        for name, subject, box in _subjects(decoder, points):
            started = time.perf_counter()
            region = certify_region(subject, box, seconds=seconds, state=state, **options)
            table.add_row(name, *_row(region, time.perf_counter() - started))
            reached &= region.reached
    except (UsageError, CertificationError) as error:
        console.print(f"[red]Error:[/] {error}")
        raise typer.Exit(2) from None
    console.print(table)
    if not reached:
        console.print("Not all goals were reached: give more --seconds, or another --degree.")
    raise typer.Exit(0 if reached else 1)


def _subjects(decoder, points):
    """Names, decoders and boxes."""
    if decoder is not None:
        subject = user_decoder(decoder, points)
        yield subject.name, subject.decoder, _range(subject.points, 1.0)
        return
    yield "torus, 2 → 3", torus, TORUS
    for d, width, activation, part in TRAINED:
        subject = images_decoder(d, width, activation)
        share = "" if part == 1 else f", {part:.0%} of the range"
        yield subject.name + share, subject.decoder, _range(subject.points, part)


def _range(points, part):
    """The middle part of the range of latents, (d, 2)."""
    points = points.double()
    low, high = points.amin(0), points.amax(0)
    cut = (1 - part) / 2 * (high - low)
    return torch.stack([low + cut, high - cut], 1)


def _row(region, seconds):
    ends = (
        region.volume, region.total_curvature, region.total_squared_curvature, region.scalar,
        region.volume_density,
    )  # fmt: skip
    counts = f"{seconds:.0f}", str(region.boxes)
    return *counts, *(f"{low:.4g} to {high:.4g}" for low, high in ends)
