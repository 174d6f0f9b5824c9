"""``python -m verification.numerics``: what R loses to rounding, on certified truth.

Random decoders, one property varied at a time, decoders in which much cancels, and the decoder
trained on digits: the relative error of R in units of eps, and how it compares with
``scalar_relative_error``, of a geometry and of its jet alone. Medians and percentiles over
decoders, points and activations. And what the estimate costs.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.numerics")


import itertools
import statistics
import time
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track

import curvcore
from verification import report
from verification.decoders import converted, digits_decoder
from verification.decoders.cancelling import KINDS, Cancelling
from verification.decoders.random import ACTIVATIONS, Architecture
from verification.exact.certificates import certify

BASE = Architecture(width=64, depth=3, ambient=64)
VARIED = {
    "depth": (1, 2, 4, 8),
    "width": (8, 32, 128, 512),
    "ambient": (3, 16, 128, 784),
    "output_scale": (1e-6, 1.0, 1e6),
    "latent_scale": (1e-6, 1.0, 1e6),
    "gain": (0.1, 1.0, 10.0),
    "skew": (1.0, 0.1, 0.03, 0.01),
    "latent": (2, 3, 4),
}
SIZES = (1.0, 10.0, 100.0, 1000.0)  # of what cancels
TIMED = Architecture(width=128, depth=3, ambient=784), Architecture(width=32, ambient=16)
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Decoders for each value and activation.")] = 2,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
):
    """Error of R against what may cause it."""
    if dtype not in DTYPES:
        raise typer.BadParameter(f"--dtype must be one of {', '.join(DTYPES)}; got {dtype}.")
    console, precision = Console(), DTYPES[dtype]
    cases = [(name, value) for name, values in VARIED.items() for value in values]
    table = report.empty_table(f"error of R in {dtype}, fused, gauss, over eps")
    for column in (
        "", "median", "95 %", "median κ", "error/estimate, median", "99 %", "largest",
        "of the jet alone, 99 %", "points",
    ):  # fmt: skip
        table.add_column(column, justify="left" if not column else "right")
    everything = []
    for name, value in _track(cases, console):
        chosen = [
            measured(*replace(BASE, **{name: value}, activation=activation, seed=seed).build(8),
                     precision)
            for activation, seed in itertools.product(ACTIVATIONS, range(seeds))
        ]  # fmt: skip
        everything.append(np.concatenate(chosen, 1))
        table.add_row(f"{name} {value:g}", *_row(everything[-1], precision))
    for kind, size in _track([*itertools.product(KINDS, SIZES)], console):
        chosen = [Cancelling(kind, size, seed=seed) for seed in range(3 * seeds)]
        chosen = [measured(*each.build(8, precision), precision) for each in chosen]
        everything.append(np.concatenate(chosen, 1))
        table.add_row(f"{kind} {size:g}", *_row(everything[-1], precision))
    digits = digits_decoder(64, 0)
    table.add_row("digits decoder", *_row(measured(digits.decoder, digits.points, precision),
                                          precision))  # fmt: skip
    console.print(table)
    console.print(_rule(np.concatenate(everything, 1), precision))
    for architecture in TIMED:
        console.print(_cost(architecture, precision))


def _track(steps, console):
    """They, with a bar where somebody looks."""
    return track(steps, console=console, transient=True, disable=not console.is_terminal)


def measured(decoder, z, dtype):
    """(error, estimate, κ, estimate of the jet alone) of R at regular points: (4, n)."""
    certificate = certify(decoder, z, relative=1e-18)
    with torch.no_grad():
        geometry = curvcore.pullback(converted(decoder, dtype), z.to(dtype), on_degenerate="nan")
        alone = curvcore.PullbackGeometry(geometry.jet, on_degenerate="nan")
    found = np.stack([
        certificate.relative_error(geometry.scalar),
        geometry.scalar_relative_error.double().numpy(),
        geometry.condition_number.double().numpy(),
        alone.scalar_relative_error.double().numpy(),
    ])  # fmt: skip
    return found[:, np.isfinite(found).all(0)]


def _row(found, dtype):
    error, estimate, condition, alone = found
    eps, ratio = torch.finfo(dtype).eps, error / estimate
    numbers = (
        np.median(error) / eps, np.quantile(error, 0.95) / eps, np.median(condition),
        np.median(ratio), np.quantile(ratio, 0.99), ratio.max(), np.quantile(error / alone, 0.99),
    )  # fmt: skip
    return *(f"{number:.2g}" for number in numbers), str(len(error))


def _rule(found, dtype):
    """How the error grows with κ, and how far the estimate is to be trusted."""
    error, estimate, condition, _ = found
    seen = error > 0
    slope, offset = np.polyfit(np.log10(condition[seen]), np.log10(error[seen]), 1)
    eps = torch.finfo(dtype).eps
    ratio = error / estimate
    return (
        f"{error.size} points: error ≈ {10**offset / eps:.2g} eps κ^{slope:.2f} (least squares on "
        f"logarithms); at most 30 estimates on {np.mean(ratio <= 30):.2%}, at least 1/30 on "
        f"{np.mean(ratio >= 1 / 30):.2%} of them."
    )


@torch.no_grad()
def _cost(architecture, dtype, points=1024, rounds=15):
    """R with its error in the time of R: medians, in turns."""
    decoder, z = architecture.build(points)
    decoder, z = decoder.to(dtype), z.to(dtype)
    seconds = {"scalar": [], "scalar_error": []}
    for _, (name, taken) in itertools.product(range(rounds), seconds.items()):
        started = time.perf_counter()
        geometry = curvcore.pullback(decoder, z)
        _ = geometry.scalar, getattr(geometry, name)
        taken.append(time.perf_counter() - started)
    without, with_error = (statistics.median(taken[2:]) for taken in seconds.values())
    return (
        f"{architecture.latent} → {architecture.width} × {architecture.depth} → "
        f"{architecture.ambient}, {points} points: R in {1000 * without:.1f} ms, with its error in "
        f"{1000 * with_error:.1f} ms, {with_error / without:.2f} times as long."
    )


if __name__ == "__main__":
    typer.run(main)
