"""PullbackGeometry: every curvature quantity of one jet, each computed once, when asked for."""

from functools import cached_property, wraps

import torch

from curvcore import intrinsic, metrics, riemann
from curvcore.arithmetic import condition_number, einsum, inverse
from curvcore.errors import DegenerateMetricError, InputError
from curvcore.jets import Jet
from curvcore.validation import check_choice

FORMULAS = ("gauss", "intrinsic")
ON_DEGENERATE = ("raise", "nan")


def _margin(dtype):
    """100 eps: a matrix of condition number 1/(100 eps) loses all but two digits when inverted."""
    return 100 * torch.finfo(dtype).eps


def _quantity(compute):
    """A property computed once, at full precision even where autocast is on."""

    @wraps(compute)
    def at_full_precision(self):
        with torch.autocast(self._device_type, enabled=False):
            return compute(self)

    return cached_property(at_full_precision)


class PullbackGeometry:
    """The geometry of g = ∇Ψᵀ∇Ψ at the points of a jet of Ψ: R^d → R^D.

    Shapes below are for B points; a symbolic geometry has the same tensors without the batch axis,
    as numpy object arrays, and ``scalar`` is a bare expression. Signs and index orders are those
    of :mod:`curvcore`.

    Args:
        jet: derivatives of Ψ, of order 2 at least, of order 3 for ``formula="intrinsic"``; order 1
            suffices for the metric, its inverse and the volume.
        formula: ``"gauss"`` computes Γ and Riemann by the Gauss equation from ∇Ψ and ∇²Ψ,
            ``"intrinsic"`` from g, ∂g and ∂²g, hence ∇³Ψ.
        on_degenerate: what points get at which the metric is degenerate to working precision
            (condition number above 0.01/eps): ``"raise"`` a DegenerateMetricError once a quantity
            needs g⁻¹, or ``"nan"``: NaN in every such quantity, and no gradient. ``value``,
            ``jacobian``, ``hessian``, ``metric`` and ``condition_number`` exist at every point.

    Raises:
        InputError: the jet's order is too low, or an option is unknown.
    """

    def __init__(self, jet, *, formula="gauss", on_degenerate="raise"):
        check_choice("formula", formula, FORMULAS)
        check_choice("on_degenerate", on_degenerate, ON_DEGENERATE)
        self.jet = jet
        self.formula = formula
        self._on_degenerate = on_degenerate
        symbolic = not isinstance(jet.value, torch.Tensor)
        self._device_type = "cpu" if symbolic else jet.value.device.type
        self._is_symbolic = symbolic

    def __repr__(self):
        batch = "symbolic" if self._is_symbolic else f"points={len(self.jet.value)}"
        return (
            f"PullbackGeometry({batch}, d={self.jet.dimension}, D={self.jet.ambient_dimension}, "
            f"formula={self.formula!r})"
        )

    # --- the jet --------------------------------------------------------------------------------

    @property
    def value(self):
        """Ψ(z), flattened: (B, D)."""
        return self.jet.value

    @property
    def jacobian(self):
        """∂_i Ψ^a: (B, D, d)."""
        return self.jet.jacobian

    @property
    def hessian(self):
        """∂_i ∂_j Ψ^a: (B, D, d, d)."""
        return self._derivative(self.jet, 2)

    # --- first order: metric and volume ---------------------------------------------------------

    @_quantity
    def metric(self):
        """The pullback metric g_ij = ⟨∂_iΨ, ∂_jΨ⟩: (B, d, d)."""
        return metrics.metric(self.jacobian)

    @_quantity
    def condition_number(self):
        """Condition number of g after scaling each coordinate to unit length: (B,).

        Of C_ij = g_ij / √(g_ii g_jj), in the Frobenius norm: ‖C‖‖C⁻¹‖/d. It bounds the digits lost
        in g⁻¹, and does not change when a latent coordinate is rescaled. Infinite where g is
        singular or not finite. Not differentiable.
        """
        return condition_number(self.metric)

    @_quantity
    def inverse_metric(self):
        """g^{ij}: (B, d, d)."""
        return inverse(self._regular_metric)

    @_quantity
    def volume_density(self):
        """√det g, the density of the Riemannian volume dμ = √det g dz: (B,)."""
        return metrics.volume_density(self._regular_metric)

    # --- connection and extrinsic curvature -----------------------------------------------------

    @_quantity
    def christoffel(self):
        """Γ^k_ij of the Levi-Civita connection, index order k, i, j: (B, d, d, d)."""
        if self.formula == "gauss":
            first_kind = self._first_products
        else:
            first_kind = metrics.christoffel_first_kind(self._metric_derivative)
        return metrics.christoffel(self.inverse_metric, first_kind)

    @_quantity
    def second_fundamental_form(self):
        """II_ij, the normal part of ∂_i∂_jΨ: (B, D, d, d)."""
        jet = self._regular_jet
        return riemann.second_fundamental_form(
            jet.jacobian, self._derivative(jet, 2), self.christoffel
        )

    @_quantity
    def mean_curvature(self):
        """The mean curvature vector H = g^{ij} II_ij, not divided by d: (B, D)."""
        return riemann.mean_curvature(self.inverse_metric, self.second_fundamental_form)

    # --- intrinsic curvature --------------------------------------------------------------------

    @_quantity
    def riemann(self):
        """The Riemann tensor R_ijkl = ⟨II_ik, II_jl⟩ − ⟨II_il, II_jk⟩: (B, d, d, d, d)."""
        if self.formula == "gauss":
            return riemann.riemann(riemann.normal_products(self.second_fundamental_form))
        derivative = intrinsic.christoffel_derivative(
            self.inverse_metric,
            self._metric_derivative,
            self._metric_second_derivative,
            self.christoffel,
        )
        mixed = intrinsic.riemann_mixed(self.christoffel, derivative)
        return intrinsic.riemann(self._regular_metric, mixed)

    @_quantity
    def ricci(self):
        """The Ricci tensor Ric_jl = g^{ik} R_ijkl: (B, d, d)."""
        return riemann.ricci(self.inverse_metric, self.riemann)

    @_quantity
    def scalar(self):
        """The scalar curvature R = g^{jl} Ric_jl, in units of 1/[Ψ]²: (B,). R = 2K if d = 2."""
        return riemann.scalar(self.inverse_metric, self.ricci)

    def sectional(self, u, v):
        """Sectional curvature K(u, v) of the plane of tangent vectors u, v: (B, d) or (d,) -> (B,).

        K = R_ijkl u^i v^j u^k v^l / (|u|²|v|² − ⟨u, v⟩²), and NaN where u and v are parallel to
        working precision.
        """
        if self.jet.dimension < 2:
            raise InputError("Sectional curvature needs a plane: d ≥ 2; this latent space has d=1.")
        u, v = self._tangent("u", u, 1), self._tangent("v", v, 1)
        curvature = riemann.sectional(self.riemann, self._regular_metric, u, v)
        if self._is_symbolic:
            return curvature
        sine_squared = riemann.sine_squared(self._regular_metric, u, v)
        return torch.where(sine_squared > _margin(sine_squared.dtype), curvature, torch.nan)

    # --- functions on latent space --------------------------------------------------------------

    def gradient_norm_squared(self, df):
        """|∇f|²_g = g^{ij} ∂_i f ∂_j f, from the coordinate derivatives ∂f (B, d): (B,)."""
        df = self._tangent("df", df, 1)
        return einsum("...ij,...i,...j->...", self.inverse_metric, df, df)

    def covariant_hessian(self, df, d2f):
        """∇_i∇_j f = ∂_i∂_j f − Γ^k_ij ∂_k f, from ∂f (B, d) and ∂²f (B, d, d): (B, d, d)."""
        df, d2f = self._tangent("df", df, 1), self._tangent("d2f", d2f, 2)
        return d2f - einsum("...kij,...k->...ij", self.christoffel, df)

    def laplacian(self, df, d2f):
        """Δf = g^{ij} ∇_i∇_j f, the Laplace–Beltrami operator, from ∂f and ∂²f: (B,)."""
        return einsum("...ij,...ij->...", self.inverse_metric, self.covariant_hessian(df, d2f))

    # --- shared intermediate results ------------------------------------------------------------

    @_quantity
    def _regular_jet(self):
        """The jet where the metric is regular; elsewhere an error or NaN without gradient."""
        if self._is_symbolic:
            return self.jet
        degenerate = ~(self.condition_number < 1 / _margin(self.metric.dtype))
        if self._on_degenerate == "raise":
            if degenerate.any():
                points = degenerate.nonzero()[:, 0]
                raise DegenerateMetricError(points, self.condition_number[points])
            return self.jet
        return Jet(*(_nan_where(degenerate, array) for array in self.jet.arrays()))

    @_quantity
    def _regular_metric(self):
        if self._regular_jet is self.jet:
            return self.metric
        return metrics.metric(self._regular_jet.jacobian)

    @_quantity
    def _first_products(self):
        jet = self._regular_jet
        return metrics.first_products(jet.jacobian, self._derivative(jet, 2))

    @_quantity
    def _metric_derivative(self):
        return metrics.metric_derivative(self._first_products)

    @_quantity
    def _metric_second_derivative(self):
        jet = self._regular_jet
        third = metrics.third_products(jet.jacobian, self._derivative(jet, 3))
        return metrics.metric_second_derivative(metrics.second_products(jet.hessian), third)

    def _derivative(self, jet, order):
        if jet.order < order:
            raise InputError(
                f"This quantity needs derivatives of order {order} (formula={self.formula!r}); "
                f"the jet holds order {jet.order}. Ask for curvcore.jet(..., order={order})."
            )
        return jet.arrays()[order]

    def _tangent(self, name, array, rank):
        d = self.jet.dimension
        if tuple(getattr(array, "shape", ()))[-rank:] != (d,) * rank:
            raise InputError(
                f"{name} must be {('(B, d)', '(B, d, d)')[rank - 1]} with d = {d}; "
                f"got {tuple(getattr(array, 'shape', ())) or type(array).__name__}."
            )
        return array


def _nan_where(mask, array):
    # where() passes no gradient to the points left out, so NaN cannot reach the parameters.
    return torch.where(mask.reshape(-1, *(1,) * (array.ndim - 1)), torch.nan, array)
