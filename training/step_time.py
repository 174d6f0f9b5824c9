"""``python -m training.step_time``: what a functional costs, per optimiser step.

One step of an autoencoder of R^784 with two latent dimensions, for each functional, over the same
step without any; interleaved repeats, medians.
"""

import statistics
import time
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

from training.functionals import (
    DeTurckGauge,
    FixedMeasure,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    TotalSquaredCurvature,
    UniformVolume,
)
from training.models import MLPAutoEncoder
from training.terms import Term, Terms

FUNCTIONALS = {
    "none": {},
    "relaxed distortion": {"isometry": RelaxedDistortion()},
    "∫R²dμ": {"curvature": TotalSquaredCurvature()},
    "∫R²dμ + distortion": {"curvature": TotalSquaredCurvature(), "isometry": RelaxedDistortion()},
    "F, fixed measure": {"F": PerelmanF(FixedMeasure())},
    "F, learned potential": {"F": PerelmanF(LearnedPotential())},
    "W, learned potential": {"W": PerelmanW(LearnedPotential())},
    "∫R²dμ + both gauges": {
        "curvature": TotalSquaredCurvature(),
        "harmonic": DeTurckGauge(),
        "volume": UniformVolume(),
    },
}


class _Step:
    def __init__(self, functionals, x, widths):
        torch.manual_seed(0)
        self.x, self.model = x, MLPAutoEncoder(x.shape[1], 2, widths).to(x)
        self.terms = Terms({name: Term(f, 1e-3) for name, f in functionals.items()}).to(x)
        parameters = [*self.model.parameters(), *self.terms.parameters()]
        self.optimizer = torch.optim.Adam(parameters, 1e-4)

    def __call__(self):
        z = self.model.encoder(self.x)
        loss = nn.functional.mse_loss(self.model.decoder(z), self.x)
        values, _ = self.terms(self.model, self.x, z, epoch=1.0, seed=0)
        loss = loss + sum(weight * value for weight, value in values.values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main(
    batch: Annotated[int, typer.Option(min=8, help="Points in a step.")] = 512,
    width: Annotated[int, typer.Option(min=4, help="Of the two hidden layers.")] = 256,
    repeats: Annotated[int, typer.Option(min=1, help="Steps timed of each.")] = 30,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
):
    """Times of one optimiser step, D = 784, d = 2, float32."""
    x = torch.randn(batch, 784, generator=torch.Generator().manual_seed(0)).to(device)
    steps = {name: _Step(terms, x, (width, width)) for name, terms in FUNCTIONALS.items()}
    times = {name: [] for name in steps}
    for turn in range(repeats + 3):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if x.is_cuda:
                torch.cuda.synchronize()
            if turn >= 3:  # the first ones warm up
                times[name].append(time.perf_counter() - started)
    table = Table(title=f"one optimiser step, D=784, d=2, 2x{width}, batch {batch}")
    for column in ("functional", "ms", "min–max", "over none"):
        table.add_column(column, justify="left" if column == "functional" else "right")
    base = statistics.median(times["none"])
    for name, seconds in times.items():
        median, low, high = statistics.median(seconds), min(seconds), max(seconds)
        table.add_row(
            name, f"{1e3 * median:.3g}", f"{1e3 * low:.3g}–{1e3 * high:.3g}", f"{median / base:.3g}"
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
