"""The command line of :mod:`verification.geodesics.__main__`."""

import math
import time
from typing import Annotated

import torch
import typer
from rich.console import Console

import curvcore
from verification import report
from verification.decoders import UsageError, user_decoder
from verification.decoders.subjects import converted, images_decoder
from verification.exact.balls_of_decoders import CertificationError
from verification.geodesics.certificate import certify_geodesic
from verification.regions.command import torus

TRAINED = ("Tanh", "SiLU")
WIDTH = 64

app = typer.Typer(add_completion=False)


def sphere(z):
    """The unit sphere: colatitude and longitude."""
    u, v = z.unbind(1)
    return torch.stack([u.cos(), u.sin() * v.cos(), u.sin() * v.sin()], 1)


def three_sphere(z):
    """The unit sphere of R⁴, in angles."""
    a, b, c = z.unbind(1)
    inner = a.sin() * b.sin()
    return torch.stack([a.cos(), a.sin() * b.cos(), inner * c.cos(), inner * c.sin()], 1)


@app.command()
def main(
    decoder: Annotated[
        str | None, typer.Option(metavar="module:factory", help="Your own decoder.")
    ] = None,
    points: Annotated[
        str | None, typer.Option(metavar="FILE", help="Latents (B, d): from each to the next.")
    ] = None,
    geodesics: Annotated[int, typer.Option(min=1, help="Of each decoder, at most.")] = 3,
    relative: Annotated[float, typer.Option(help="How well lengths are to be known.")] = 1e-6,
    seconds: Annotated[float, typer.Option(help="For each at most.")] = 600.0,
):
    """Geodesics proved to exist, with their lengths and conjugate points."""
    console, proved = Console(), True
    table = report.empty_table(f"Geodesics, lengths to {relative:g}")
    for column in ("", "seconds", "segments", "length", "off the path", "conjugate at"):
        table.add_column(column, justify="right" if column else "left")
    try:
        if (decoder is None) != (points is None):
            raise UsageError("--decoder and --points go together.")
        for name, subject, path in _subjects(decoder, points, geodesics):
            started = time.perf_counter()
            found = certify_geodesic(subject, path, relative=relative, seconds=seconds)
            table.add_row(name, f"{time.perf_counter() - started:.0f}", *_row(found))
            proved &= found.proved
    except (UsageError, CertificationError) as error:
        console.print(f"[red]Error:[/] {error}")
        raise typer.Exit(2) from None
    console.print(table)
    raise typer.Exit(0 if proved else 1)


def _subjects(decoder, points, count):
    """Names, decoders and numerical geodesics."""
    if decoder is not None:
        subject = user_decoder(decoder, points)
        yield from _between(subject.name, subject.decoder, subject.points, count)
        return
    yield "sphere, length 4", sphere, shot(sphere, [1.0, 0.3], [0.5, 1.5], 4.0)
    yield "sphere, length 7", sphere, shot(sphere, [1.0, 0.3], [0.5, 1.5], 7.0)
    yield (
        "sphere of dimension 3, length 4",
        three_sphere,
        shot(three_sphere, [0.8, 1.0, 0.2], [0.3, 0.5, 1.1], 4.0),
    )
    yield "torus", torus, shot(torus, [0.0, -1.0], [1.0, 1.2], 5.0)
    for activation in TRAINED:
        subject = images_decoder(2, WIDTH, activation)
        yield from _between(subject.name, subject.decoder, subject.points, count)


def _between(name, decoder, points, count):
    """From each point to the next."""
    decoder, points = converted(decoder, torch.float64), points[: count + 1].double()
    found = curvcore.geodesic(decoder, points[:-1], points[1:])
    for n, path in enumerate(found.path):
        yield f"{name}, {n} to {n + 1}", decoder, path


def shot(decoder, z, v, length):
    """The path of this length from z in the direction of v, by curvcore's exponential map."""
    z, v = (torch.tensor([x], dtype=torch.float64) for x in (z, v))
    speed = (curvcore.metric(decoder, z)[0] @ v[0] @ v[0]).sqrt()
    return curvcore.exponential_map(decoder, z, v * (length / speed)).path[0]


def _row(found):
    if not found.proved:
        return "", found.reason, "", ""
    low, high = found.length
    digits = max(1, -math.floor(math.log10(high - low)))
    length = f"{(low + high) / 2:.{digits}f} ± {(high - low) / 2:.0e}"
    return str(len(found.times) - 1), length, f"{found.distance:.0e}", _conjugate(found.conjugate)


def _conjugate(brackets):
    if brackets is None:
        return "not known"
    return ", ".join(
        f"{(low + high) / 2:.5f} ± {(high - low) / 2:.0e}" + (f" (×{count})" if count > 1 else "")
        for low, high, count in brackets
    ) or "none"  # fmt: skip
