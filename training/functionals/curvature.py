"""∫ R² dμ."""

import torch

import curvcore
from training.errors import TrainingError
from training.functionals.base import Functional, SampledGeometry


class TotalSquaredCurvature(Functional):
    """∫ R² dμ, dμ = √det g dz, in units of L^{d−4}; on encoded data ∫ R² dm, of L^{−4}.

    Of the metric of random weights it may be so large that a large weight ruins the run: such terms
    start late (``Term.start``, ``Term.full``; figures in the study).

    Args:
        scale_free: times Vol^{4/d − 1}, or on encoded data Vol^{4/d}, Vol = ∫ dμ: without units,
            and inflating g does not lower it.
        estimator: of R² without bias, from four probes at least, in two independent pairs and more.

    Raises:
        TrainingError: an estimator with fewer probes.
    """

    def __init__(
        self, scale_free: bool = False, estimator: curvcore.Hutchinson | None = None
    ) -> None:
        super().__init__()
        if estimator is not None and estimator.probes < 4:
            raise TrainingError(
                "An estimate of R² without bias needs two independent pairs of probes: probes=4 "
                f"at least; got {estimator.probes}."
            )
        self.scale_free, self.estimator = scale_free, estimator

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        squared = on.integral(on.squared_scalar)
        if not self.scale_free:
            return squared
        return squared / on.total_measure() * on.volume() ** (4 / on.dimension)
