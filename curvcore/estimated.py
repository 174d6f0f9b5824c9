"""EstimatedGeometry: the metric at latent points exactly, R as an estimate, at any d."""

import torch

from curvcore.caching import cached_quantity, quantity
from curvcore.degenerate import filled, flat_metric
from curvcore.display import DisplayedGeometry, computed, kind_of
from curvcore.errors import InputError
from curvcore.hutchinson import ScalarEstimate, estimate_of, squared_covector
from curvcore.packing import count
from curvcore.validation import check_regular


class EstimatedGeometry(DisplayedGeometry):
    """The geometry of g = ∇Ψᵀ∇Ψ of which curvature is estimated: made by ``estimated_geometry``.

    What needs first derivatives is exact. Shapes, units and degenerate points as of
    :class:`PullbackGeometry`, for B points.
    """

    def __init__(self, along, points, estimator, on_degenerate):
        self.points, self.estimator = points, estimator
        self.device_type = points.device.type
        self._along, self._on_degenerate = along, on_degenerate
        self._components = estimator.draw(points)

    @staticmethod
    def rows(z, estimator):
        """How many vectors of derivatives there are at points z."""
        return len(z) * (z.shape[1] + estimator.probes + count(estimator.probes, 2))

    @cached_quantity
    def metric(self) -> torch.Tensor:
        """g_ij: (B, d, d)."""
        if self._on_degenerate == "flat":
            return flat_metric(self.is_degenerate, self._tangent.metric)
        return self._tangent.metric

    @property
    def condition_number(self) -> torch.Tensor:
        """Condition number of g in unit coordinates (B,), up to three times too small."""
        return self._tangent.condition_number

    @cached_quantity
    def is_degenerate(self) -> torch.Tensor:
        """Where the metric is degenerate to working precision, or a derivative not finite: (B,).

        Of second derivatives those along the probes are known.
        """
        return self._tangent.is_degenerate | ~self._second.detach().isfinite().all(2).all(1)

    @cached_quantity
    def inverse_metric(self) -> torch.Tensor:
        """g^{ij}: (B, d, d)."""
        frame = self._tangent.frame()
        return self._regular(frame @ frame.mT)

    @cached_quantity
    def log_volume_density(self) -> torch.Tensor:
        """log √det g: (B,)."""
        return self._regular(self._tangent.log_volume)

    @property
    def volume_density(self) -> torch.Tensor:
        """√det g: (B,)."""
        return self.log_volume_density.exp()

    @cached_quantity
    def log_volume_gradient(self) -> torch.Tensor:
        """∂_k log √det g = Γ^i_ik (B, d), by reverse mode; without gradients with respect to z."""
        with_gradient = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            z = self.points.detach().clone().requires_grad_()
            volume = self._along.tangent_spaces(z).log_volume.sum()
            gradient = torch.autograd.grad(volume, z, create_graph=with_gradient)[0]
        return self._regular(gradient, 0)

    @quantity
    def gradient_norm_squared(self, df: torch.Tensor) -> torch.Tensor:
        """|∇f|²_g = g^{ij} ∂_i f ∂_j f, from the coordinate derivatives ∂f (B, d): (B,)."""
        return self._regular((df[:, None] @ self._tangent.frame()).square().sum((1, 2)), 0)

    @quantity
    def log_volume_gradient_norm_squared(self, slope: torch.Tensor) -> torch.Tensor:
        """|∂ log √det g − s|²_g for covectors s (B, d), unbiased, from three probes at least: (B,).

        Costs little beside R, with whose probes u it is made: ∂_v log √det g = E⟨∂_uΨ, ∂_u∂_vΨ⟩.

        Raises:
            InputError: there are fewer probes.
        """
        k = self.estimator.probes
        if k < 3:
            raise InputError(f"|∂ log √det g|² needs three probes at least; got {k}.")
        first = self._directions.mT @ self._tangent.vectors
        of_frame = (slope[:, None] @ self._tangent.frame())[:, 0]
        of_probes = (slope[:, None] @ self._directions)[:, 0]
        found = squared_covector(first, self._second, of_probes, of_frame.square().sum(1))
        return self._regular(found, 0)

    @cached_quantity
    def estimate(self) -> ScalarEstimate:
        """R, its standard error, and R²: unbiased, from one draw of probes."""
        found = estimate_of(self._tangent.normal(self._second), self.estimator.probes)
        numbers = found.value, found.standard_error, found.square
        return ScalarEstimate(*(self._regular(n, 0) for n in numbers))

    @property
    def scalar(self) -> torch.Tensor:
        """R, unbiased: (B,)."""
        return self.estimate.value

    # --- how it shows itself ---------------------------------------------------------------------

    def _about(self):
        count, d = self.points.shape
        kind = ", ".join(kind_of(self.points))
        return {"points": str(count), "d": str(d), "": kind, "estimator": repr(self.estimator)}

    def _computed(self):
        found = super()._computed()
        if "estimate" in found:
            found["scalar"] = found["estimate"].value
        tangent = computed(self).get("_tangent")
        if tangent is not None and "condition_number" in computed(tangent):
            found["condition_number"] = computed(tangent)["condition_number"]
        return found

    # --- how it is computed ---------------------------------------------------------------------

    @cached_quantity
    def _tangent(self):
        return self._along.tangent_spaces(self.points)

    @cached_quantity
    def _directions(self):
        """The probes, (B, d, k)."""
        return self._tangent.directions(self._components)

    @cached_quantity
    def _second(self):
        """∂_u∂_vΨ of all pairs of probes, (B, k(k+1)/2, N)."""
        if len(self.points) == 0:
            vectors = self._tangent.vectors
            return vectors.new_zeros(0, count(self.estimator.probes, 2), vectors.shape[-1])
        return self._along.second(self.points, self._directions)

    def _regular(self, array, flat=None):
        """An array where the metric is regular; elsewhere an error, NaN, or ``flat``."""
        if self._on_degenerate == "raise":
            check_regular(self.is_degenerate, self.condition_number, self.points)
            return array
        if self._on_degenerate == "nan":
            return filled(self.is_degenerate, array, torch.nan)
        return array if flat is None else filled(self.is_degenerate, array, flat)
