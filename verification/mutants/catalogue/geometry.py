"""Mutations of what users hold (public functions, PullbackGeometry, geodesics), and below it."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
DEGENERATE = f"{T}/test_degenerate.py"
GEODESICS = f"{T}/test_geodesics.py"

CACHING = mutations(
    "caching.py",
    f"{T}/test_never_silently_wrong.py::test_looking_without_gradient_does_not_change_the_gradient",
    (
        "for with_gradient in (True, torch.is_grad_enabled()):",
        "for with_gradient in (True, False):",
        "what was computed under no_grad is used with gradients",
        "check gradients",
    ),
    (
        "cache[self._name, torch.is_grad_enabled()] = result",
        "cache[self._name, True] = result",
        "what was computed under no_grad is kept as if with gradients",
    ),
    (
        "with torch.autocast(device_type, enabled=False):",
        "with torch.autocast(device_type, enabled=True):",
        "quantities asked for later are computed in half precision",
        f"{T}/test_precision.py::test_quantities_asked_for_later_under_autocast",
    ),
)

JETS = mutations(
    "jets.py",
    DEGENERATE,
    (
        "return torch.isfinite(torch.stack([total(array, 1) for array in arrays])).all(0)",
        "return torch.isfinite(torch.stack([total(array, 1) for array in arrays])).any(0)",
        "points are finite where one of their derivatives is",
    ),
    (
        "dtype=torch.float32 if half else array.dtype)",
        "dtype=array.dtype)",
        "sums of finite half-precision numbers overflow: regular points become degenerate",
        DEGENERATE,
    ),
    (
        "arrays = zip(*(jet.arrays() for jet in jets), strict=True)",
        "arrays = zip(*(jet.arrays() for jet in reversed(jets)), strict=True)",
        "chunks are joined in the reverse order",
        f"{T}/test_batching.py",
    ),
)

API = mutations(
    "api.py",
    f"{T}/test_batching.py",
    (
        "        check_regular(is_degenerate, condition, z)",
        "        pass",
        "degenerate points of chunks are no error",
        f"{DEGENERATE}::test_indices_count_through_the_chunks",
    ),
    (
        "return [(of_rows(decoder, rows), z[rows]) for rows in slices]",
        "return [(of_rows(decoder, rows), z[rows].detach()) for rows in slices]",
        "R in chunks has no gradient",
        "check gradients",
    ),
    (
        'return 3 if formula == "intrinsic" else 2',
        "return 3",
        "the Gauss formula asks for third derivatives: slower, equally right",
        f"{T}/test_geometry.py::test_short_cuts_agree_with_the_geometry",
    ),
    (
        "with torch.autocast(z.device.type, enabled=False):",
        "with torch.autocast(z.device.type, enabled=True):",
        "derivatives are taken in half precision",
        f"{T}/test_precision.py::test_ambient_autocast_changes_nothing",
    ),
)

IN_PLACE_OF_DEGENERATE = mutations(
    "degenerate.py",
    DEGENERATE,
    (
        "return min(max(100, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1 / 8)",
        "return min(max(1e-4, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1 / 8)",
        "metrics of which no digit is left count as regular",
    ),
    (
        "return min(max(100, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1 / 8)",
        "return min(max(100, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1)",
        "half precision has no regular points",
    ),
    (
        "return min(max(100, ambient_dimension**0.5) * torch.finfo(dtype).eps, 1 / 8)",
        "return min(max(100, ambient_dimension) * torch.finfo(dtype).eps, 1 / 8)",
        "decoders of many outputs have no regular points",
    ),
    (
        "array.ndim - 1)), fill, array)",
        "array.ndim - 1)), fill + 0 * array, array)",
        "NaN of masked points reaches the gradient",
    ),
    (
        "plane.diagonal().fill_(1)",
        "pass",
        "what is flat has no metric",
    ),
    (
        "return filled(mask, metric, identity(metric.shape[-1], metric.dtype, metric.device))",
        "return metric",
        "the metric of flat points is what it was",
    ),
    (
        "*(filled(mask, x, 0) for x in higher)",
        "*higher",
        "flat points are curved",
    ),
    (
        "numerator / torch.where(parallel, 1, area_squared)",
        "numerator / area_squared",
        "a plane without direction spoils the gradient of others",
        f"{T}/test_never_silently_wrong.py",
    ),
    (
        "parallel = ~(area_squared > torch.finfo(lengths.dtype).eps ** 2 * 100 * lengths)",
        "parallel = ~(area_squared > 0 * lengths)",
        "parallel vectors span a plane, by rounding",
        f"{T}/test_geometry.py::test_parallel_vectors_span_no_plane",
    ),
)


GEOMETRY = mutations(
    "geometry.py",
    DEGENERATE,
    (
        "return ~(self.jet.is_finite() & (self.condition_number < 1 / smallest))",
        "return ~(self.condition_number < 1 / smallest)",
        "points whose Hessian or value is not finite are regular",
    ),
    (
        "return ~(self.jet.is_finite() & (self.condition_number < 1 / smallest))",
        "return self.condition_number > 1 / smallest",
        "points of κ = NaN are regular",
    ),
    (
        "return self._in_frame.volume_density * self._frame.volume_density",
        "return self._in_frame.volume_density.detach() * self._frame.volume_density",
        "√det g has no gradient",
        "check gradients",
    ),
    (
        "return self._frame.contravariant(self._in_frame.inverse_metric, 2)",
        "return self._frame.covariant(self._in_frame.inverse_metric, 2)",
        "g^ij is g_ij",
        f"{T}/test_closed_forms.py",
    ),
    (
        "return self._frame.christoffel(self._in_frame.christoffel)",
        "return self._frame.christoffel(self._in_frame.christoffel.detach())",
        "Γ has no gradient",
        "check gradients",
    ),
    (
        "return self._extrinsic.mean_curvature",
        "return self._extrinsic.mean_curvature.detach()",
        "H has no gradient",
        "check gradients",
    ),
    (
        "return self._frame.covariant(self._in_frame.riemann, 4)",
        "return self._frame.covariant(self._in_frame.riemann, 3)",
        "R_ijkl has an index in the frame",
        f"{T}/test_closed_forms.py",
    ),
    (
        "return self._frame.covariant(self._in_frame.ricci, 2)",
        "return self._frame.covariant(self._in_frame.ricci.detach(), 2)",
        "Ric has no gradient",
        "check gradients",
    ),
    (
        'return d2f - einsum("...kij,...k->...ij", self.christoffel, df)',
        'return d2f + einsum("...kij,...k->...ij", self.christoffel, df)',
        "∇∇f adds Γ ∂f",
        f"{T}/test_closed_forms.py",
    ),
    (
        'return einsum("...ij,...i,...j->...", self.inverse_metric, df, df)',
        'return einsum("...ij,...i,...j->...", self.metric, df, df)',
        "|∇f|² is taken with g_ij",
        f"{T}/test_closed_forms.py",
    ),
    (
        "return self._formulas(self.jet.derivatives())",
        "return self._formulas(self.jet.derivatives().map(torch.Tensor.detach))",
        "II and H have no gradient behind a last linear layer",
        "check gradients",
    ),
)

ENERGY = mutations(
    "discrete_energy.py",
    GEODESICS,
    (
        "bend = -steps.diff(dim=1)",
        "bend = steps.diff(dim=1)",
        "∂f/∂z has the wrong sign",
    ),
    (
        'coupling = torch.einsum("bkai,bkaj->bkij", first[:, :-1], first[:, 1:])',
        'coupling = torch.einsum("bkai,bkaj->bkij", first[:, :-1], first[:, :-1])',
        "neighbours of the Hessian are coupled as if equal: slower convergence",
        f"{T}/test_geodesics_convergence.py::test_convergence_is_quadratic",
    ),
    (
        "diagonal = 2 * (1 + damping) * self.metric + self.bending",
        "diagonal = 2 * (1 + damping) * self.metric",
        "the Hessian is that of Gauss and Newton: slower convergence",
        f"{T}/test_geodesics_convergence.py::test_convergence_is_quadratic",
    ),
    (
        "energy=steps.square().sum((1, 2)) / 2",
        "energy=steps.norm(dim=2).sum(1) / 2",
        "length is minimised where energy is due",
    ),
    (
        "errors = ROUNDINGS * torch.finfo(value.dtype).eps * (sizes[:, 1:] + sizes[:, :-1])",
        "errors = 0 * torch.finfo(value.dtype).eps * (sizes[:, 1:] + sizes[:, :-1])",
        "no curve ever converges",
    ),
    (
        'mixed = at.product(1, inner, before - after, "j,i,->ij") / 2',
        'mixed = at.product(1, inner, after - before, "j,i,->ij") / 2',
        "the Hessian in an ambient metric has a wrong sign",
        f"{T}/test_ambient_geodesics.py::test_derivatives_of_the_energy",
    ),
    (
        'gradient = gradient + at.product(1, step, step, "i,,->i") / 4',
        'gradient = gradient + at.product(1, step, step, "i,,->i") / 2',
        "∂f/∂z in an ambient metric has a wrong factor",
        f"{T}/test_ambient_geodesics.py::test_derivatives_of_the_energy",
    ),
    (
        "twisting=twisting / 2",
        "twisting=0 * twisting",
        "neighbours are coupled as if G were constant",
        f"{T}/test_ambient_geodesics.py::test_derivatives_of_the_energy",
    ),
)

GEODESIC = mutations(
    "geodesics.py",
    GEODESICS,
    (
        "done = promised <= model.rounding",
        "done = promised <= 1e6 * model.rounding",
        "curves count as converged too early",
    ),
    (
        "accepted = (trial.energy < limit) & trial.is_finite()",
        "accepted = trial.is_finite()",
        "steps uphill are taken",
        f"{T}/test_geodesics_convergence.py",
    ),
    (
        "lower, y = columns[..., :-1].mT, columns[..., -1:]",
        "lower, y = columns[..., :-1], columns[..., -1:]",
        "the block Cholesky factor is not transposed",
    ),
    (
        "return F.threshold(damping / 10, FIRST_DAMPING / 1000, 0)",
        "return damping / 10",
        "damping never ends: the last steps are not Newton's",
        f"{T}/test_geodesics.py",
    ),
    (
        "tolerance = 16 * torch.finfo(path.dtype).eps * straight[:, ends].abs().amax((1, 2))",
        "tolerance = 1e6 * torch.finfo(path.dtype).eps * straight[:, ends].abs().amax((1, 2))",
        "a path may begin away from its start",
        f"{T}/test_geodesics_input.py",
    ),
)

PROJECTION = mutations(
    "projection.py",
    f"{T}/test_projection.py",
    (
        "form = torch.baddbmm(h, christoffel.mT, e, alpha=-1)",
        "form = h",
        "II_ij keeps the tangential part of ∂_i∂_jΨ",
    ),
    (
        "along = along - inverse_metric @ of_inverse @ inverse_metric",
        "along = along + inverse_metric @ of_inverse @ inverse_metric",
        "g⁻¹ has the gradient of −g⁻¹",
    ),
    (
        "along, raised = along + along.mT, torch.zeros_like(christoffel)",
        "along, raised = 2 * along, torch.zeros_like(christoffel)",
        "the gradient of g is not made symmetric",
    ),
    (
        "along = torch.baddbmm(along, christoffel, raised.mT, alpha=-1)",
        "pass",
        "Γ has no gradient by way of g⁻¹",
    ),
    (
        "of_products = of_products + of_products.mT",
        "of_products = 2 * of_products",
        "the gradient of ⟨II_p, II_q⟩ is not made symmetric",
    ),
    (
        "across = torch.baddbmm(raised, christoffel, of_products, alpha=-1)",
        "across = raised",
        "∂_iΨ gets no gradient from II",
    ),
    (
        "gradient.masked_fill_(left_out[:, None], 0)",
        "pass",
        "points left out pass on NaN",
    ),
    (
        "derivatives = derivatives.map(lambda array: filled(left_out, array, torch.nan))",
        "pass",
        "points left out pass on NaN to what is differentiated again",
    ),
    (
        "derivatives = flat_derivatives(left_out, derivatives)",
        "pass",
        "flat points pass on NaN to what is differentiated again",
    ),
    (
        "fills = (one, one, 0, 0) if flat else (torch.nan,) * 4",
        "fills = (torch.nan,) * 4",
        "flat points are NaN",
    ),
)

MUTATIONS = [
    *CACHING,
    *JETS,
    *API,
    *IN_PLACE_OF_DEGENERATE,
    *GEOMETRY,
    *PROJECTION,
    *ENERGY,
    *GEODESIC,
]
