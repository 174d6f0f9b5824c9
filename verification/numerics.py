"""``python -m verification.numerics``: what R loses to rounding, on certified truth.

Random decoders, one property varied at a time, and the decoder trained on digits: the relative
error of R in units of eps, and how it compares with ``scalar_relative_error``. Medians and
percentiles over decoders, points and activations.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.numerics")


import itertools
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
    for column in ("", "median", "95 %", "median κ", "error/estimate, median", "99 %", "points"):
        table.add_column(column, justify="left" if not column else "right")
    everything = []
    for name, value in track(cases, console=console, transient=True):
        chosen = [
            measured(*replace(BASE, **{name: value}, activation=activation, seed=seed).build(8),
                     precision)
            for activation, seed in itertools.product(ACTIVATIONS, range(seeds))
        ]  # fmt: skip
        everything.append(np.concatenate(chosen, 1))
        table.add_row(f"{name} {value:g}", *_row(everything[-1], precision))
    digits = digits_decoder(64, 0)
    table.add_row("digits decoder", *_row(measured(digits.decoder, digits.points, precision),
                                          precision))  # fmt: skip
    console.print(table)
    console.print(_rule(np.concatenate(everything, 1), precision))


def measured(decoder, z, dtype):
    """(error, estimate, κ) of R at regular points: (3, n)."""
    certificate = certify(decoder, z, relative=1e-18)
    with torch.no_grad():
        geometry = curvcore.pullback(converted(decoder, dtype), z.to(dtype), on_degenerate="nan")
    found = np.stack([
        certificate.relative_error(geometry.scalar),
        geometry.scalar_relative_error.double().numpy(),
        geometry.condition_number.double().numpy(),
    ])  # fmt: skip
    return found[:, np.isfinite(found).all(0)]


def _row(found, dtype):
    error, estimate, condition = found
    eps, ratio = torch.finfo(dtype).eps, error / estimate
    numbers = (
        np.median(error) / eps, np.quantile(error, 0.95) / eps, np.median(condition),
        np.median(ratio), np.quantile(ratio, 0.99),
    )  # fmt: skip
    return *(f"{number:.2g}" for number in numbers), str(len(error))


def _rule(found, dtype):
    """How the error grows with κ, and how far the estimate is to be trusted."""
    error, estimate, condition = found
    seen = error > 0
    slope, offset = np.polyfit(np.log10(condition[seen]), np.log10(error[seen]), 1)
    eps = torch.finfo(dtype).eps
    ratio = error / estimate
    return (
        f"{error.size} points: error ≈ {10**offset / eps:.2g} eps κ^{slope:.2f} (least squares on "
        f"logarithms); at most 30 estimates on {np.mean(ratio <= 30):.2%}, at least 1/30 on "
        f"{np.mean(ratio >= 1 / 30):.2%} of them."
    )


if __name__ == "__main__":
    typer.run(main)
