"""PullbackGeometry: every curvature quantity of one jet, each computed once, when asked for."""

from typing import Any

import torch

from curvcore import kernels, metrics, riemann
from curvcore.arithmetic import (
    HALF_PRECISION,
    condition_number,
    determinant,
    einsum,
    log,
    of_order_one,
)
from curvcore.caching import cached_quantity, quantity
from curvcore.constants import identity
from curvcore.curved import CurvedFormulas
from curvcore.curved_rounding import error_of_curved
from curvcore.degenerate import (
    assert_regular,
    check_not_degenerate_everywhere,
    filled,
    flat_derivatives,
    flat_metric,
    plane_curvature,
    smallest_reciprocal_condition,
)
from curvcore.display import DisplayedGeometry
from curvcore.errors import InputError
from curvcore.formulas import Formulas, check_order
from curvcore.frame_sums import LARGEST_TABLE, FrameSums
from curvcore.frames import CoordinateFrame, Frame
from curvcore.jets import Derivatives, Jet
from curvcore.kernels.scalar import DIMENSIONS, ScalarCurvature
from curvcore.modes import is_plain_eager
from curvcore.projection import ProjectedFormulas
from curvcore.rounding import error_and_unit
from curvcore.second_pass import SecondPass
from curvcore.types import Formula, OnDegenerate, Points
from curvcore.validation import check_choice, check_has_planes, check_latent_array, check_regular

FORMULAS = ("gauss", "intrinsic")
ON_DEGENERATE = ("raise", "nan", "flat")


class PullbackGeometry(DisplayedGeometry):
    """The geometry of g = ∇Ψᵀ∇Ψ at the points of a jet of Ψ: R^d → R^D.

    Shapes below are for B points; a symbolic geometry has the same tensors without the batch axis,
    as numpy object arrays, and ``scalar`` is a bare expression, though type checkers are told of
    tensors. Signs and index orders are those of :mod:`curvcore`. On tensors the formulas run in an
    almost orthonormal frame at each point (:mod:`curvcore.frames`), so that ill-conditioned
    coordinates cost as few digits as possible.

    Args:
        jet: derivatives of Ψ, of order 2 at least, of order 3 for ``formula="intrinsic"``; order 1
            suffices for the metric, its inverse and the volume.
        formula: ``"gauss"`` computes Γ and Riemann by the Gauss equation from ∇Ψ and ∇²Ψ,
            ``"intrinsic"`` from g, ∂g and ∂²g, hence ∇³Ψ.
        on_degenerate: what points get at which the metric is degenerate to working precision
            (condition number above 0.01/eps) or a derivative is not finite: ``"raise"`` a
            DegenerateMetricError once a quantity needs g⁻¹; ``"nan"``: NaN in every such quantity,
            and no gradient, as far as the decoder's own derivatives are finite there; or
            ``"flat"``: likewise no gradient, g = I, and no curvature, for sums in which such points
            weigh nothing (``is_degenerate`` tells which). ``value``, ``jacobian``, ``hessian``,
            ``condition_number`` and, unless flat, ``metric`` are the decoder's own at every point.

    Raises:
        InputError: the jet's order is too low, or an option is unknown.
    """

    def __init__(
        self, jet: Jet, *, formula: Formula = "gauss", on_degenerate: OnDegenerate = "raise"
    ) -> None:
        check_choice("formula", formula, FORMULAS)
        check_choice("on_degenerate", on_degenerate, ON_DEGENERATE)
        self.formula = formula
        self.device_type = jet.device_type
        self._on_degenerate = on_degenerate
        self.jet = jet
        self._points = self._second_pass = None

    @classmethod
    def at(
        cls, points: Points, jet: Jet, second_pass: SecondPass | None = None, **options: Any
    ) -> "PullbackGeometry":
        """The geometry of a jet at latent points (B, d), which may turn out not to be finite."""
        geometry = cls(jet, **options)
        geometry._points = None if jet.is_symbolic else points.detach()
        geometry._second_pass = second_pass
        return geometry

    # --- the jet --------------------------------------------------------------------------------

    @property
    def value(self) -> torch.Tensor:
        """Ψ(z), flattened: (B, D)."""
        return self.jet.value

    @property
    def jacobian(self) -> torch.Tensor:
        """∂_i Ψ^a: (B, D, d)."""
        return self.jet.jacobian

    @property
    def hessian(self) -> torch.Tensor:
        """∂_i ∂_j Ψ^a: (B, D, d, d)."""
        check_order(self.jet, 2, self.formula)
        return self.jet.hessian

    # --- first order: metric and volume ---------------------------------------------------------

    @cached_quantity
    def metric(self) -> torch.Tensor:
        """The pullback metric g_ij = ⟨∂_iΨ, ∂_jΨ⟩: (B, d, d)."""
        if self._on_degenerate == "flat" and not self.jet.is_symbolic:
            return flat_metric(self.is_degenerate, self._own_metric)
        return self._own_metric

    @cached_quantity
    def condition_number(self) -> torch.Tensor:
        """Condition number of g after scaling each coordinate to unit length: (B,).

        The quotient of the extreme eigenvalues of C_ij = g_ij / √(g_ii g_jj): it tells the digits
        that curvature loses, and does not change when a latent coordinate is rescaled. Infinite
        where g is singular or not finite. Not differentiable. Where a kernel computes it for d > 2,
        it may come out up to 2 % too small.
        """
        if self.jet.is_symbolic:
            raise InputError("A symbolic metric has no condition number; substitute numbers first.")
        if self._by_kernel is not None:
            return self._by_kernel[1]
        with torch.no_grad():
            return condition_number(self._own_metric)

    @cached_quantity
    def inverse_metric(self) -> torch.Tensor:
        """g^{ij}: (B, d, d)."""
        if self._by_sums is not None:
            flat = identity(self.jet.dimension, self.metric.dtype, self.metric.device)
            return self._where_regular(self._by_sums.inverse_metric, flat)
        return self._frame.contravariant(self._in_frame.inverse_metric, 2)

    @cached_quantity
    def volume_density(self) -> torch.Tensor:
        """√det g, the density of the Riemannian volume dμ = √det g dz: (B,)."""
        if self._by_sums is not None:
            return self.log_volume_density.exp()
        return self._in_frame.volume_density * self._frame.volume_density

    @cached_quantity
    def log_volume_density(self) -> torch.Tensor:
        """log √det g, also where √det g leaves the range of the dtype: (B,)."""
        if self._by_sums is not None:
            return self._where_regular(self._by_sums.log_volume, 0)
        return log(self._in_frame.volume_density) + self._frame.log_volume_density

    # --- connection and extrinsic curvature -----------------------------------------------------

    @cached_quantity
    def christoffel(self) -> torch.Tensor:
        """Γ^k_ij of the Levi-Civita connection, index order k, i, j: (B, d, d, d)."""
        return self._frame.christoffel(self._in_frame.christoffel)

    @cached_quantity
    def second_fundamental_form(self) -> torch.Tensor:
        """II_ij, the normal part of ∂_i∂_jΨ: (B, D, d, d)."""
        return self._frame.covariant(self._extrinsic.second_fundamental_form, 2)

    @cached_quantity
    def mean_curvature(self) -> torch.Tensor:
        """The mean curvature vector H = g^{ij} II_ij, not divided by d: (B, D)."""
        return self._extrinsic.mean_curvature

    # --- intrinsic curvature --------------------------------------------------------------------

    @cached_quantity
    def riemann(self) -> torch.Tensor:
        """The Riemann tensor R_ijkl = ⟨II_ik, II_jl⟩ − ⟨II_il, II_jk⟩: (B, d, d, d, d)."""
        return self._frame.covariant(self._in_frame.riemann, 4)

    @cached_quantity
    def ricci(self) -> torch.Tensor:
        """The Ricci tensor Ric_jl = g^{ik} R_ijkl: (B, d, d)."""
        if self._by_sums is not None:
            return self._where_regular(self._by_sums.ricci, 0)
        return self._frame.covariant(self._in_frame.ricci, 2)

    @cached_quantity
    def scalar(self) -> torch.Tensor:
        """The scalar curvature R = g^{jl} Ric_jl, in units of 1/[Ψ]²: (B,). R = 2K if d = 2."""
        if self._by_kernel is not None:
            return self._where_regular(self._by_kernel[0], 0)
        if self._by_sums is not None:
            return self._where_regular(self._by_sums.scalar, 0)
        return self._in_frame.scalar

    @cached_quantity
    def scalar_error(self) -> torch.Tensor:
        """An estimate of |scalar − R|, what rounding did to R: (B,), not differentiable.

        From the condition of g, the cancellation in R, and a second pass through the decoder with
        other roundings (:mod:`curvcore.rounding`), as dear as R; no bound, but seldom ten times too
        small. Of a jet alone, and within torch.compile and torch.func, there is no such pass, and
        what cancels inside the decoder is not seen. NaN at degenerate points, infinite where a
        rounding leads out of Ψ's domain, and an InputError once parameters or z have changed.
        """
        error, unit = self._error
        return (error / unit / unit).to(self.metric.dtype)

    @cached_quantity
    def scalar_relative_error(self) -> torch.Tensor:
        """``scalar_error`` over |scalar|: (B,), not differentiable.

        Above 1 no digit of R is right: it may as well vanish. NaN at degenerate points and where R
        came out as 0 from nothing.
        """
        error, unit = self._error
        unitless = self.scalar.detach().double() * unit * unit
        return (error / unitless.abs()).to(self.metric.dtype)

    @cached_quantity
    def _error(self):
        """|δR| in some unit of length, and this: (B,) each."""
        if self.jet.is_symbolic:
            raise InputError("A symbolic scalar curvature is exact: it has no rounding error.")
        with torch.no_grad():
            scalar = filled(self.is_degenerate, self.scalar, torch.nan)  # an error, perhaps
            again = self._second_pass and self._second_pass.jet()
            if self.jet.is_curved:
                error, unit = error_of_curved(self.jet, again, self._frame, self.formula)
            else:
                in_frame = (self._in_frame if self._is_by_hand else None, self._frame)
                in_frame = in_frame if self._by_sums is None else (None, None)
                jets = self.jet, again, self._own_metric
                error, unit = error_and_unit(*jets, *in_frame, self.formula)
            error = filled(error.isnan(), error, torch.inf)  # of the second pass alone
            return filled(scalar.isnan(), error, torch.nan), unit

    @quantity
    def sectional(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Sectional curvature K(u, v) of the plane of tangent vectors u, v: (B, d) or (d,) -> (B,).

        K = R_ijkl u^i v^j u^k v^l / (|u|²|v|² − ⟨u, v⟩²), and NaN where u and v are parallel to
        working precision.
        """
        check_has_planes(self.jet.dimension)
        u, v = self._checked("u", u, 1), self._checked("v", v, 1)
        if self._by_sums is not None:
            return self._where_regular(self._by_sums.plane(u, v), 0)
        u, v = (of_order_one(self._frame.vector(vector)) for vector in (u, v))
        formulas, plane = self._in_frame, riemann.bivector(u, v)
        numerator = riemann.sectional_numerator(formulas.riemann, plane)
        area_squared = riemann.area_squared(formulas.metric, plane)
        if self.jet.is_symbolic:
            return numerator / area_squared
        lengths = u.square().sum(-1) * v.square().sum(-1)  # the frame is orthonormal
        return plane_curvature(numerator, area_squared, lengths)

    # --- functions on latent space --------------------------------------------------------------

    @quantity
    def gradient_norm_squared(self, df: torch.Tensor) -> torch.Tensor:
        """|∇f|²_g = g^{ij} ∂_i f ∂_j f, from the coordinate derivatives ∂f (B, d): (B,)."""
        df = self._checked("df", df, 1)
        return einsum("...ij,...i,...j->...", self.inverse_metric, df, df)

    @quantity
    def covariant_hessian(self, df: torch.Tensor, d2f: torch.Tensor) -> torch.Tensor:
        """∇_i∇_j f = ∂_i∂_j f − Γ^k_ij ∂_k f, from ∂f (B, d) and ∂²f (B, d, d): (B, d, d)."""
        df, d2f = self._checked("df", df, 1), self._checked("d2f", d2f, 2)
        return d2f - einsum("...kij,...k->...ij", self.christoffel, df)

    @quantity
    def laplacian(self, df: torch.Tensor, d2f: torch.Tensor) -> torch.Tensor:
        """Δf = g^{ij} ∇_i∇_j f, the Laplace–Beltrami operator, from ∂f and ∂²f: (B,)."""
        return einsum("...ij,...ij->...", self.inverse_metric, self.covariant_hessian(df, d2f))

    # --- how it is computed ---------------------------------------------------------------------

    @cached_quantity
    def _derivatives(self):
        """What intrinsic geometry is computed from, in latent coordinates."""
        return self.jet.isometric_derivatives()

    @cached_quantity
    def _own_metric(self):
        """g, degenerate or not."""
        return metrics.metric(self._derivatives.jacobian)

    @cached_quantity
    def _in_frame(self):
        """The formulas in the frame; at degenerate points an error, NaN, or flat ones."""
        if not self._is_by_hand:
            return self._formulas(self._derivatives)
        if self._on_degenerate == "raise":
            self._refuse_degeneracy()
            return ProjectedFormulas(self._channels, self._frame)
        is_flat = self._on_degenerate == "flat"
        return ProjectedFormulas(self._channels, self._frame, self.is_degenerate, is_flat)

    @cached_quantity
    def _extrinsic(self):
        """The same in the ambient space itself."""
        return self._formulas(self.jet.derivatives())

    def _formulas(self, derivatives):
        of_frame = self._frame.derivatives(self._regular(derivatives)), self.formula
        if not self.jet.is_curved:
            return Formulas(*of_frame)
        return CurvedFormulas(*of_frame, self.jet, self._frame, self._filled_flat)

    def _filled_flat(self, tensor):
        return tensor if self.jet.is_symbolic else self._where_regular(tensor, 0)

    @cached_quantity
    def _frame(self):
        return CoordinateFrame() if self.jet.is_symbolic else Frame.of(self.metric)

    def _regular(self, derivatives):
        """They where the metric is regular; elsewhere an error, NaN, or flat ones."""
        if self.jet.is_symbolic:
            check_not_degenerate_everywhere(determinant(self.metric))
            return derivatives
        if self._on_degenerate == "flat":
            return flat_derivatives(self.is_degenerate, derivatives)
        return derivatives.map(self._where_regular)

    def _where_regular(self, array, flat=None):
        """An array (B, ...) where the metric is regular; elsewhere an error, NaN, or ``flat``."""
        if self._on_degenerate == "raise":
            self._refuse_degeneracy()
            return array
        fill = flat if self._on_degenerate == "flat" else torch.nan
        return filled(self.is_degenerate, array, fill)

    def _refuse_degeneracy(self):
        """Raise at degenerate points: the one place where the host waits for the device."""
        if torch.compiler.is_compiling():
            assert_regular(self.is_degenerate)
        elif not self._is_known_regular:
            check_regular(self.is_degenerate, self.condition_number, self._points, self.jet.value)

    @cached_quantity
    def _is_known_regular(self):
        return not self.is_degenerate.any()

    # --- by hand, and by kernel -----------------------------------------------------------------

    @property
    def _is_by_hand(self):
        """Whether derivatives go by hand, by the Gauss equation."""
        is_gauss = self.formula == "gauss" and not self.jet.is_symbolic and not self.jet.is_curved
        return is_gauss and self._derivatives.order == 2 and is_plain_eager()

    @cached_quantity
    def _by_kernel(self):
        """R, degenerate points included, and the condition number of g, by a kernel; or None."""
        d = self.jet.dimension
        served = self._is_by_hand and d in DIMENSIONS and kernels.serve(self._derivatives.jacobian)
        if not served:
            return None
        arguments = self._channels, d, self._scalar_of_channels
        return kernels.attempt(f"R at d = {d}", ScalarCurvature.apply, *arguments)

    @cached_quantity
    def _by_sums(self):
        """FrameSums, where d is large; at degenerate points those of a plane."""
        is_half = self._derivatives.jacobian.dtype in HALF_PRECISION  # there is no frame
        if not self._is_by_hand or is_half or self.jet.dimension <= LARGEST_TABLE:
            return None
        if self._on_degenerate == "raise":
            self._refuse_degeneracy()
            return FrameSums(self._derivatives)
        return FrameSums(flat_derivatives(self.is_degenerate, self._derivatives))

    def _scalar_of_channels(self, channels):
        """R from channels (K, B, N), by the formulas."""
        d = self.jet.dimension
        first, second = channels.permute(1, 2, 0).split([d, len(channels) - d], -1)
        return self._formulas(Derivatives(first, second)).scalar

    @cached_quantity
    def _channels(self):
        """The derivatives, packed, as one tensor (K, B, N)."""
        return self._derivatives.stacked()

    @cached_quantity
    def is_degenerate(self) -> torch.Tensor:
        """Where the metric is degenerate to working precision, or a derivative not finite: (B,)."""
        ambient_dimension = self._derivatives.ambient_dimension
        smallest = smallest_reciprocal_condition(self._own_metric.dtype, ambient_dimension)
        return ~(self.jet.is_finite() & (self.condition_number < 1 / smallest))

    def _checked(self, name, array, rank):
        count = None if self.jet.is_symbolic else len(self.metric)
        return check_latent_array(name, array, rank, self.jet.dimension, count)
