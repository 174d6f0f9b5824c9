"""Wrong lines in exponential maps, logarithms and transport."""

from verification.mutants.mutation import mutations

MAPS = mutations(
    "maps.py",
    "tests/curvcore/test_maps.py",
    (
        "return -self.chart.to_components(tangential.reshape(z.shape))",
        "return self.chart.to_components(tangential.reshape(z.shape))",
        "geodesics bend to the other side",
    ),
    (
        "place = directions.shape[-1] - 1  # of uw among uu, uw, ww",
        "place = 0",
        "transport with Γ(u, u)",
    ),
    (
        "before = finite & is_local_minimum(decoder, known)",
        "before = finite",
        "conjugate points are not seen",
    ),
    (
        "inside = inside & ((path >= box[:, 0]) & (path <= box[:, 1])).flatten(1).all(1)",
        "inside = inside",
        "the box is not looked at",
    ),
)

INITIAL = mutations(
    "initial_value.py",
    "tests/curvcore/test_initial_value.py",
    (
        "self.rows = of_rows >= of_rows.amax() / 2",
        "self.rows = of_rows <= of_rows.amax() / 2",
        "rows that are not stuck are told",
    ),
    (
        "of_rows = torch.where(of_rows.isnan(), torch.inf, of_rows)",
        "of_rows = of_rows.nan_to_num(0)",
        "a row that is NaN is not told",
    ),
    (
        "parts = (group[stuck], *others.tensor_split(2)) if len(others) else group.tensor_split(2)",
        "parts = (group[stuck], others) if len(others) else group.tensor_split(2)",
        "each row that is stuck takes all others along",
    ),
    (
        "if not any(words in str(error) for words in _STUCK):",
        "if False:",
        "errors of a decoder are taken for steps that are too short",
    ),
)

BOUNDARY = mutations(
    "boundary_value.py",
    "tests/curvcore/test_ambient_geodesics.py::test_logarithms",
    (
        "left = acceleration + bent.unflatten(0, (count, segments - 1))",
        "left = acceleration - bent.unflatten(0, (count, segments - 1))",
        "logarithms solve an equation with the wrong sign",
    ),
    (
        "agree = change <= _AGREEMENT[dtype] * speed",
        "agree = change <= 1e6 * _AGREEMENT[dtype] * speed",
        "logarithms are taken for found too early",
    ),
    (
        "first = min(max(round(at - degree / 2), 0), segments - degree)",
        "first = min(max(round(at), 0), segments - degree)",
        "differences are of one side: large errors",
    ),
)

CURVED = mutations(
    "curved.py",
    "tests/curvcore/test_ambient.py",
    (
        "return riemann.normal_products(self._form_of_pairs) - bending[..., :, None, :, None]",
        "return riemann.normal_products(self._form_of_pairs) + bending[..., :, None, :, None]",
        "the ambient curvature has the wrong sign",
    ),
)

AMBIENT = mutations(
    "ambient.py",
    "tests/curvcore/test_ambient.py::test_both_formulas_agree",
    (
        "return self.field.components_of_covectors((lowered - self.slopes) / 2)",
        "return self.field.components_of_covectors((lowered + self.slopes) / 2)",
        "Γ of the ambient metric has a wrong sign",
    ),
    (
        'curved = curved - einsum("...ap,...aq->...pq", self._second, self.slopes)',
        "curved = curved - 0",
        "∂²G along the immersion is taken for ∂²G",
    ),
    (
        'mixed = mixed + einsum("...ijkl->...ijlk", mixed)',
        "mixed = 2 * mixed",
        "∂²g is not symmetric",
    ),
)

ROWS = mutations(
    "rows.py",
    "tests/curvcore/test_rows.py",
    (
        "order = torch.cat(groups).argsort()",
        "order = torch.cat(groups)",
        "rows are put back in another order",
    ),
    (
        "results.append(function(alone(bound, rows[0]), *tensors, **some))",
        "results.append(function(alone(bound, 0), *tensors, **some))",
        "every row has the inputs of the first one",
    ),
    (
        "check_rows_belong(bound, points)",
        "pass",
        "an input for all of as many rows as points is taken for one a row",
    ),
)

OF_LIKELIHOODS = mutations(
    "likelihoods.py",
    "tests/curvcore/test_likelihoods.py",
    (
        "of_many = 1 - share * torch.exp(-exponent) / above",
        "of_many = 1 + share * torch.exp(-exponent) / above",
        "the information of counts that are not zero has a wrong sign",
    ),
    (
        "torch.where(exponent < 1, of_few, of_many)",
        "of_many",
        "the information of counts that are hardly ever above zero cancels",
    ),
    (
        "rest = torch.sqrt(torch.where(most, 1 - others, 1))",
        "rest = torch.sqrt(p)",
        "a class that has nearly all loses its second derivatives",
    ),
    (
        "return torch.cat([torch.exp(-2 * log_scale), torch.full_like(log_scale, 2)], 1)",
        "return torch.cat([torch.exp(-2 * log_scale), torch.full_like(log_scale, 1)], 1)",
        "half the information of a Gaussian's scale",
    ),
    (
        "return slope is not None and bool(slope.any())",
        "return False",
        "a dispersion may depend on z",
    ),
    (
        "weights = fixed_random(dispersion.numel(), z).reshape(dispersion.shape)",
        "weights = torch.ones_like(dispersion)",
        "a dispersion may depend on z where the sum does not",
    ),
    (
        "for points in (z, z + beside):",
        "for points in (z,):",
        "a dispersion may depend on z where it has no slope",
    ),
    (
        "good = (parameter.isfinite() & (is_any | (parameter > 0))).all(1)",
        "good = parameter.isfinite().all(1)",
        "negative rates pass",
    ),
)

MUTATIONS = [*MAPS, *INITIAL, *ROWS, *BOUNDARY, *CURVED, *AMBIENT, *OF_LIKELIHOODS]
