"""All tensors of one jet, by one of the two formulas, each computed once when asked for."""

from curvcore import arithmetic, intrinsic, metrics, riemann
from curvcore.caching import cached_quantity
from curvcore.errors import InputError
from curvcore.packing import unpack


class Formulas:
    """The tensors of :mod:`curvcore.metrics`, ``riemann`` and ``intrinsic``, wired together.

    Works on any kind of number, in whatever coordinates the derivatives are in. It knows neither
    frames nor degenerate points: that is :class:`curvcore.geometry.PullbackGeometry`. The gauss
    formula up to ⟨II_ij, II_kl⟩ runs on the distinct pairs ij alone: the formulas are the same,
    with an index p for i and an axis of length one for j.
    """

    def __init__(self, derivatives, formula):
        self.derivatives = derivatives
        self.formula = formula
        self.device_type = derivatives.device_type

    @cached_quantity
    def metric(self):
        """g_ij."""
        return metrics.metric(self.derivatives.jacobian)

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
            return self._unpacked(self._christoffel_of_pairs)
        first_kind = metrics.christoffel_first_kind(self._metric_derivative)
        return metrics.christoffel(self.inverse_metric, first_kind)

    @cached_quantity
    def second_fundamental_form(self):
        """II_ij."""
        if self.formula == "gauss":
            return self._unpacked(self._form_of_pairs)
        return riemann.second_fundamental_form(
            self.derivatives.jacobian, self._full(2), self.christoffel
        )

    @cached_quantity
    def mean_curvature(self):
        """H."""
        return riemann.mean_curvature(self.inverse_metric, self.second_fundamental_form)

    @cached_quantity
    def riemann(self):
        """R_ijkl."""
        if self.formula == "gauss":
            return riemann.riemann(self._normal_products)
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
        if self.formula == "gauss":
            return riemann.scalar_of_pairs(self.inverse_metric, self.products_of_pairs)
        return riemann.scalar(self.inverse_metric, self.ricci)

    # --- gauss: on pairs ------------------------------------------------------------------------

    @property
    def christoffel_of_pairs(self):
        """Γ^k_p, index order k, p."""
        return self._christoffel_of_pairs[..., 0]

    @property
    def products_of_pairs(self):
        """S_pq = ⟨II_p, II_q⟩."""
        return self._products_of_pairs[..., 0, :, 0]

    @cached_quantity
    def _pairs(self):
        """Ψ_p, index order a, p, 1."""
        check_order(self.derivatives, 2, self.formula)
        return self.derivatives.second[..., None]

    @cached_quantity
    def _christoffel_of_pairs(self):
        first_kind = metrics.first_products(self.derivatives.jacobian, self._pairs)
        return metrics.christoffel(self.inverse_metric, first_kind)

    @cached_quantity
    def _form_of_pairs(self):
        return riemann.second_fundamental_form(
            self.derivatives.jacobian, self._pairs, self._christoffel_of_pairs
        )

    @cached_quantity
    def _products_of_pairs(self):
        """S_pq = ⟨II_p, II_q⟩, index order p, 1, q, 1."""
        return riemann.normal_products(self._form_of_pairs)

    @cached_quantity
    def _normal_products(self):
        """S_ij,kl; as S_ij,kl = S_kl,ij, the axes may be unpacked in any order."""
        half = self._unpacked(self._products_of_pairs)
        return self._unpacked(arithmetic.einsum("...pqkl->...klpq", half))

    def _unpacked(self, of_pairs):
        """The last two axes, a pair p and 1, as i, j."""
        return unpack(of_pairs[..., 0], self.metric.shape[-1], 2)

    # --- intrinsic ------------------------------------------------------------------------------

    @cached_quantity
    def _metric_derivative(self):
        return metrics.metric_derivative(self._first_products)

    @cached_quantity
    def _first_products(self):
        return metrics.first_products(self.derivatives.jacobian, self._full(2))

    @cached_quantity
    def _metric_second_derivative(self):
        third = metrics.third_products(self.derivatives.jacobian, self._full(3))
        return metrics.metric_second_derivative(metrics.second_products(self._full(2)), third)

    def _full(self, order):
        check_order(self.derivatives, order, self.formula)
        return self.derivatives.full(order)


def check_order(jet, order, formula):
    """Raise InputError unless the jet, or its derivatives, are of that order."""
    if jet.order < order:
        raise InputError(
            f"This quantity needs derivatives of order {order} (formula={formula!r}); the jet "
            f"holds order {jet.order}. Ask for curvcore.jet(..., order={order})."
        )
