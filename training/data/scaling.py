"""One common scale for all features."""

import numpy as np
import torch
from torch import nn


class CommonScale(nn.Module):
    """x ↦ (x − mean)/scale, with a mean for each feature and *one* scale for all.

    Scaling each feature by itself would change the metric; this changes its unit only. If Ψ
    decodes to scaled data, scale·Ψ + mean decodes to raw data, and in raw units::

        g_raw = scale² g,    √det g_raw = scale^d √det g,    R_raw = R/scale²

    Both numbers are buffers: they are saved, moved and loaded with the model.

    Attributes:
        mean: (D,).
        scale: (), positive.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dimension: int):
        """The identity of R^D, D = ``dimension``, for ``load_state_dict`` to fill."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def fit(cls, points):
        """mean = E[x] and scale² = the mean over features of Var[x_a] (1 if nothing varies).

        Scaled points then have mean zero and variance one in the mean over features.

        Args:
            points: (n, D), numpy array or tensor, finite.
        """
        points = np.asarray(points, dtype=np.float64)
        scale = np.sqrt(points.var(axis=0).mean())
        rounding = 100 * np.finfo(np.float64).eps * np.abs(points).max()
        fitted = cls(points.shape[1]).double()
        fitted.mean.copy_(torch.from_numpy(points.mean(axis=0)))
        fitted.scale.fill_(float(scale) if scale > rounding else 1.0)
        return fitted

    def forward(self, x):
        """(x − mean)/scale, (..., D)."""
        return ((x - self.mean) / self.scale).to(x.dtype)

    def inverse(self, y):
        """y·scale + mean, (..., D)."""
        return (y * self.scale + self.mean).to(y.dtype)
