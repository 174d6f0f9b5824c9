"""``python -m training.step_time``: what a functional costs, per optimiser step.

One step of an autoencoder of R^784, for each functional, over the same step without any;
interleaved repeats, medians, the device waited for after every step. In two latent dimensions they
look at all points of a batch, in many (``--latent 64``) they are estimated at some.
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
from training.measures import EncodedPoints, SmoothedPoints
from training.models import MLPAutoEncoder
from training.terms import Term, Terms
from training.writing import write_json

D, WARM_UPS, WEIGHT = 784, 3, 1e-3
LARGEST_EXACT = 8  # d up to which R is computed at all points

FUNCTIONALS = {
    "none": {},
    "relaxed distortion": {"isometry": Term(RelaxedDistortion(), WEIGHT)},
    "∫R²dμ": {"curvature": Term(TotalSquaredCurvature(), WEIGHT)},
    "∫R²dμ + distortion": {
        "curvature": Term(TotalSquaredCurvature(), WEIGHT),
        "isometry": Term(RelaxedDistortion(), WEIGHT),
    },
    "F, fixed measure": {"F": Term(PerelmanF(FixedMeasure()), WEIGHT)},
    "F, learned potential": {"F": Term(PerelmanF(LearnedPotential(2)), WEIGHT)},
    "W, learned potential": {"W": Term(PerelmanW(LearnedPotential(2)), WEIGHT)},
    "∫R²dμ + both gauges": {
        "curvature": Term(TotalSquaredCurvature(), WEIGHT),
        "harmonic": Term(DeTurckGauge(), WEIGHT),
        "volume": Term(UniformVolume(), WEIGHT),
    },
}


def estimated(points, probes):
    """The functionals of many latent dimensions, at some points of a batch."""
    estimator, some = curvcore.Hutchinson(probes), EncodedPoints(points)
    law = SmoothedPoints(points)
    return {
        "none": {},
        "relaxed distortion": {"isometry": Term(RelaxedDistortion(), WEIGHT, some)},
        "∫R²dμ": {"curvature": Term(TotalSquaredCurvature(estimator=estimator), WEIGHT, some)},
        "F, fixed measure": {"F": Term(PerelmanF(estimator=estimator), WEIGHT, law)},
        "W, fixed measure": {"W": Term(PerelmanW(estimator=estimator), WEIGHT, law)},
    }


class _Step:
    def __init__(self, terms, x, latent, widths, compile):
        torch.manual_seed(0)
        self.x, self.model = x, MLPAutoEncoder(x.shape[1], latent, widths).to(x)
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


def measure(x, width, repeats, compile=False, latent=2, functionals=FUNCTIONALS):
    """The StepTimes of all functionals on data x (B, D), eager or compiled."""
    widths = width, width
    steps = {n: _Step(terms, x, latent, widths, compile) for n, terms in functionals.items()}
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
    latent: Annotated[int, typer.Option(min=2, help="d; from 9 on with estimates of R.")] = 2,
    points: Annotated[int, typer.Option(min=1, help="At which R is estimated.")] = 8,
    probes: Annotated[int, typer.Option(min=4, help="Of an estimate.")] = 4,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every number.")] = None,
):
    """Times of one optimiser step, D = 784, float32."""
    is_large = latent > LARGEST_EXACT
    functionals = estimated(points, probes) if is_large else FUNCTIONALS
    try:
        x = _data(batch, device)
        found = measure(x, width, repeats, compile, latent, functionals)
        if json is not None:
            settings = {"batch": batch, "width": width, "repeats": repeats, "compile": compile}
            settings |= {"latent": latent}
            settings |= {"points": points, "probes": probes} if is_large else {}
            write_json(json, _record(found, x, settings))
    except TrainingError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    some = f", {probes} probes at {points} points" * is_large
    kind = f"{_device_name(x)}{', compiled' * compile}"
    title = f"D={D}, d={latent}, 2x{width}, batch {batch}{some}, {kind}"
    Console().print(_table(found, title))


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
