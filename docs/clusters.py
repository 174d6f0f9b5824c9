"""Clusters by the geodesic distance beside those by the Euclidean one: ``python docs/clusters.py``.

Reads results/NAME.json of the studies below and writes results/clusters.md: in each row, how much
higher the F-score of Riemannian k-means is than those of k-means of the data, of the same latents,
and of what these decode to.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from training.ablation.design import read_design
from training.ablation.paired import paired, survivors
from training.evaluation.clusters import CONVERGED, DECODED, LATENT, RAW, RIEMANNIAN, STARTS

TABLE = Path("results/clusters.md")
DATA = {"pbmc_clusters": "cells", "mnist_5_8_clusters": "5 against 8"}
OTHERS = RAW, LATENT, DECODED  # that the last space is compared with
SPACES = *OTHERS, RIEMANNIAN
HEADER = (
    "`python docs/clusters.py`: F-scores of clusters of held-out points, k the number of classes, "
    "mean ± standard deviation over seeds: of k-means, the best of ten starts, of the data "
    "themselves, of latents, and of what these decode to; and of Riemannian k-means of latents, "
    f"the best of {STARTS} starts, of those that converged if any did. By how much the last is "
    "higher than each, with the 95 % interval (Student's, of one comparison). It is bold where it "
    "leaves out 0, for other splits of these points; † where it still does for all comparisons of "
    "the table at once (Holm); ‡ where it does so for other points too (Nadeau and Bengio, 2003). "
    "Last, in how many runs Riemannian k-means converged.\n"
)
COLUMNS = "data set", "row", *SPACES, *(f"riemannian − {other}" for other in OTHERS), "converged"


class Row(NamedTuple):
    """Numbers of a row of a study, seed by seed, and its comparisons (splits, points)."""

    title: str
    scores: dict
    comparisons: list


def rows():
    """Of all studies."""
    for name, data in DATA.items():
        overlap = read_design(Path("training/studies", f"{name}.yaml")).overlap
        results = json.loads(Path("results", f"{name}.json").read_text())["metrics"]
        for row, by_seed in results.items():
            runs = [run for run in by_seed.values() if run]  # but those that diverged
            scores = {
                name: np.array([run[f"kmeans_f1_{name}"] for run in runs])
                for name in (*SPACES, CONVERGED)
            }
            comparisons = [
                [paired(scores[RIEMANNIAN], scores[other], "difference", x) for x in (0, overlap)]
                for other in OTHERS
            ]
            yield Row(f"{data} | {row.replace('R2', '∫R²')}", scores, comparisons)


def table(found):
    """Line by line."""
    yield HEADER
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    falls = iter(survivors([splits.p for row in found for splits, _ in row.comparisons]))
    for row in found:
        scores = [f"{x.mean():.3f} ± {x.std(ddof=1):.3f}" for x in map(row.scores.get, SPACES)]
        differences = [_cell(*both, next(falls)) for both in row.comparisons]
        converged = row.scores[CONVERGED]
        share = f"{converged.sum():.0f} of {len(converged)}"
        yield f"| {' | '.join([row.title, *scores, *differences, share])} |"


def _cell(of_splits, of_points, falls):
    text = "{:+.3f} [{:.3f}, {:.3f}]".format(*of_splits[:3]).replace("-", "−")
    if not of_splits.excludes(0):
        return text
    return f"**{text}**" + "†" * falls + "‡" * of_points.excludes(0)


if __name__ == "__main__":
    TABLE.write_text("\n".join(table(list(rows()))) + "\n")
