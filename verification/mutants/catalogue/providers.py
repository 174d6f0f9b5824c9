"""Mutations of automatic differentiation, of its swaps and its witnesses."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
ERRORS = f"{T}/test_decoder_errors.py"
GRADIENTS = f"{T}/test_gradients_of_operations.py"

AUTODIFF = mutations(
    "providers/autodiff.py",
    f"{T}/test_jets.py",
    (
        "return derivative, (*lower, derivative)",
        "return derivative, (*lower, derivative.detach())",
        "derivatives have no gradient",
        "check gradients",
    ),
    (
        "return of_rows(point[None].clone())[0].reshape(-1)",
        "return of_rows(point[None])[0].reshape(-1)",
        "a decoder that works in place writes to z",
        f"{T}/test_side_effects.py",
    ),
)

PRIMITIVES = mutations(
    "providers/primitives.py",
    f"{T}/test_primitives.py::test_the_value_is_that_of_torch",
    (
        "return torch.where(x.isfinite(), x, torch.nan_to_num(x.detach(), nan, posinf, neginf))",
        "return torch.nan_to_num(x, nan, posinf, neginf)",
        "derivatives behind nan_to_num are NaN",
        f"{T}/test_fused.py::test_rules_of_functions",
    ),
    (
        "return (tensor[..., None] == torch.arange(num_classes, device=tensor.device)).long()",
        "return F.one_hot(tensor, num_classes)",
        "vmap has no rule for one_hot",
        f"{T}/test_binding.py",
    ),
    (
        "return input is other",
        "return True",
        "points are taken for the constants that others equal",
        f"{T}/test_own_rules.py::test_points_that_equal_constants_are_no_constants",
    ),
    (
        "return centred / (centred.square().mean(dims, keepdim=True) + eps).sqrt()",
        "return centred / centred.square().mean(dims, keepdim=True).sqrt()",
        "normalisations forget eps",
    ),
    (
        "return x.sqrt().reciprocal()  # not by the cube of the result",
        "return x.rsqrt()",
        "the derivative of 1/√x leaves the range of numbers",
        f"{T}/test_range.py",
    ),
    (
        "size = x.detach().abs()",
        "size = torch.ones_like(x.detach().abs())",
        "f'' of roots and quotients leaves the range of numbers",
        f"{T}/test_range.py",
    ),
    (
        "return torch.where((size > 0) & (size < torch.inf), size, 1)",
        "return size",
        "powers are divided by zero at zero",
        f"{T}/test_range.py",
    ),
    (
        "_standardise(grouped, (-1,), eps)",
        "_standardise(grouped, (1, 2), eps)",
        "group_norm takes all groups for one",
    ),
    (
        "eps = torch.finfo(torch.promote_types(x.dtype, torch.float32)).eps",
        "eps = torch.finfo(x.dtype).eps",
        "rms_norm has another default eps than torch",
    ),
    (
        "normalised = normalised if weight is None else normalised * weight",
        "normalised = normalised if weight is None else normalised * weight.detach()",
        "layer_norm's weight gets no gradient",
        f"{T}/test_gradients.py::test_gradient_in_each_parameter_and_point",
    ),
    (
        "for k in range(1, 11)",
        "for k in range(1, 4)",
        "sinc is cut off near zero",
    ),
    (
        "far = torch.where(near, 1, angle)",
        "far = angle",
        "gradients of sinc are NaN at zero",
        GRADIENTS,
    ),
    (
        "return x * torch.sigmoid(x)",
        "return x * torch.sigmoid(x.detach())",
        "SiLU loses a derivative",
        "check decoder",
    ),
    (
        "return x * torch.tanh(F.softplus(x))",
        "return x * torch.tanh(F.softplus(x, threshold=1))",
        "Mish has another threshold",
    ),
    (
        "return torch.log(x) - torch.log1p(-x)",
        "return torch.log(x) - torch.log1p(x)",
        "logit",
    ),
    (
        "if training and p > 0:",
        "if training and p > 1:",
        "active dropout is let through",
        f"{ERRORS}::test_rows_that_are_not_independent",
    ),
    (
        "return x.copy_(IN_PLACE[function](x.clone(), *args, **kwargs))",
        "return IN_PLACE[function](x.clone(), *args, **kwargs)",
        "what works in place leaves its argument as it was",
        f"{T}/test_primitives.py::test_what_works_in_place_writes",
    ),
    (
        "with PrimitiveOperations():",
        "with torch.no_grad():",
        "a singular matrix ends the whole batch",
        f"{T}/test_degenerate.py::test_a_singular_matrix_is_a_degenerate_point",
    ),
)

REDUCTIONS = mutations(
    "providers/reductions.py",
    f"{T}/test_primitives.py::test_the_value_is_that_of_torch",
    (
        "products[n] = products[n - 1] * products[n]",
        "products[n] = products[n - 1] * products[n].detach()",
        "cumulative products are constant in all factors but the first",
        GRADIENTS,
    ),
    (
        "return x.abs().pow(ord).sum(dim, keepdim=keepdim).pow(1 / ord)",
        "return x.abs().pow(ord).sum(dim, keepdim=keepdim)",
        "the p-norm is its p-th power",
    ),
    (
        "return _vector_norm(x1 - x2 + eps, p, -1, keepdim)",
        "return _vector_norm(x1 - x2, p, -1, keepdim)",
        "pairwise_distance forgets eps",
    ),
    (
        "vectors = [x.broadcast_to(shape) for x in (x1, x2)]",
        "vectors = x1, x2",
        "a vector of one entry for all is as long as that entry",
    ),
    (
        "total = total * factor",
        "total = total * factor.detach()",
        "products are constant in all factors but the first",
        GRADIENTS,
    ),
    (
        "return x.sum(dim, keepdim=keepdim) + 1",
        "return x.sum(dim, keepdim=keepdim)",
        "the product of nothing is zero",
    ),
    (
        "return torch.where(long, x * (maxnorm / (lengths + 1e-7)), x)",
        "return x * (maxnorm / (lengths + 1e-7))",
        "short vectors are lengthened",
    ),
    (
        "if not isinstance(x, torch.Tensor):",
        "if x is None:",
        "norms that have no rule call themselves",
        f"{T}/test_own_rules.py::test_norms_that_are_piecewise_or_of_singular_values_have_no_rule",
    ),
)

MATRICES = mutations(
    "providers/matrices.py",
    f"{T}/test_primitives.py::test_the_value_is_that_of_torch",
    (
        "for _ in range(3):",
        "for _ in range(1):",
        "eigenvectors have first derivatives alone",
        GRADIENTS,
    ),
    (
        "vectors = vectors + vectors @ torch.where(eye == 1, rest / 2, mixed)",
        "vectors = vectors + vectors @ torch.where(eye == 1, rest, mixed)",
        "eigenvectors do not keep their length",
        GRADIENTS,
    ),
    (
        "sign = sign * torch.where(place[..., 0] == 0, 1, -1)",
        "sign = sign * torch.where(place[..., 0] == 0, 1, 1)",
        "det forgets the sign of the permutation",
        f"{T}/test_determinants.py::test_determinants_are_differentiated_at_empty_columns",
    ),
    (
        "row = rest[..., :1, 1:] / torch.where(pivot == 0, 1, pivot)",
        "row = rest[..., :1, 1:] / pivot",
        "det is NaN at matrices whose rank is far too low",
        f"{T}/test_determinants.py::test_determinants_are_differentiated_at_empty_columns",
    ),
    (
        "largest = matrix.detach().abs().flatten(-2).argmax(-1, keepdim=True)",
        "largest = matrix.detach()[..., :, 0].abs().argmax(-1, keepdim=True) * n",
        "det pivots in one column, which may be zero",
        f"{T}/test_determinants.py::test_determinants_are_differentiated_at_empty_columns",
    ),
    (
        "while rest.shape[-1] > 3:",
        "while rest.shape[-1] > 1:",
        "det has no derivatives at singular matrices",
        f"{T}/test_determinants.py::test_determinants_are_differentiated_at_singular_matrices",
    ),
    (
        "for _ in range(3):",
        "for _ in range(2):",
        "second derivatives of R over eigenvectors are wrong",
        GRADIENTS,
    ),
    (
        "return logarithm + sign.log()",
        "return logarithm",
        "logdet of a negative determinant is a number",
        f"{T}/test_primitives.py",
    ),
    (
        "return inverse @ B if left else B @ inverse",
        "return inverse @ B",
        "solve from the right solves from the left",
    ),
    (
        "return x / torch.where(length > 0, length, 1)",
        "return x / length",
        "the sign of a singular complex matrix is NaN",
    ),
    (
        "factor = factor.triu() if upper else factor.tril()",
        "factor = factor.tril()",
        "the inverse of an upper factor is that of its diagonal",
    ),
    (
        "linalg.eigh(A.detach(), UPLO)",
        "linalg.eigh(A.detach())",
        "eigenvectors point elsewhere than in torch",
        f"{T}/test_primitives.py::test_arguments_have_the_names_of_torch",
    ),
)

ARGUMENTS = mutations(
    "providers/arguments.py",
    f"{T}/test_primitives.py",
    (
        "kwargs = {_LIKE_NUMPY.get(name, name): value for name, value in kwargs.items()}",
        "kwargs = dict(kwargs)",
        "axis and keepdims, as numpy and torch name them, are not known",
    ),
    (
        "args = (kwargs.pop(names[0]),)",
        "args = (kwargs[names[0]],)",
        "first arguments by name come twice",
    ),
)

WITNESS = mutations(
    "providers/witness.py",
    f"{T}/test_never_silently_wrong.py",
    (
        "allowed = eps**0.5 * sizes[-1] + 1000 * eps * max(size.max() for size in sizes)",
        "allowed = 10 * sizes[-1]",
        "the highest derivative may be wrong by ten times itself",
        f"{ERRORS}",
    ),
    (
        "different |= together.reshape(alone.shape).isfinite() != alone.isfinite()",
        "different |= False",
        "rows that are NaN only together are let through",
        f"{ERRORS}",
    ),
    (
        "transform = jacfwd(transform)",
        "transform = jacfwd(lambda z, f=transform: f(z).detach())",
        "the second opinion is zero",
        f"{T}/test_jets.py",
    ),
)

KINKS = mutations(
    "providers/kinks.py",
    f"{ERRORS}",
    (
        "if jet.order < 2 or len(jet.value) < 2 or jet.hessian.detach().any():",
        "if jet.order < 2 or len(jet.value) < 2:",
        "every decoder is taken for piecewise linear",
    ),
)

SYMBOLIC = mutations(
    "providers/symbolic.py",
    f"{T}/test_numbers.py",
    (
        "return np.stack(columns, axis=-1)",
        "return np.stack(columns, axis=1)",
        "the index of the last derivative comes second",
        "",
        "derivatives commute: the indices behind the first may stand in any order",
    ),
    (
        "lambda e, s=s: e.diff(s)",
        "lambda e: e.diff(coordinates[0])",
        "every derivative is that in the first coordinate",
    ),
)

MUTATIONS = [
    *AUTODIFF,
    *PRIMITIVES,
    *REDUCTIONS,
    *MATRICES,
    *ARGUMENTS,
    *WITNESS,
    *KINKS,
    *SYMBOLIC,
]
