"""All tensors of one jet, by one of the two formulas, each computed once when asked for."""

from curvcore import arithmetic, intrinsic, metrics, riemann
from curvcore.caching import cached_quantity
from curvcore.errors import InputError


class Formulas:
    """The tensors of :mod:`curvcore.metrics`, ``riemann`` and ``intrinsic``, wired together.

    Works on any kind of number, in whatever coordinates the jet is in. It knows neither frames nor
    degenerate points: that is :class:`curvcore.geometry.PullbackGeometry`.
    """

    def __init__(self, jet, formula):
        self.jet = jet
        self.formula = formula
        self.device_type = jet.device_type

    @cached_quantity
    def metric(self):
        """g_ij."""
        return metrics.metric(self.jet.jacobian)

    @cached_quantity
    def inverse_metric(self):
        """g^{ij}."""
        return arithmetic.inverse(self.metric)

    @cached_quantity
    def volume_density(self):
        """√det g."""
        return metrics.volume_density(self.metric)

    @cached_quantity
    def christoffel(self):
        """Γ^k_ij, from ⟨Ψ_k, Ψ_ij⟩ (gauss) or from ∂g (intrinsic)."""
        if self.formula == "gauss":
            first_kind = self._first_products
        else:
            first_kind = metrics.christoffel_first_kind(self._metric_derivative)
        return metrics.christoffel(self.inverse_metric, first_kind)

    @cached_quantity
    def second_fundamental_form(self):
        """II_ij."""
        return riemann.second_fundamental_form(
            self.jet.jacobian, self.derivative(2), self.christoffel
        )

    @cached_quantity
    def mean_curvature(self):
        """H."""
        return riemann.mean_curvature(self.inverse_metric, self.second_fundamental_form)

    @cached_quantity
    def riemann(self):
        """R_ijkl."""
        if self.formula == "gauss":
            return riemann.riemann(riemann.normal_products(self.second_fundamental_form))
        derivative = intrinsic.christoffel_derivative(
            self.inverse_metric,
            self._metric_derivative,
            self._metric_second_derivative,
            self.christoffel,
        )
        mixed = intrinsic.riemann_mixed(self.christoffel, derivative)
        return intrinsic.riemann(self.metric, mixed)

    @cached_quantity
    def ricci(self):
        """Ric_jl."""
        return riemann.ricci(self.inverse_metric, self.riemann)

    @cached_quantity
    def scalar(self):
        """R."""
        return riemann.scalar(self.inverse_metric, self.ricci)

    def derivative(self, order):
        """The jet's derivative of the given order; InputError where it holds none."""
        if self.jet.order < order:
            raise InputError(
                f"This quantity needs derivatives of order {order} (formula={self.formula!r}); "
                f"the jet holds order {self.jet.order}. Ask for curvcore.jet(..., order={order})."
            )
        return self.jet.arrays()[order]

    @cached_quantity
    def _first_products(self):
        return metrics.first_products(self.jet.jacobian, self.derivative(2))

    @cached_quantity
    def _metric_derivative(self):
        return metrics.metric_derivative(self._first_products)

    @cached_quantity
    def _metric_second_derivative(self):
        third = metrics.third_products(self.jet.jacobian, self.derivative(3))
        return metrics.metric_second_derivative(metrics.second_products(self.jet.hessian), third)
