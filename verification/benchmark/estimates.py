"""``verification.benchmark --scale``: how good estimates of R from random directions are.

On manifolds of known R (:mod:`verification.manifolds.high_dimension`) and a SiLU decoder, at one
point each, estimated many times over: the root mean square of their errors against the number of
probes, and how often Student's 95 % interval holds R.
"""

import itertools
from dataclasses import asdict, dataclass

import torch
from scipy.stats import t as student
from torch import nn

import curvcore
from verification import report
from verification.manifolds.high_dimension import ProductOfSpheres, decoders

DISTRIBUTIONS = ("rademacher", "gaussian")
DIMENSION, AMBIENT = 12, 40
PROBES, REPEATS = (4, 8, 16, 32), 2000
SPHERE, AT_ONCE = 128, 250
# An unbiased mean is further from R than so many standard errors in one run of 15 000.
STANDARD_ERRORS = 4


@dataclass(frozen=True)
class Estimated:
    """Estimates of R at a point.

    Attributes:
        error: root of the mean square of U − R, over |R|.
        bias: mean of U − R, in its standard errors.
        coverage: share of 95 % intervals that hold R.
    """

    name: str
    d: int
    distribution: str
    probes: int
    repeats: int
    error: float
    bias: float
    coverage: float

    @property
    def passed(self):
        """Whether the mean is R, as far as one can see."""
        return abs(self.bias) <= STANDARD_ERRORS


def measure(settings):
    """Estimated of all manifolds, and of the sphere of dimension 128."""
    found = []
    for name, decoder in _subjects(settings.seed).items():
        z = _point(decoder, DIMENSION, settings.seed)
        for distribution, probes in itertools.product(DISTRIBUTIONS, PROBES):
            found.append(_estimated(name, decoder, z, probes, distribution, settings.seed))
    sphere = ProductOfSpheres([SPHERE], [1.0], 2 * SPHERE)
    z = _point(sphere, SPHERE, settings.seed)
    for distribution in DISTRIBUTIONS:
        found.append(_estimated("sphere", sphere, z, 8, distribution, settings.seed))
    return found


def _subjects(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Linear(DIMENSION, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU()
        network = nn.Sequential(*layers, nn.Linear(64, AMBIENT)).double()
    return decoders(DIMENSION, AMBIENT, seed) | {"SiLU decoder": network}


def _point(decoder, d, seed):
    generator = torch.Generator().manual_seed(seed)
    if hasattr(decoder, "sample"):
        return decoder.sample(1, generator)
    return torch.randn(1, d, dtype=torch.float64, generator=generator)


@torch.no_grad()
def _estimated(name, decoder, z, probes, distribution, seed):
    generator = torch.Generator().manual_seed(seed)
    estimator = curvcore.Hutchinson(probes, distribution, generator)
    estimate = curvcore.estimate_scalar_curvature(
        decoder, z.expand(REPEATS, -1), estimator, chunk_size=AT_ONCE
    )
    scalar = curvcore.scalar_curvature(decoder, z)
    error = estimate.value - scalar
    half = student.ppf(0.975, probes - 1) * estimate.standard_error
    return Estimated(
        name=name,
        d=z.shape[1],
        distribution=distribution,
        probes=probes,
        repeats=REPEATS,
        error=(error.square().mean().sqrt() / scalar.abs())[0].item(),
        bias=(error.mean() / (error.std() / REPEATS**0.5)).item(),
        coverage=(error.abs() <= half).double().mean().item(),
    )


def slopes(found):
    """(name, distribution) -> the slope of log error against log probes.

    −½ where Var Ric(u, u) leads, down to −1 where it vanishes, as on spheres with random signs.
    """
    groups = {}
    for e in found:
        if e.d == DIMENSION:
            groups.setdefault((e.name, e.distribution), []).append(e)
    return {key: _slope(chosen) for key, chosen in groups.items()}


def _slope(chosen):
    x, y = (
        torch.tensor([float(getattr(e, field)) for e in chosen], dtype=torch.float64).log()
        for field in ("probes", "error")
    )
    x, y = x - x.mean(), y - y.mean()
    return (x @ y / (x @ x)).item()


def show(console, found):
    """Print one row per manifold and number of probes, and the slopes."""
    table = report.empty_table(f"\nEstimates of R, {REPEATS} repeats")
    for column in ("subject", "d", "probes", "of", "error", "bias/s.e.", "coverage"):
        table.add_column(column, justify="left" if column == "subject" else "right")
    for e in found:
        table.add_row(
            e.name, str(e.d), str(e.probes), e.distribution, f"{e.error:.2%}", f"{e.bias:.1f}",
            f"{e.coverage:.1%}",
        )  # fmt: skip
    console.print(table)
    table = report.empty_table("\nSlope of error against probes")
    for column in ("subject", *DISTRIBUTIONS):
        table.add_column(column, justify="left" if column == "subject" else "right")
    of = slopes(found)
    for name in dict.fromkeys(name for name, _ in of):
        table.add_row(name, *(f"{of[name, distribution]:.2f}" for distribution in DISTRIBUTIONS))
    console.print(table)


def as_dicts(found):
    """Plain data for JSON."""
    return [asdict(e) | {"passed": e.passed} for e in found]
