"""A search: does anything without graph distances unroll the swiss roll from a random start?

    python docs/unroll.py --out results/unroll    # some two hours on one core

Ways have data, steps and seeds in common, and end with MSE + 0.1 · relaxed distortion + 0.01 ·
∫R²dm; but W has W in the place of ∫R², with its control, and many starts take 96 epochs more.
Writes unroll.json and unroll.md; what is there already is not done again.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

import curvcore
from training.data import CommonScale, SwissRoll
from training.evaluation.charts import procrustes_disparity, tear_score
from training.functionals import (
    GraphStress,
    LearnedPotential,
    PerelmanW,
    RelaxedDistortion,
    TotalSquaredCurvature,
)
from training.models import MLPAutoEncoder
from training.writing import write_json, write_text

POINTS, EPOCHS, BATCH, RATE = 5000, 120, 512, 2e-3
SEEDS = range(5)
WIDTHS = (128, 128, 128)
STARTS, SHORT = 8, 12  # of the multi-start: how many, and for how many epochs


class Run:
    """An autoencoder on its way; ``at`` goes from 0 to 1.

    Args:
        seed: of weights, split and order.
        widths: of the hidden layers.
    """

    def __init__(self, seed, widths=WIDTHS):
        torch.manual_seed(seed)
        train, _, self.test = SwissRoll(n=POINTS).load().split(seed=seed)
        self.scale = CommonScale.fit(train.points)
        self.x = self.scale(torch.from_numpy(train.points)).float()
        self.model = MLPAutoEncoder(3, 2, widths)
        self.curvature, self.isometry = TotalSquaredCurvature(), RelaxedDistortion()
        self.extra = nn.ModuleList()

    def loss(self, x, at):
        """Reconstruction, and flatness and isometry of the encoded points."""
        z = self.model.encoder(x)
        decoder = self.model.decoder
        flat = 0.1 * self.isometry(decoder, z) + 0.01 * self.curvature(decoder, z)
        return nn.functional.mse_loss(decoder(z), x) + flat

    def fit(self, loss, epochs=EPOCHS):
        """Minimise loss(x, at) by Adam, with a rate that falls along a half cosine."""
        steps = epochs * (len(self.x) // BATCH)
        parameters = [*self.model.parameters(), *self.extra.parameters()]
        optimiser = torch.optim.Adam(parameters, RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: (1 + math.cos(math.pi * step / steps)) / 2
        )
        for step in range(steps):
            rows = torch.randint(len(self.x), (BATCH,))
            optimiser.zero_grad()
            value = loss(self.x[rows], step / steps)
            value.backward()
            optimiser.step()
            schedule.step()
        return self

    @torch.no_grad()
    def metrics(self):
        """On held-out points, in raw units."""
        x = self.scale(torch.from_numpy(self.test.points)).float()
        z = self.model.encoder(x)
        error = (self.model.decoder(z) - x).square().mean() * self.scale.scale**2
        latents = z.double().numpy()
        return {
            "mse_raw": error.item(),
            "procrustes_disparity": float(procrustes_disparity(latents, self.test.chart)),
            "tear_score": float(tear_score(latents, self.test.chart, 10)),
        }


def plain(seed):
    """From a random start."""
    run = Run(seed)
    return run.fit(run.loss)


def isometry_only(seed):
    """The control of W: neither W nor ∫R²dm."""
    run = Run(seed)

    def loss(x, at):
        z = run.model.encoder(x)
        decoder = run.model.decoder
        return nn.functional.mse_loss(decoder(z), x) + 0.1 * run.isometry(decoder, z)

    return run.fit(loss)


def larger_nets(seed):
    """Four layers of 256."""
    run = Run(seed, (256,) * 4)
    return run.fit(run.loss)


def noise_first(seed):
    """Data with noise that falls from half their deviation to none by half-time."""
    run = Run(seed)

    def loss(x, at):
        return run.loss(x + 0.5 * max(0, 1 - 2 * at) * torch.randn_like(x), at)

    return run.fit(loss)


def thin_roll_first(seed):
    """The outer turn first, which bends least, and all of the roll from half-time on."""
    run = Run(seed)
    radius = run.x[:, [0, 2]].norm(dim=1)
    whole = run.x

    def loss(x, at):
        share = min(1, 0.3 + 1.4 * at)
        run.x = whole[radius >= torch.quantile(radius, 1 - share)]
        return run.loss(x, at)

    return run.fit(loss)


def annealed_w(seed):
    """Perelman's W with τ from 10 to 0.01, ascended by the decoder, in place of ∫R²dm."""
    run = Run(seed)
    functional = PerelmanW(LearnedPotential(2), direction="ricci")
    run.extra.append(functional)

    def loss(x, at):
        z = run.model.encoder(x)
        functional.tau.log_value.fill_(math.log(10) + at * math.log(1e-3))
        value = functional(run.model.decoder, z)
        isometry = 0.1 * run.isometry(run.model.decoder, z)
        return nn.functional.mse_loss(run.model.decoder(z), x) + isometry + 1e-3 * value

    return run.fit(loss)


def many_starts(seed):
    """The best of eight short runs goes on: that of the least loss on training points."""
    short = [Run(seed + 1000 * k) for k in range(STARTS)]
    for run in short:
        run.test, run.x, run.scale = short[0].test, short[0].x, short[0].scale
        run.fit(run.loss, SHORT)
    best = min(short, key=lambda run: run.loss(run.x[:2000], 1).item())
    return best.fit(best.loss)


def bending_first(seed):
    """∫|II|²dm of the decoder, the squared change of its Gauss map, fading by half-time."""
    run = Run(seed)

    def loss(x, at):
        z = run.model.encoder(x).detach()
        on = curvcore.pullback(run.model.decoder, z, on_degenerate="nan")
        h = on.mean_curvature.square().sum(1)
        bending = torch.nanmean(h - on.scalar)  # |II|² = |H|² − R
        return run.loss(x, at) + 1e-2 * max(0, 1 - 2 * at) * bending

    return run.fit(loss)


def graph_stress(seed):
    """The control: graph stress, which fades by half-time."""
    run = Run(seed)
    stress = GraphStress().fit(run.x, seed)

    def loss(x, at):
        if at < 1 / 3:
            z = run.model.encoder(x)
            mse = nn.functional.mse_loss(run.model.decoder(z), x)
            return mse + 100 * stress(run.model.encoder)
        return run.loss(x, at) + 100 * max(0, 3 - 4.5 * at) / 1.5 * stress(run.model.encoder)

    return run.fit(loss)


WAYS = (
    plain, isometry_only, larger_nets, noise_first, thin_roll_first, annealed_w, many_starts,
    bending_first, graph_stress,
)  # fmt: skip


def table(results):
    """A line for each way: median and least of five seeds."""
    keys = ("mse_raw", "procrustes_disparity", "tear_score")
    lines = [f"| way | what | seeds | {' | '.join(f'{k}: median (least)' for k in keys)} |"]
    lines.append("|---" * (len(keys) + 3) + "|")
    for way in WAYS:
        runs = list(results.get(way.__name__, {}).values())
        values = [[run[key] for run in runs] for key in keys]
        cells = [f"{np.median(v):.3g} ({min(v):.3g})" if v else "" for v in values]
        what = way.__doc__.strip().rstrip(".").replace("|", "\\|")
        lines.append(f"| {way.__name__} | {what} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    """Do what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="results/unroll", help="path without suffix")
    out = Path(parser.parse_args().out)
    file = out.with_suffix(".json")
    results = json.loads(file.read_text()) if file.is_file() else {}
    for way in WAYS:
        for seed in map(str, SEEDS):
            done = results.setdefault(way.__name__, {})
            if seed not in done:
                done[seed] = way(int(seed)).metrics()
                write_json(file, results)
                print(way.__name__, seed, done[seed], flush=True)
    text = f"`python docs/unroll.py`: held-out points, {len(SEEDS)} seeds.\n\n{table(results)}"
    write_text(out.with_suffix(".md"), text)
    print(text)


if __name__ == "__main__":
    main()
