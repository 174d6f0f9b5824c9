"""Gaussian clouds in planes of R^D: flat, with known coordinates, and nothing else."""

import math
from dataclasses import dataclass

import numpy as np

from training.data.dataset import Dataset
from training.errors import TrainingError


@dataclass(frozen=True)
class SyntheticGaussians:
    """k clouds, each in a d-plane embedded in R^D at random::

        x = Q_i u + c_i + ε,   u ~ N(0, variance I_d),   c_i ~ shift + N(0, offset I_D),
                               ε ~ N(0, noise² I_D)

    Q_i (D, d) has orthonormal columns, by QR of a matrix of *normal* numbers: its plane is then
    uniform among all d-planes, and two of them are nearly orthogonal where d ≪ D (cosines of their
    principal angles of the order √(d/D); for d = 2, D = 784 the larger one is .07). Numbers uniform
    in [0, 1] have mean 1/2: every plane would nearly contain the direction (1, .., 1), so that all
    planes share it (cosine .75 for d = 1, .86 for d = 2), and the task is easier than it looks.

    Labels and groups are i, the chart is u (n, d): an isometry on each cloud, if noise = 0. Planes
    and centres depend on seed, D and d only, not on how many points or clouds there are.

    Attributes:
        k: number of clouds.
        per_cloud: points in each, one number for all or a list of k.
        D: dimension of the space.
        d: dimension of the planes.
        variance: of a cloud along each direction of its plane.
        shift: added to every coordinate of every point.
        offset: variance, in each coordinate, of the centres about ``shift``.
        noise: standard deviation of each coordinate's noise.
        seed: of all that is random here.
    """

    k: int = 3
    per_cloud: int | list[int] = 18000
    D: int = 784
    d: int = 2
    variance: float = 1.0
    shift: float = 0.0
    offset: float = 0.1
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.k < 1 or not 1 <= self.d <= self.D:
            raise TrainingError(
                f"SyntheticGaussians needs k ≥ 1 and 1 ≤ d ≤ D; got k = {self.k}, d = {self.d}, "
                f"D = {self.D}."
            )
        if len(self.sizes) != self.k or min(self.sizes) < 1:
            raise TrainingError(
                "SyntheticGaussians needs per_cloud ≥ 1, one number or a list of k numbers; got "
                f"k = {self.k}, per_cloud = {self.per_cloud}."
            )
        if self.variance <= 0 or min(self.offset, self.noise) < 0:
            raise TrainingError(
                "SyntheticGaussians needs variance > 0, offset ≥ 0 and noise ≥ 0; got variance = "
                f"{self.variance}, offset = {self.offset}, noise = {self.noise}."
            )

    @property
    def sizes(self):
        """Points in each of the k clouds."""
        return [*self.per_cloud] if np.ndim(self.per_cloud) else [self.per_cloud] * self.k

    def load(self) -> Dataset:
        """All clouds, (n, D) with n the sum of their sizes, one after the other."""
        streams = np.random.default_rng(self.seed).spawn(self.k)
        clouds, charts = zip(*map(self._cloud, streams, self.sizes), strict=True)
        labels = np.repeat(np.arange(self.k), self.sizes)
        return Dataset(
            np.concatenate(clouds), labels, np.concatenate(charts), labels, name="gaussians"
        )

    def _cloud(self, rng, size):
        """x (size, D) and u (size, d)."""
        frame = np.linalg.qr(rng.standard_normal((self.D, self.d))).Q
        centre = self.shift + math.sqrt(self.offset) * rng.standard_normal(self.D)
        u = math.sqrt(self.variance) * rng.standard_normal((size, self.d))
        x = u @ frame.T + centre
        if self.noise:
            x += self.noise * rng.standard_normal(x.shape)
        return x, u
