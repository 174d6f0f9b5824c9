"""The table of metrics: what each means, and which run is better."""

import math
from dataclasses import dataclass

from training.evaluation.held_out import after_normalisation

MISSING = "–"
SAME = 0.05  # relative difference of two losses that is none
NEARLY = 1e-3  # distance from 1 that four digits would hide
ROUNDING = 1e-12
LEAST = 1e-6  # distance from a perfect score of 1 that is none


@dataclass(frozen=True)
class Metric:
    """A key of metrics.json.

    Attributes:
        key, name, meaning: of the metric.
        ideal: 1 where a perfect latent space has that, 0 where less is always better.
        has_unit: whether it changes with the scale of latents, and is compared only normalised.
    """

    key: str
    name: str
    meaning: str
    ideal: int = 0
    has_unit: bool = False

    def loss(self, value):
        """How far from ideal."""
        return abs(value - self.ideal)


METRICS = (
    Metric("mse", "MSE", "of the reconstruction, in units of the networks"),
    Metric("mse_raw", "MSE, raw", "of the reconstruction, in the data's units"),
    Metric("r2", "r²", "of the reconstruction, coefficient of determination", 1),
    Metric("median_abs_R_raw", "median |R|", "at encoded points, 1/length²"),
    Metric("p95_abs_R_raw", "95th percentile of |R|", "at encoded points, 1/length²"),
    Metric("mean_R2_sqrt_det_g_raw", "mean of R² √det g", "in the latents' unit", has_unit=True),
    Metric("mcn", "mean condition number", "λmax/λmin of g; 1 if conformal", 1),
    Metric("vor", "variance of the metric", "0 if g is constant"),
    Metric("var_log_det_g", "variance of log det g", "0 if volume is preserved up to a factor"),
    Metric("trustworthiness", "trustworthiness", "1 if no neighbour is false", 1),
    Metric("continuity", "continuity", "1 if no neighbour is torn away", 1),
    Metric("knn_recall_at_10", "recall of 10 neighbours", "1 if all are kept", 1),
    Metric("procrustes_disparity", "Procrustes disparity", "to the ideal chart; 0 if similar"),
    Metric("stress", "stress", "of distances against the ideal chart; 0 if proportional"),
)


@dataclass(frozen=True)
class Row:
    """A metric of every run: ``cells`` are (text, verdict against the first run or "")."""

    metric: Metric
    normalised: bool
    cells: list


def rows_of(all_metrics):
    """The table of the metrics of runs: each as trained and, where that differs, normalised."""
    rows = []
    for metric in METRICS:
        as_trained = _row(metric, False, [m.get(metric.key) for m in all_metrics])
        values = [after_normalisation(m, metric.key) for m in all_metrics]
        normalised = _row(metric, True, values)
        rows += [as_trained]
        rows += [normalised] if normalised.cells != as_trained.cells else []
    return [row for row in rows if any(text != MISSING for text, _ in row.cells)]


def _row(metric, normalised, values):
    first, *others = [None if v is None or not math.isfinite(v) else v for v in values]
    cells = [(_text(metric, first), "")]
    known = normalised or not metric.has_unit
    cells += [(_text(metric, v), verdict(metric, first, v) if known else "") for v in others]
    return Row(metric, normalised, cells)


def _text(metric, value):
    """Four digits of it, or two of its distance from a perfect 1 that it nearly is."""
    if value is None:
        return MISSING
    rest = value - 1
    if metric.ideal == 1 and ROUNDING < abs(rest) < NEARLY:
        return f"1 {'+' if rest > 0 else '−'} {abs(rest):.2g}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def verdict(metric, first, value):
    """``"better"``, ``"worse"`` or ``"same"`` than the first run; "" where one is not known.

    By the distances from the ideal: the same if they differ by 5 % or by 10⁻⁶ of a perfect 1.
    """
    if first is None or value is None:
        return ""
    before, after = metric.loss(first), metric.loss(value)
    slack = SAME * max(before, after) + (LEAST if metric.ideal else 0)
    if abs(before - after) <= slack:
        return "same"
    return "better" if after < before else "worse"
