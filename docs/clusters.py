"""Clusters by the geodesic distance beside those by the Euclidean one: ``python docs/clusters.py``.

Reads results/NAME.json of the studies below and writes results/clusters.md: in each row, how much
higher the F-score of Riemannian k-means is than that of k-means of the same latents, and of what
these decode to.
"""

import json
from pathlib import Path

import numpy as np

from training.ablation.design import read_design
from training.ablation.paired import paired

TABLE = Path("results/clusters.md")
DATA = {"pbmc_clusters": "cells"}
RIEMANNIAN, LATENTS, DECODED = (f"kmeans_f1_{of}" for of in ("riemannian", "latents", "decoded"))
CONVERGED = f"{RIEMANNIAN}_converged"
HEADER = (
    "`python docs/clusters.py`: F-scores of clusters of held-out points, k the number of classes, "
    "mean ± standard deviation over seeds: of k-means of the latents, of k-means of what they "
    "decode to, and of Riemannian k-means, the best of five starts; and by how much the last is "
    "higher, with the 95 % interval (Student's, of one comparison). Bold: it leaves out 0, for "
    "other splits of these points; ‡: for other points too. Last, in how many runs Riemannian "
    "k-means converged.\n"
)
COLUMNS = "data", "row", "latents", "decoded", "Riemannian", "to latents", "to decoded", "converged"


def table():
    """Line by line."""
    yield HEADER
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for name, data in DATA.items():
        overlap = read_design(Path("training/studies", f"{name}.yaml")).overlap
        rows = json.loads(Path("results", f"{name}.json").read_text())["metrics"]
        for row, runs in rows.items():
            yield f"| {data} | {row.replace('R2', '∫R²')} | {' | '.join(cells(runs, overlap))} |"


def cells(runs, overlap):
    """Of a row, from its runs, seed -> metric -> number."""
    scores = {
        metric: np.array([run[metric] for run in runs.values()])
        for metric in (LATENTS, DECODED, RIEMANNIAN, CONVERGED)
    }
    for metric in (LATENTS, DECODED, RIEMANNIAN):
        yield f"{scores[metric].mean():.3f} ± {scores[metric].std(ddof=1):.3f}"
    for other in (LATENTS, DECODED):
        of_splits, of_points = (
            paired(scores[RIEMANNIAN], scores[other], "difference", share) for share in (0, overlap)
        )
        text = "{:+.3f} [{:.3f}, {:.3f}]".format(*of_splits[:3]).replace("-", "−")
        yield f"**{text}**{'‡' * of_points.excludes(0)}" if of_splits.excludes(0) else text
    yield f"{scores[CONVERGED].sum():.0f} of {len(runs)}"


if __name__ == "__main__":
    TABLE.write_text("\n".join(table()) + "\n")
