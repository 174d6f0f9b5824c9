"""Mutations of the rules of torch's functions: elementwise, products, linear, composite."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
RULES = f"{T}/test_fused.py::test_rules_of_functions"
FUSED = f"{T}/test_fused.py"
EVERY_LAYER = f"{T}/test_fused.py::test_every_layer_to_third_order"
PROOFS = "tests/verification/test_proofs_layers.py::test_layers_are_what_they_are_defined_to_be"

ELEMENTWISE = mutations(
    "providers/fused/elementwise.py",
    EVERY_LAYER,
    (
        "return torch.relu(x) - shaped * torch.relu(-x)",
        "return torch.relu(x) + shaped * torch.relu(-x)",
        "prelu' for x < 0",
        RULES,
    ),
    (
        "weight.reshape(-1, *(1,) * (x.ndim - 2))",
        "weight",
        "prelu's weights belong to the last axis",
        RULES,
    ),
    (
        "first = 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)",
        "first = 1 - y * y",
        "tanh' keeps no digits where tanh is nearly 1",
        "tests/verification/test_rounding.py::test_saturated_units_keep_their_digits",
    ),
    ("yield first * (6 * y * y - 2)", "yield first * (6 * y * y + 2)", "tanh'''"),
    (
        "first = y * torch.sigmoid(-x)",
        "first = y * (1 - y)",
        "sigmoid' keeps no digits where sigmoid is nearly 1",
        "tests/verification/test_rounding.py::test_saturated_units_keep_their_digits",
    ),
    ("yield first * (1 - 6 * first)", "yield first * (1 - 3 * first)", "sigmoid'''"),
    ("yield first * (2 + 6 * y * y)", "yield first * (2 + 4 * y * y)", "tan'''", RULES),
    ("first = -torch.sin(x)", "first = torch.sin(x)", "cos'", RULES),
    ("yield -(reciprocal**2)", "yield reciprocal**2", "log''", RULES),
    ("yield 3 / (8 * x * x * y)", "yield 3 / (4 * x * x * y)", "√'''", RULES),
    ("yield 3 * y / (4 * x * x)", "yield 3 * y / (2 * x * x)", "(1/√)'', of every normalisation"),
    ("yield -15 * y / (8 * x * x * x)", "yield 15 * y / (8 * x * x * x)", "(1/√)'''"),
    ("yield 2 * square * y", "yield -2 * square * y", "(1/x)''", RULES),
    ("yield (4 * x * x - 2) * first", "yield (4 * x * x - 1) * first", "erf'''", RULES),
    ("yield (6 * x * x - 2) * first**3", "yield (6 * x * x - 2) * first**2", "arctan'''", RULES),
    ("yield (2 * x * x - 1) * first**5", "yield (2 * x * x + 1) * first**5", "arsinh'''", RULES),
    ("yield 2 * first + x * second", "yield first + x * second", "(x h)'': SiLU, GELU, Mish"),
    ("yield 3 * second + x * third", "yield 2 * second + x * third", "(x h)'''"),
    (
        "-x * density, (x * x - 1) * density)",
        "-x * density, (x * x + 1) * density)",
        "the third derivative of the normal distribution, in GELU",
    ),
    (
        "scale, cubic = root_two / root_pi, 0.044715",
        "scale, cubic = root_two / root_pi, 0.0447",
        "the coefficient of the tanh form of GELU, in the fourth digit",
    ),
    (
        "f3 * u1**3 + 3 * f2 * u1 * u2 + f1 * u3",
        "f3 * u1**3 + f2 * u1 * u2 + f1 * u3",
        "f(u)''' counts u' u'' once, not three times",
    ),
    (
        "straight = beta * x > threshold",
        "straight = x > threshold",
        "softplus is taken for straight too late where β ≠ 1",
        FUSED,
    ),
    (
        "yield beta * (beta * curved) * (1 - 2 * logistic)",
        "yield beta * curved * (1 - 2 * logistic)",
        "softplus''' has β for β²",
        FUSED,
    ),
    (
        "yield -logistic * mirrored * (mirrored - logistic)",
        "yield logistic * mirrored * (mirrored - logistic)",
        "logsigmoid'''",
        FUSED,
    ),
    (
        "yield -2 * x.sign() * reciprocal**3",
        "yield -2 * reciprocal**3",
        "softsign'' for x < 0",
        FUSED,
    ),
    (
        "yield torch.where(positive, 0, slope / length)",
        "yield torch.where(positive, 0, slope)",
        "celu'' for α ≠ 1",
        RULES,
    ),
    (
        "yield torch.where(x >= bound, torch.ones_like(x), 0)",
        "yield torch.where(x <= bound, torch.ones_like(x), 0)",
        "clamp_min' is that of clamp_max",
        f"{PROOFS}[normalize]",
    ),
    (
        "yield torch.where(x <= bound, torch.ones_like(x), 0)",
        "yield torch.where(x >= bound, torch.ones_like(x), 0)",
        "clamp_max' is that of clamp_min",
        f"{RULES}[clamps]",
    ),
    (
        "slope = _SELU_SCALE * (_SELU_ALPHA * torch.exp(x.clamp_max(0)))",
        "slope = _SELU_ALPHA * torch.exp(x.clamp_max(0))",
        "selu' for x < 0",
        "tests/verification/test_proofs_jets.py::test_elementary_functions_have_their_derivatives",
    ),
    (
        "yield torch.where(x > 0, torch.ones_like(x), negative_slope)",
        "yield torch.where(x > 0, torch.ones_like(x), 0)",
        "leaky_relu' for x < 0",
        f"{T}/test_fused.py",
    ),
)

PRODUCTS = mutations(
    "providers/fused/products.py",
    RULES,
    (
        "return a * torch.reciprocal(b)",
        "return a * torch.reciprocal(b.value)",
        "a quotient takes its denominator for constant",
    ),
    (
        "coefficient, exponent = coefficient * exponent, exponent - 1",
        "coefficient, exponent = coefficient * (exponent - 1), exponent - 1",
        "(x^p)' has the factor p − 1",
    ),
    (
        "return torch.exp(exponent * logarithm)",
        "return torch.exp(exponent.value * logarithm)",
        "x^y takes y for constant",
    ),
    (
        "third = cross_second(levels_a[1], levels_b[0], multiply)",
        "third = cross_second(levels_a[1], levels_b[0], _flip(multiply))",
        "a_ij b_k is multiplied from the wrong side",
    ),
    (
        "other = cross_second(levels_b[1], levels_a[0], _flip(multiply))",
        "other = cross_second(levels_b[1], levels_a[0], multiply)",
        "a_i b_jk is multiplied from the wrong side",
    ),
    (
        "third = other if third is None else third + other",
        "third = other",
        "a_ij b_k is left out of the product rule",
    ),
    (
        "mixed = [None, cross(levels_a[0], levels_b[0], multiply)]",
        "mixed = [None, cross(levels_b[0], levels_a[0], multiply)]",
        "a_i b_j is multiplied from the wrong side",
    ),
    (
        "return bilinear(contract, *(operands[place] for place in places))",
        "return bilinear(lambda a, b: contract(b, a), *(operands[place] for place in places))",
        "einsum swaps its operands",
        f"{PROOFS}[einsum]",
    ),
    (
        "b = b.to(torch.result_type(a.value, b))",
        "b = b.to(torch.get_default_dtype())",
        "dividing by integers rounds to float32",
        f"{T}/test_fused.py::test_constants_keep_the_precision_of_the_decoder",
    ),
)

LINEAR = mutations(
    "providers/fused/linear.py",
    f"{T}/test_fused.py",
    (
        "return input is other  # as functions of z",
        "return torch.equal(input.value, other)  # as functions of z",
        "points are taken for the constants that they equal",
        f"{T}/test_own_rules.py::test_points_that_equal_constants_are_no_constants",
    ),
    (
        "rowwise(function, x.channels, weight, None, *args, **kwargs)",
        "rowwise(function, x.channels, weight, bias, *args, **kwargs)",
        "derivatives of a convolution see its bias",
    ),
    (
        "rowwise(F.pad, x.channels, pad, mode, 0 if value is not None else None)",
        "rowwise(F.pad, x.channels, pad, mode, value)",
        "derivatives are padded with the value",
        RULES,
    ),
    (
        "short, long = sorted((a.channels, alpha * b.channels), key=len)",
        "short, long = sorted((a.channels, b.channels), key=len)",
        "a + αb has the derivatives of a + b",
        RULES,
    ),
    (
        "head = short + long[: len(short)]",
        "head = long[: len(short)]",
        "a sum forgets the summand with fewer derivatives",
        f"{FUSED}::test_an_affine_part_and_another_are_added",
    ),
    (
        "return _add(b, a, alpha=-alpha)",
        "return _add(b, a, alpha=alpha)",
        "rsub adds",
        RULES,
    ),
    (
        "missing = count - len(channels)",
        "missing = 0 * len(channels)",
        "cat of jets of different length is not padded",
        RULES,
    ),
    (
        "plain = [a.value.detach() if isinstance(a, JetTensor) else a for a in args]",
        "plain = [a.value if isinstance(a, JetTensor) else a for a in args]",
        "constants made from a jet keep its gradient",
        "",
        "what these functions return does not depend on the numbers they are given, or is boolean",
    ),
)

COMPOSITES = mutations(
    "providers/fused/composites.py",
    EVERY_LAYER,
    (
        "shift = -mean * scale if bias is None else bias - mean * scale",
        "shift = -mean * scale if bias is None else bias + mean * scale",
        "batch_norm adds the mean",
        RULES,
    ),
    (
        "scale = torch.rsqrt(var + eps) if weight is None else weight * torch.rsqrt(var + eps)",
        "scale = torch.rsqrt(var + eps) if weight is None else weight * torch.rsqrt(var)",
        "batch_norm with a weight forgets eps",
        f"{PROOFS}[batch_norm]",
    ),
    (
        "return x - _logsumexp(x, dim, keepdim=True)",
        "return x - _logsumexp(x, dim, keepdim=True).value",
        "log_softmax takes what it subtracts for constant",
        f"{PROOFS}[log_softmax]",
    ),
    (
        "heads = (probabilities @ v).movedim(-2, 0).flatten(-2)",
        "heads = (probabilities @ v).movedim(-2, 0).flip(-2).flatten(-2)",
        "heads stand in another order",
        f"{PROOFS}[multi_head_attention]",
    ),
    (
        "keepdim=keepdim) / (count - correction)",
        "keepdim=keepdim) / count",
        "var has no Bessel correction",
        RULES,
    ),
    (
        "return exponential * torch.reciprocal(exponential.sum(dim, keepdim=True))",
        "return exponential * torch.reciprocal(exponential.value.sum(dim, keepdim=True))",
        "softmax takes its denominator for constant",
        RULES,
    ),
    (
        "result = torch.log(exponential.sum(dim, keepdim=True)) + largest",
        "result = torch.log(exponential.sum(dim, keepdim=True))",
        "logsumexp forgets what it subtracted",
        RULES,
    ),
    (
        "scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale",
        "scale = 1 / query.shape[-1] if scale is None else scale",
        "attention is scaled by 1/E",
        RULES,
    ),
    (
        "attn_mask = torch.ones(size, dtype=torch.bool, device=scores.device).tril()",
        "attn_mask = torch.ones(size, dtype=torch.bool, device=scores.device).triu()",
        "causal attention looks ahead",
        RULES,
    ),
    (
        "mask = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask",
        "mask = attn_mask",
        "a boolean mask hides what it shows",
        RULES,
    ),
    (
        "return start + weight * (end - start)",
        "return end + weight * (start - end)",
        "lerp runs backwards",
        RULES,
    ),
    (
        "else -_cross(b, a, dim)",
        "else _cross(b, a, dim)",
        "constant × x has the wrong sign",
        RULES,
    ),
    (
        "return beta * summand + alpha * torch.matmul(a, b)",
        "return summand + alpha * torch.matmul(a, b)",
        "addmm forgets β",
        RULES,
    ),
    (
        "scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)",
        "scores = (q * (1 / math.sqrt(embed_dim))) @ k.transpose(-2, -1)",
        "attention of several heads is scaled by all of them",
    ),
    (
        "return output, probabilities.mean(-3) if average_attn_weights else probabilities",
        "return output, probabilities.sum(-3) if average_attn_weights else probabilities",
        "attention weights are summed over heads",
        RULES,
    ),
)

MUTATIONS = [*ELEMENTWISE, *PRODUCTS, *LINEAR, *COMPOSITES]
