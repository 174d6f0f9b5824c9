"""A small design of an ablation, for tests."""

import yaml

from tests.support.small_runs import CURVATURE, gaussians, write_config

R2 = {"R2": CURVATURE["curvature"] | {"weight": 2.0}}
ISOMETRY = {
    "isometry": {"functional": {"class_path": "training.functionals.RelaxedDistortion"}},
}
DESIGN = {
    "config": "plain.yaml",
    "seeds": [0, 1],
    "tuning": {"seeds": [7], "weights": [1.0, 0.1, 0.01], "at_most": 1.1},
    "metrics": {"mse": "ratio", "knn_recall_at_10": "difference"},
    "terms": {"R2": R2, "isometry": ISOMETRY},
    "rows": {"none": [], "isometry": ["isometry"], "both": ["isometry", "R2"]},
}


def write_design(folder, **changes):
    """Writes the design, with changes, and what it is of; its path."""
    write_config(folder / "plain.yaml", gaussians(), epochs=1)
    (folder / "own.yaml").write_text("model: {autoencoder: {class_path: networks.Own}}")
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(DESIGN | changes, sort_keys=False))
    return path
