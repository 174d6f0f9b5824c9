"""What Perelman's F is made of: ``python docs/parts_of_f.py --runs RUNS --out results/parts_of_f``.

Reads the runs of the designs below in the folder that was given to
``python -m training study --runs``, and writes RESULT.json and RESULT.md: of the law that
F was trained on, the mean over the seeds of ∫ R dm and ∫ |∇f|² dm, f = log √det g − log ρ, and of
∫ |∇ log √det g|² dm and ∫ |∇ log ρ|² dm, whose sum is the second but for the mixed term.
"""

import argparse
import statistics
from pathlib import Path

import torch

from training import runs as run_folders
from training.functionals import SampledGeometry
from training.measures import SmoothedPoints
from training.writing import write_json, write_text

ROWS = ("none", "isometry", "F", "F_without_R", "W", "W_without_R")
CASES = {
    "digits_16_controls": "digits, d = 16",
    "pbmc_8_controls": "cells, d = 8",
    "mnist_5_8_d8_controls": "5 against 8, d = 8",
}
PARTS = ("∫ R dm", "∫ \\|∇f\\|² dm", "∫ \\|∇ log √det g\\|² dm", "∫ \\|∇ log ρ\\|² dm")
BATCHES, POINTS = 4, 64


@torch.no_grad()
def parts(run):
    """The four integrals of a trained model, in its units: batches as in training."""
    module, data = run_folders.load(run, trust=True)
    module, x = module.double(), data.training_points()
    generator = torch.Generator().manual_seed(0)
    found = []
    for seed in range(BATCHES):
        batch = x[torch.randperm(len(x), generator=generator)[: data.batch_size]]
        sample = SmoothedPoints(points=POINTS).sample(module.encode(batch), seed)
        on = SampledGeometry(module.autoencoder.decoder, sample, 2)
        volume, density = on.log_volume_gradient, on.log_density[1]
        squares = [
            on.geometry.gradient_norm_squared(v) for v in (volume - density, volume, density)
        ]
        found.append([on.mean(values).item() for values in (on.geometry.scalar, *squares)])
    return [statistics.fmean(column) for column in zip(*found, strict=True)]


def table(found):
    """Mean ± standard deviation over seeds, a line for each row."""
    lines = ["| row | " + " | ".join(PARTS) + " |", "|---" * (len(PARTS) + 1) + "|"]
    for case, rows in found.items():
        for row, seeds in rows.items():
            cells = [
                f"{statistics.fmean(column):.3g} ± {statistics.stdev(column):.1g}"
                for column in zip(*seeds.values(), strict=True)
            ]
            name = f"*{CASES[case]}*: {row.replace('_', ' ')}"
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def main():
    """Measure all runs that are there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder of the studies' runs")
    parser.add_argument("--out", type=Path, required=True, help="RESULT, without a suffix")
    options = parser.parse_args()
    folders = {
        (case, row): sorted((options.runs / case / row).glob("*/seed_*/"))
        for case in CASES
        for row in ROWS
    }
    for (case, row), runs in folders.items():
        if len(runs) < 2:
            parser.error(
                f"{options.runs} has {len(runs)} runs of {case}, row {row}; 2 or more are needed: "
                f"python -m training study --design {case} --runs {options.runs}"
            )
    found = {
        case: {row: {run.name: parts(run) for run in folders[case, row]} for row in ROWS}
        for case in CASES
    }
    write_json(options.out.with_suffix(".json"), found)
    write_text(options.out.with_suffix(".md"), table(found))
    print(table(found))


if __name__ == "__main__":
    main()
