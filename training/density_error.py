"""``python -m training.density_error``: how far densities of encoded points are off.

Of laws m on R^d whose density ρ is a formula, in batches: E log ρ; the Fisher information
∫ |∇ log ρ|² dm, which Perelman's F holds; and −∫ z · ∇ log ρ dm/d, which is 1 for every law and its
density: else F depends on latent coordinates. Kernels and neighbours estimate ρ from points;
SmoothedPoints draws from a law of its own, near that of the points, whose density is known.
"""

import math
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from sklearn.neighbors import NearestNeighbors
from torch.func import grad_and_value, vmap

from training.densities import density_of
from training.measures import SmoothedPoints

DIMENSIONS = (1, 2, 4, 8, 16)
WAYS = ("kernels", "neighbours", "smoothed", "smoothed, h = 1")


def _normal(z):
    return -z.square().sum() / 2 - len(z) / 2 * math.log(2 * math.pi)


def _clouds(z):
    """Two normal laws, six standard deviations apart."""
    first = torch.zeros_like(z)
    first[0] = 3
    return torch.logaddexp(_normal(z - first), _normal(z + first)) - math.log(2)


def _banana(z):
    """A normal law sheared by the square of its first coordinate."""
    return _normal(torch.cat([z[:1], z[1:] - z[:1] ** 2 / 2]))


def _drawn(law, normal, generator):
    if law is _clouds:
        side = torch.randint(2, normal.shape[:1], generator=generator) * 2 - 1
        normal[:, 0] += 3 * side
    elif law is _banana:
        normal[:, 1:] += normal[:, :1] ** 2 / 2
    return normal


LAWS = {"normal": _normal, "two clouds": _clouds, "banana": _banana}


def _by_neighbours(points):
    """E log ρ by distances to the k-th neighbour, ρ = (k − ½)/((n − 1) vol_d r^d), k = √n."""
    n, d = points.shape
    k = math.isqrt(n)
    distances, _ = NearestNeighbors(n_neighbors=k).fit(points.numpy()).kneighbors()
    log_ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    logs = math.log(k - 0.5) - math.log(n - 1) - log_ball - d * torch.from_numpy(distances).log()
    return logs[:, -1].mean()


def _means(z, log_density, slope):
    along = -(z * slope).sum(1) / z.shape[1]
    return torch.stack([log_density.mean(), slope.square().sum(1).mean(), along.mean()])


def errors(law, d, batch, generator):
    """way -> [error of E log ρ, Fisher information over the law's, −∫ z · ∇ log ρ dm/d]."""
    z = _drawn(law, torch.randn(batch, d, generator=generator, dtype=torch.float64), generator)
    slope, log_density = vmap(grad_and_value(law))(z)
    true = _means(z, log_density, slope)
    found = {"kernels": _means(z, *density_of(z))}
    found["neighbours"] = torch.tensor([_by_neighbours(z), math.nan, math.nan])
    for way, bandwidth in (("smoothed", None), ("smoothed, h = 1", 1.0)):
        seed = int(torch.randint(2**31, (), generator=generator))
        sample = SmoothedPoints(bandwidth=bandwidth).sample(z, seed)
        found[way] = _means(sample.z, *sample.log_density)
    return {way: torch.stack([x[0] - true[0], x[1] / true[1], x[2]]) for way, x in found.items()}


def main(
    batch: Annotated[int, typer.Option(min=32, help="Points in a batch.")] = 256,
    repeats: Annotated[int, typer.Option(min=2, help="Batches of each law.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the first batch.")] = 0,
):
    """Errors of densities of encoded points, d = 1 to 16; means of batches and standard errors."""
    generator = torch.Generator().manual_seed(seed)
    table, largest = _table(batch), 0.0
    for name, law in LAWS.items():
        for d in DIMENSIONS:
            runs = [errors(law, d, batch, generator) for _ in range(repeats)]
            numbers = {way: torch.stack([run[way] for run in runs]) for way in WAYS}
            spread = torch.stack([x.std(0) for x in numbers.values()]).nan_to_num(0)
            largest = max(largest, spread.amax().item() / repeats**0.5)
            table.add_row(name, str(d), *(_cell(x.mean(0)) for x in numbers.values()))
    table.caption = f"Means of {repeats} batches; standard errors up to {largest:.2g}."
    Console(width=110).print(table)


def _table(batch):
    table = Table(
        title=f"batches of {batch}: E log ρ − the law's; Fisher/the law's; −∫ z·∇log ρ dm/d"
    )
    for column in ("law", "d", *WAYS):
        table.add_column(column, justify="right")
    return table


def _cell(numbers):
    return "; ".join(f"{number:.2f}" for number in numbers if not number.isnan())


if __name__ == "__main__":
    typer.run(main)
