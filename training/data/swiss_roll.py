"""The swiss roll: a flat rectangle, rolled up in R³."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import make_swiss_roll

from training.data.dataset import Dataset
from training.errors import TrainingError


def arc_length(t):
    """s(t) = ½ (t √(1 + t²) + asinh t), from 0 to t along the spiral r = t: ds = √(1 + t²) dt."""
    return (t * np.sqrt(1 + t**2) + np.arcsinh(t)) / 2


@dataclass(frozen=True)
class SwissRoll:
    """scikit-learn's swiss roll, in its own coordinates::

        x = (t cos t, h, t sin t) + ε,   ε ~ N(0, noise² I),
        t uniform in [3π/2, 9π/2],  h uniform in [0, 21]

    The chart is (s(t), h), s the arc length, of the point without its noise: an isometry onto a
    rectangle of about 89.4 × 21. With a hole, the middle ninth (in t and h) is left out; the chart
    is an isometry still, but geodesics go around the hole, and are longer than chart distances.
    The points are uniform in t and not in s: their density on the roll falls as 1/√(1 + t²).

    Labels are t. The coordinates have variances 43.9, 36.75 and 48.3, mean 43.0: the square of
    ``CommonScale``'s scale. All 3n entries about one common mean have 63.1, so that the R²
    published for this roll are 1 − MSE/63.

    Attributes:
        n: number of points.
        noise: standard deviation of each coordinate's noise.
        hole: leave out the middle.
        seed: of the points and their noise.
    """

    n: int = 18000
    noise: float = 0.0
    hole: bool = False
    seed: int = 0

    def __post_init__(self):
        if self.n < 2 or self.noise < 0:
            raise TrainingError(
                f"SwissRoll needs n ≥ 2 and noise ≥ 0; got n = {self.n}, noise = {self.noise}."
            )

    def load(self) -> Dataset:
        """The roll, (n, 3)."""
        points, t = self._roll(self.noise)
        clean, _ = self._roll(0.0)  # the same numbers: scikit-learn draws the noise last
        chart = np.stack([arc_length(t), clean[:, 1]], axis=1)
        name = "swiss roll with a hole" if self.hole else "swiss roll"
        return Dataset(points, labels=t, chart=chart, name=name)

    def _roll(self, noise):
        return make_swiss_roll(self.n, noise=noise, random_state=self.seed, hole=self.hole)
