"""Gauge terms: what curvature cannot see, the choice of coordinates on M."""

import torch

from training.functionals.base import Functional, SampledGeometry


class DeTurckGauge(Functional):
    """∫ |W|²_g dμ with W^k = g^{ij} Γ^k_ij, in units of L^{d−2}; of L^{−2} over dm.

    W is the Ricci–DeTurck vector field against the flat metric of latent coordinates: it vanishes
    where they are harmonic, Δz^k = −W^k. In two dimensions isothermal charts are. Reference:
    DeTurck, J. Differential Geom. 18 (1983).
    """

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        geometry = on.geometry
        field = torch.einsum("bij,bkij->bk", geometry.inverse_metric, geometry.christoffel)
        return on.integral(torch.einsum("bkl,bk,bl->b", geometry.metric, field, field))


class UniformVolume(Functional):
    """∫ |∇ log √det g|²_g dμ, in units of L^{d−2}; of L^{−2} over dm.

    Zero where √det g is constant.
    """

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor."""
        return on.integral(on.geometry.gradient_norm_squared(on.log_volume_gradient))
