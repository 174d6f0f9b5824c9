"""``python -m training flow``: a table and a picture of a decoder that flows.

    python -m training flow --surface dumbbell --out flow/dumbbell
    python -m training flow --surface runs/digits_f --out flow/digits

writes ``flow.csv``, a row a step, ``flow.json``, what was asked for and how it ended, and
``flow.png``. Units are those of the surface, or of the run's data: t and τ in L².
"""

import csv
import io
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

import curvcore
from training.errors import TrainingError
from training.flows.minimal import MinimalPotential
from training.flows.patches import of_run
from training.flows.pictures import picture
from training.flows.ricci_flow import RULES, RicciFlow
from training.flows.surfaces import DIMENSIONS, toy
from training.functionals import SampledGeometry, gaussian_tau
from training.pictures import check_new
from training.text import printable
from training.writing import write_json, write_text

UNRESOLVED = 0.01  # of ∫|R| dμ: the most that ∫R dμ may move on a closed surface
ASTRAY = 0.5  # cosine with −2E below which what is left of E is the sample's error
SHOTS = 5  # surfaces in the picture
POTENTIALS = ("minimal", "fixed")


@dataclass
class Film:
    """What a flow was.

    Attributes:
        subject, flow: what flowed.
        rows: a dict each of the start and of every step.
        shots: of the picture: time -> (decoded grid, R on it).
        ended: why.
    """

    subject: object
    flow: RicciFlow
    rows: list = field(default_factory=list)
    shots: dict = field(default_factory=dict)
    ended: str = "all steps were taken"


def parser():
    """Of the command line."""
    made = ArgumentParser(prog="python -m training flow", exit_on_error=False)
    made.add_argument("--surface", required=True, help="torus, sphere, dumbbell, or a run's folder")
    made.add_argument("--out", required=True, help="folder of table and picture, new or empty")
    made.add_argument("--functional", default="F", choices=("F", "W"))
    made.add_argument("--potential", default="minimal", choices=POTENTIALS)
    made.add_argument("--rule", default="projected", choices=tuple(RULES))
    made.add_argument("--steps", default=20, type=int)
    made.add_argument("--dt", default=math.inf, type=float, help="of a step, at most, in L²")
    made.add_argument("--tau", type=float, help="of W at the start, in L²; else by the size")
    made.add_argument("--dimension", type=int, help="of the space of a toy surface: 3 is R³")
    made.add_argument("--nodes", default=24, type=int, help="of the quadrature, in a direction")
    made.add_argument("--trust", action="store_true", help="import the classes a run names")
    return made


def run(options):
    """What the command line asks for; the paths that were written, one by one."""
    check_new(Path(options.out))
    if options.steps < 1 or not options.dt > 0 or options.nodes < 4:
        raise TrainingError("--steps and --dt must be positive, --nodes at least 4.")
    subject = subject_of(options.surface, options.dimension, options.nodes, options.trust)
    made = film(
        subject, options.steps, options.dt, options.functional, options.potential, options.tau,
        rule=options.rule,
    )  # fmt: skip
    asked = {name: value for name, value in vars(options).items() if name not in ("out", "trust")}
    yield from write(made, options.out, asked)
    shown = summary(made)
    for name in (options.functional, "share", "ended"):
        print(printable(f"{name}: {shown[name]}"))


def subject_of(surface, dimension=None, nodes=24, trust=False):
    """The Subject of a toy surface's name or of a run's folder."""
    if surface in DIMENSIONS:
        return toy(surface, dimension, nodes)
    if dimension is not None:
        raise TrainingError(f"--dimension is of toy surfaces, {', '.join(DIMENSIONS)}; {surface}?")
    return of_run(surface, nodes, trust=trust)


def film(subject, steps=20, dt=math.inf, functional="F", potential="minimal", tau=None, **options):
    """The Film of a flow.

    Args:
        subject: training.flows.surfaces.Subject.
        steps: at most; it ends where the functional rises no more, where the cosine of δg with −2E
            falls below one half, or, on a closed surface, where ∫R dμ moves by 1 % of ∫|R| dμ: the
            sample does not resolve the surface any more.
        dt: of a step, at most; RicciFlow takes less where the metric changes fast.
        functional, options: of RicciFlow.
        potential: ``"minimal"`` or ``"fixed"``.
        tau: of W at the start; by default that of a Gaussian of the surface's size.
    """
    if potential not in POTENTIALS:
        raise TrainingError(f"The potential is one of {POTENTIALS}; got {potential!r}.")
    chosen = MinimalPotential(subject.basis) if potential == "minimal" else subject.fixed
    if tau is None:
        tau = _tau_of(subject)
    flow = RicciFlow(subject.decoder, subject.sample, functional, chosen, tau, **options)
    made = Film(subject, flow)
    made.rows.append(_row(made, None))
    made.shots[0.0] = _shot(subject)
    kept = {round(i * steps / (SHOTS - 1)) for i in range(SHOTS)}
    for number in range(1, steps + 1):
        try:
            made.rows.append(_row(made, flow.step(dt)))
        except TrainingError as error:
            made.ended = str(error)
            break
        if number in kept:
            made.shots[flow.time] = _shot(subject)
        if reason := why_to_end(made):
            made.ended = reason
            break
    made.shots.setdefault(flow.time, _shot(subject))
    return made


def why_to_end(made):
    """Why a flow is not followed further; None if it is."""
    rows, is_closed = made.rows, made.subject.is_closed
    last, moved = rows[-1], abs(rows[-1]["total_curvature"] - rows[0]["total_curvature"])
    if is_closed and moved > UNRESOLVED * last["total_abs_curvature"]:
        return f"∫R dμ has moved by {moved:.2g}: the sample does not resolve the surface any more"
    if last["alignment"] < ASTRAY and made.flow.rule != "gradient":
        return (
            f"the cosine with −2E is {last['alignment']:.2g}: no more can be told from the sample"
        )
    return None


def _tau_of(subject):
    """τ of the Gaussian on flat space whose total variance is the decoder's, in dm of ``fixed``."""
    with torch.no_grad():
        on = SampledGeometry(subject.decoder, subject.sample)
        mass = subject.fixed.on(on, torch.zeros_like(on.weights[:1])).probability
        return gaussian_tau(subject.decoder(on.z).flatten(1), on.dimension, mass).item()


@torch.no_grad()
def _row(made, step):
    """The numbers after a step, or of the start."""
    flow, subject = made.flow, made.subject
    on = SampledGeometry(subject.decoder, subject.sample)
    scalar, area = on.geometry.scalar, on.volume()
    mean = on.integral(scalar) / area
    row = {name: value.item() for name, value in flow.numbers()._asdict().items()}
    row |= {
        "time": flow.time,
        "least_R": scalar.amin().item(),
        "largest_R": scalar.amax().item(),
        "total_abs_curvature": on.integral(scalar.abs()).item(),
        "unevenness": (on.integral((scalar - mean).square()) * area).item(),
    }
    row |= {name: _length(subject.decoder(z)) for name, z in subject.parallels.items()}
    return row | ({} if step is None else asdict(step))


def _length(curve):
    """Of the closed polygon through points (n, D)."""
    return (curve - curve.roll(1, 0)).norm(dim=1).sum().item()


@torch.no_grad()
def _shot(subject):
    """Decoded grid (rows, columns, D), and R there, NaN where g is degenerate."""
    z = subject.grid.reshape(-1, 2)
    geometry = curvcore.pullback(subject.decoder, z, on_degenerate="nan")
    shape = subject.grid.shape[:2]
    value = geometry.value.reshape(*shape, -1)
    return value.numpy(), geometry.scalar.reshape(shape).numpy()


def write(made, out, asked):
    """flow.csv, flow.json and flow.png in the folder; the paths, as they are written."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in reversed(made.rows) for key in row))
    columns.remove("time")
    writer = csv.DictWriter(text, ["time", *columns])
    writer.writeheader()
    writer.writerows(made.rows)
    write_text(out / "flow.csv", text.getvalue())
    yield out / "flow.csv"
    write_json(out / "flow.json", {"asked": asked, **summary(made)})
    yield out / "flow.json"
    yield picture(made, out / "flow.png")


def summary(made):
    """What is to be told of a Film in a few numbers."""
    name, steps = made.flow.name, [row for row in made.rows if "dt" in row]
    first, last = made.rows[0], made.rows[-1]
    told = {
        "ended": made.ended,
        "steps": len(steps),
        "time": made.flow.time,
        "fit_error": made.subject.error,
        name: [first[name], last[name]],
        "falls": sum(row["rise"] < 0 for row in steps),
        "halvings": sum(row["halvings"] for row in steps),
        "worst_mass": max(abs(row["mass"] - 1) for row in made.rows),
    }
    for key in ("share", "alignment"):
        values = [row[key] for row in steps]
        told[key] = [min(values), max(values)] if values else None
    for key in ("measured", "predicted", "perelman"):
        told[f"first_{key}"] = steps[0][key] if steps else None
        told[f"last_{key}"] = steps[-1][key] if steps else None
    names = ["least_R", "largest_R", "total_curvature", "unevenness", "volume", "tau"]
    for key in (*names, *made.subject.parallels):
        told[key] = [first[key], last[key]]
    return told
