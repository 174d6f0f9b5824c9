"""∫ R² dμ."""

import torch

from training.functionals.base import Functional, SampledGeometry


class TotalSquaredCurvature(Functional):
    """∫ R² dμ, dμ = √det g dz, in units of L^{d−4}; on encoded data ∫ R² dm, of L^{−4}.

    Args:
        scale_free: times Vol^{4/d − 1}, or on encoded data Vol^{4/d}, Vol = ∫ dμ: without units,
            and inflating g does not lower it.
    """

    def __init__(self, scale_free: bool = False) -> None:
        super().__init__()
        self.scale_free = scale_free

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        scalar = on.geometry.scalar
        squared = on.integral(scalar.square())
        if not self.scale_free:
            return squared
        return squared / on.total_measure() * on.volume() ** (4 / on.dimension)
