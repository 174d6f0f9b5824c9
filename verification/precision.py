"""``python -m verification.precision``: how the float32 error of R grows with the condition of g.

Decoders Ψ with well-conditioned metrics are composed with maps A = U diag(1, .., s) V, U and V
orthogonal: z ↦ Ψ(Az + b) has the same R, and a metric as ill-conditioned as one likes. From one
float32 jet, R is computed in four ways:

- Cholesky: as curvcore ships, in the frame of the Cholesky factor of the equilibrated metric;
- QR: in the frame of the QR factorisation of the Jacobian, its columns scaled to length one;
- no frame: in latent coordinates;
- jet alone: all but the jet in float64, by QR; what errors remain no choice of frame can undo.

The truth is float64 throughout, by QR, for the very float32 weights and points. Errors are in units
of max(|R|, |II|²); κ is the condition number of the equilibrated metric C_ij = g_ij/√(g_ii g_jj).

What must hold: error ≤ 128 κ (1 + |∇²Ψ|/|II|) eps at every point, the law of
``verification.agreement`` for the Gauss formula; and in every decade of κ a median at most twice
that of QR, and that of the jet alone. If QR were better, it should ship in Cholesky's place.

Why that law: scale coordinates to unit length, and let the jet be good to η there: ∇Ψ to η√d, ∇²Ψ
to η times its norm, which is at most λ_max(C) |∇²Ψ|. An orthonormal frame has |E|² = 1/λ_min(C)
there, so in it ∇Ψ errs by η√(dκ), and ∇²Ψ by ηκ|∇²Ψ|, which prevails. R = |tr II|² − |II|² then
errs by that over |II|, times 2√(2(d−1)) ≤ 5 for d ≤ 4. Products with E in float32 round no worse
than the jet does. Some n = 150 roundings lie between z and ∂_i∂_jΨ, in sums over the widths of four
layers; they make η = λ√n eps/2, where λ = 4 is hardly ever exceeded (Higham & Mary, SIAM J. Sci.
Comput. 41, 2019): 24 eps, and 5 · 24 < 128. E itself errs by κ eps from Cholesky and by √κ eps from
QR, but any E gives the same R, so that is harmless while κ eps ≪ 1. Without a frame, g⁻¹ multiplies
differences of terms that g⁻¹ has inflated already: κ² eps.

Exit code: 0 all that holds, 1 it does not, 2 bad usage.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.precision")


import copy
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.text import Text
from torch import nn

import curvcore
from curvcore.degenerate import smallest_reciprocal_condition
from curvcore.formulas import Formulas
from curvcore.frames import Frame
from verification import report
from verification.agreement import JET_EPS
from verification.benchmark import routes

WIDTH = 110
EPS = torch.finfo(torch.float32).eps
# Points above 0.01/eps are degenerate, and some a little below it, as κ too is rounded.
LARGEST_CONDITION = 0.9 / smallest_reciprocal_condition(torch.float32)
DECADES = range(math.ceil(math.log10(LARGEST_CONDITION)))
SMALLEST_SCALE = 1e-3
# How many times better than the shipped way a referee may be in the median, where that is above
# FLOOR eps: below, it shows the last roundings of the formula and not κ.
FACTOR, FLOOR = 2, 4
# Stands for an error that is not finite, which JSON does not know.
HUGE = 1e30


class Sphere(nn.Module):
    """The unit sphere in the stereographic chart, u ↦ (2u, |u|² − 1)/(|u|² + 1): R = d(d−1)."""

    def forward(self, u):
        square = u.square().sum(1, keepdim=True)
        return torch.cat([2 * u, square - 1], 1) / (square + 1)


def decoders(seed):
    """name -> (d, a float32 decoder of R^d whose metric is well-conditioned)."""
    sizes = (routes.Size(2, 32, 2, 20, 1), routes.Size(4, 32, 2, 20, 1))
    found = {f"tanh {s.d}→{s.D}": (s.d, s.decoder(torch.float32, "cpu", seed)[0]) for s in sizes}
    return found | {"sphere 3→4": (3, Sphere())}


# --- ways to R ----------------------------------------------------------------------------------


def shipped(jet):
    """R as curvcore computes it."""
    return curvcore.PullbackGeometry(jet, on_degenerate="nan").scalar


def by_qr(jet):
    """R in the frame of QR."""
    return in_frame(qr_frame(jet.jacobian), jet).scalar


def frameless(jet):
    """R in latent coordinates: E = I."""
    identity = torch.eye(jet.dimension, dtype=jet.jacobian.dtype).expand(len(jet), -1, -1)
    return in_frame(Frame(identity, identity), jet).scalar


def jet_alone(jet):
    """R of this jet in float64."""
    return by_qr(curvcore.Jet(*(array.double() for array in jet.arrays())))


SHIPPED = "Cholesky"
REFEREES = ("QR", "jet alone")
WAYS = {SHIPPED: shipped, "QR": by_qr, "no frame": frameless, "jet alone": jet_alone}


def qr_frame(jacobian):
    """E = S⁻¹ T⁻¹ from ∇Ψ S⁻¹ = Q T, S the lengths of the columns, so that ∇Ψ E = Q."""
    scale = jacobian.norm(dim=1)
    factor = torch.linalg.qr(jacobian / scale[:, None, :]).R
    identity = torch.eye(factor.shape[-1], dtype=factor.dtype).expand_as(factor)
    inverted = torch.linalg.solve_triangular(factor, identity, upper=True)
    return Frame(inverted / scale[:, :, None], factor * scale[:, None, :])


def in_frame(frame, jet):
    """The Gauss formula in that frame."""
    return Formulas(frame.derivatives(jet.derivatives()), "gauss")


# --- measuring ----------------------------------------------------------------------------------


def ill_conditioned(decoder, d, scale, points):
    """z ↦ Ψ(Az + b) with A = U diag(1, .., scale) V, and points z (points, d), in float32."""
    left, right = torch.linalg.qr(torch.randn(2, d, d)).Q
    linear = nn.Linear(d, d)
    scales = torch.logspace(0, math.log10(scale), d)
    linear.weight.data = left @ scales.diag() @ right
    linear.bias.data = torch.randn(d) / 2
    return nn.Sequential(linear, decoder), torch.randn(points, d) / 2


def truth(decoder, z):
    """R, its unit max(|R|, |II|²), κ, and κ (1 + |∇²Ψ|/|II|), (points,) each, in float64."""
    jet = curvcore.jet(copy.deepcopy(decoder).double(), z.double(), 2)
    formulas = in_frame(qr_frame(jet.jacobian), jet)
    normal = formulas.second_fundamental_form.flatten(1).norm(dim=1)
    second = formulas.derivatives.full(2).flatten(1).norm(dim=1)
    unit = torch.maximum(formulas.scalar.abs(), normal.square())
    condition = curvcore.PullbackGeometry(jet).condition_number
    return formulas.scalar, unit, condition, condition * (1 + second / unit.sqrt())


@torch.no_grad()
def errors(decoder, z):
    """At regular points: κ and the law, (n,), and the error of every way, (n, ways), in eps."""
    scalar, unit, condition, amplification = truth(decoder, z)
    jet = curvcore.jet(decoder, z, 2)
    found = torch.stack([way(jet).double() for way in WAYS.values()], 1)
    error = (found - scalar[:, None]).abs() / unit[:, None] / EPS
    error = error.nan_to_num(nan=HUGE, posinf=HUGE)
    regular = condition < LARGEST_CONDITION
    return condition[regular], JET_EPS * amplification[regular], error[regular]


@dataclass(frozen=True)
class Row:
    """One decoder, one decade of κ: medians over the points, and the worst, by way, in eps."""

    decoder: str
    decade: int
    points: int
    condition: float
    median: dict
    worst: dict
    median_over_condition: dict
    share_of_law: float

    def excess(self, referee):
        """How many times the referee's median the shipped way's is, where it tells of κ."""
        return self.median[SHIPPED] / max(FLOOR, self.median[referee])

    @property
    def passed(self):
        """Whether the shipped way is within the law, and no referee much better."""
        return self.share_of_law <= 1 and max(map(self.excess, REFEREES)) <= FACTOR


def measure(name, d, decoder, maps, points):
    """The Rows of one decoder, from so many linear maps with so many points each."""
    scales = torch.logspace(0, math.log10(SMALLEST_SCALE), maps).tolist()
    found = [errors(*ill_conditioned(decoder, d, scale, points)) for scale in scales]
    condition, law, error = map(torch.cat, zip(*found, strict=True))
    decade = condition.log10().floor()
    return [
        _row(name, n, *(values[decade == n] for values in (condition, law, error)))
        for n in DECADES
        if (decade == n).any()
    ]


def _row(name, decade, condition, law, error):
    by_way = (error.median(0).values, error.amax(0), (error / condition[:, None]).median(0).values)
    by_way = [dict(zip(WAYS, numbers.tolist(), strict=True)) for numbers in by_way]
    share = (error[:, 0] / law).max().item()
    return Row(name, decade, len(error), condition.median().item(), *by_way, share)


def growth(rows, way):
    """p of error ~ κ^p eps: least squares through the medians between FLOOR eps and 1."""
    seen = [(r.condition, r.median[way]) for r in rows if FLOOR < r.median[way] < 1 / EPS]
    return np.polyfit(*np.log(seen).T, 1)[0] if len(seen) > 1 else None


# --- the outcome --------------------------------------------------------------------------------

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _in_a_folder(path):
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise typer.BadParameter(f"{path} is not a file in an existing folder.")
    return path


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="A third of the linear maps.")] = False,
    points: Annotated[int, typer.Option(min=4, help="Points for each linear map.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, maps and points.")] = 0,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every number.", callback=_in_a_folder),
    ] = None,
):
    """How the float32 error of R grows with the condition number of the metric, by frame."""
    started, maps = time.perf_counter(), 32 if quick else 96
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        groups = {
            name: measure(name, d, decoder, maps, points)
            for name, (d, decoder) in decoders(seed).items()
        }
    exponents = {name: {way: growth(rows, way) for way in WAYS} for name, rows in groups.items()}
    rows = [row for group in groups.values() for row in group]
    missing = len(groups) * len(DECADES) - len(rows)
    passed = not missing and all(row.passed for row in rows)
    if json is not None:
        results = [asdict(row) | {"passed": row.passed} for row in rows]
        versions = {"curvcore": curvcore.__version__, "torch": torch.__version__}
        outcome = {"seed": seed, "passed": passed, "exponents": exponents, "results": results}
        report.write_json(json, versions | outcome)
    console = Console(width=WIDTH)
    console.print(_table(groups, exponents))
    console.print(_summary(rows, missing, passed))
    console.print(
        f"{sum(row.points for row in rows)} points, {time.perf_counter() - started:.1f} s"
    )
    raise typer.Exit(0 if passed else 1)


def _table(groups, exponents):
    table = report.empty_table(
        "float32 error of R in eps: median, worst, and median of error/κ, by the way to R"
    )
    table.add_column("decoder", no_wrap=True)
    for column in ("κ", "points", *(f"{way}\nmed  worst   /κ" for way in WAYS), "of law", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for name, rows in groups.items():
        for row in rows:
            cells = [_cell(row, way) for way in WAYS]
            verdict = Text("PASS", "green") if row.passed else Text("FAIL", "bold red")
            share = f"{row.share_of_law:.1%}" if row.share_of_law < 10 else "over"
            table.add_row(name, f"1e{row.decade}", str(row.points), *cells, share, verdict)
        fits = exponents[name].values()
        cells = ["" if p is None else f"κ^{p:.2f}" for p in fits]
        table.add_row("", "", "growth", *cells, style="bold", end_section=True)
    return table


def _cell(row, way):
    numbers = (row.median[way], row.worst[way], row.median_over_condition[way])
    return " ".join(f"{number:.2g}".replace("e+0", "e").rjust(5) for number in numbers)


def _summary(rows, missing, passed):
    if missing:
        return f"[bold red]FAIL: {missing} decades without a point[/]; give more with --points."
    share = max(row.share_of_law for row in rows)
    ratios = (f"{max(row.excess(name) for row in rows):.2f} × {name}" for name in REFEREES)
    return (
        f"[bold {'green]PASS' if passed else 'red]FAIL'}: {SHIPPED} errs by at most {share:.1%} of "
        f"{JET_EPS} κ (1 + |∇²Ψ|/|II|) eps[/];\nits median is at most {', '.join(ratios)}; "
        f"{FACTOR} is allowed where that is above {FLOOR} eps"
    )


if __name__ == "__main__":
    app()
