"""∫ R² dμ."""

from training.functionals.base import Functional


class TotalSquaredCurvature(Functional):
    """∫ R² dμ, dμ = √det g dz; in units of L^{d−4}.

    Args:
        scale_free: times Vol^{4/d − 1}, without units: inflating g does not lower it.
    """

    def __init__(self, scale_free: bool = False):
        super().__init__()
        self.scale_free = scale_free

    def evaluate(self, on):
        """A scalar tensor."""
        scalar = on.geometry.scalar
        squared = on.integral(scalar.square())
        if not self.scale_free:
            return squared
        return squared * on.sum(on.geometry.volume_density) ** (4 / on.dimension - 1)
