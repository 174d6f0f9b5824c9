"""``python -m training.step_time``: what a functional costs, per optimiser step.

One step of an autoencoder of R^784 with two latent dimensions, for each functional, over the same
step without any; interleaved repeats, medians, the device waited for after every step.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

import curvcore
from training.errors import TrainingError
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
from training.writing import write_json

D, WARM_UPS = 784, 3

FUNCTIONALS = {
    "none": {},
    "relaxed distortion": {"isometry": RelaxedDistortion()},
    "∫R²dμ": {"curvature": TotalSquaredCurvature()},
    "∫R²dμ + distortion": {"curvature": TotalSquaredCurvature(), "isometry": RelaxedDistortion()},
    "F, fixed measure": {"F": PerelmanF(FixedMeasure())},
    "F, learned potential": {"F": PerelmanF(LearnedPotential(2))},
    "W, learned potential": {"W": PerelmanW(LearnedPotential(2))},
    "∫R²dμ + both gauges": {
        "curvature": TotalSquaredCurvature(),
        "harmonic": DeTurckGauge(),
        "volume": UniformVolume(),
    },
}


class _Step:
    def __init__(self, functionals, x, widths, compile):
        torch.manual_seed(0)
        self.x, self.model = x, MLPAutoEncoder(x.shape[1], 2, widths).to(x)
        terms = {name: Term(f, 1e-3) for name, f in functionals.items()}
        self.terms = Terms(terms, compile).to(x)
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


@dataclass(frozen=True)
class StepTime:
    """Of one functional: seconds, and the median over that of a step without any."""

    functional: str
    median_seconds: float
    min_seconds: float
    max_seconds: float
    over_none: float


def measure(x, width, repeats, compile=False):
    """The StepTimes of all functionals on data x (B, D), eager or compiled."""
    steps = {name: _Step(terms, x, (width, width), compile) for name, terms in FUNCTIONALS.items()}
    times = {name: [] for name in steps}
    for turn in range(repeats + WARM_UPS):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if x.is_cuda:
                torch.cuda.synchronize(x.device)
            if turn >= WARM_UPS:
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return [
        StepTime(name, medians[name], min(seconds), max(seconds), medians[name] / medians["none"])
        for name, seconds in times.items()
    ]


def main(
    batch: Annotated[int, typer.Option(min=8, help="Points in a step.")] = 512,
    width: Annotated[int, typer.Option(min=4, help="Of the two hidden layers.")] = 256,
    repeats: Annotated[int, typer.Option(min=1, help="Steps timed of each.")] = 30,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda.")] = "cpu",
    compile: Annotated[bool, typer.Option("--compile", help="The functionals compiled.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every number.")] = None,
):
    """Times of one optimiser step, D = 784, d = 2, float32."""
    try:
        x = _data(batch, device)
        found = measure(x, width, repeats, compile)
        if json is not None:
            settings = {"batch": batch, "width": width, "repeats": repeats, "compile": compile}
            write_json(json, _record(found, x, settings))
    except TrainingError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    Console().print(
        _table(
            found,
            f"D={D}, d=2, 2x{width}, batch {batch}, {_device_name(x)}{', compiled' * compile}",
        )
    )


def _data(batch, device):
    x = torch.randn(batch, D, generator=torch.Generator().manual_seed(0))
    try:
        return x.to(device)
    except (RuntimeError, AssertionError) as error:  # each back end has an error of its own
        reason = str(error).splitlines()[0]
        raise TrainingError(f"--device {device!r} is not usable here: {reason}") from error


def _record(found, x, settings):
    return {
        "curvcore": curvcore.__version__,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": _device_name(x),
        "threads": torch.get_num_threads(),
        **settings,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "results": [asdict(step_time) for step_time in found],
    }


def _device_name(x):
    return torch.cuda.get_device_name(x.device) if x.is_cuda else str(x.device)


def _table(found, title):
    table = Table(title=f"one optimiser step, {title}")
    for column in ("functional", "ms", "min–max", "over none"):
        table.add_column(column, justify="left" if column == "functional" else "right")
    for t in found:
        low, median, high = (1e3 * s for s in (t.min_seconds, t.median_seconds, t.max_seconds))
        spread = f"{low:.3g}–{high:.3g}"
        table.add_row(t.functional, f"{median:.3g}", spread, f"{t.over_none:.3g}")
    return table


if __name__ == "__main__":
    typer.run(main)
