"""Wrong lines in the estimate of R's rounding error."""

from verification.mutants.mutation import mutations

OF_EUCLIDEAN = mutations(
    "rounding.py",
    "tests/curvcore/test_rounding.py",
    (
        "- normal  # T^ab",
        "+ normal  # T^ab",
        "sensitivities of another R",
    ),
    (
        "(frame @ (christoffel @ sensitivity.flatten(2).mT)).square()",
        "(christoffel @ sensitivity.flatten(2).mT).square()",
        "errors of first derivatives along the frame count as along coordinates",
    ),
    (
        "return eps * torch.stack(squares).sum(0).sqrt()",
        "return eps * torch.stack(squares).sum(0).sqrt() / 1000",
        "the estimate of the error is a thousandth of it",
    ),
    (
        "return eps * torch.stack(squares).sum(0).sqrt()",
        "return eps * torch.stack(squares).sum(0)",
        "the estimate is in other units",
    ),
    (
        "torch.cat([second.square() * twice, first.square()], 1)",
        "torch.cat([0 * second.square() * twice, first.square()], 1)",
        "errors of ∇²Ψ do not count",
    ),
    (
        "torch.cat([second.square() * twice, first.square()], 1)",
        "torch.cat([second.square(), first.square()], 1)",
        "mixed derivatives count once",
    ),
    (
        "(formulas.christoffel_of_pairs * twice)",
        "formulas.christoffel_of_pairs",
        "T^ij Γ^k_ij is summed over i ≤ j",
    ),
    (
        "[bending_squared(formulas).square(), third]",
        "[bending_squared(formulas), third]",
        "the intrinsic formula loses |∇²Ψ| instead of its square",
    ),
)

OF_AMBIENT = mutations(
    "curved_rounding.py",
    "tests/curvcore/test_ambient.py",
    (
        "squares.append(_bending(field, first, pack(second, 2), slopes, frame))",
        "pass",
        "what cancels in the curvature of the ambient space does not count",
    ),
    (
        "_covariant(field, first, second, slopes).sqrt()",
        "0 * derivatives.second.norm(dim=1)",
        "errors of covariant derivatives do not count",
    ),
    (
        "return eps * torch.stack(squares).sum(0).sqrt(), unit",
        "return eps * torch.stack(squares).sum(0).sqrt() / 1000, unit",
        "the estimate of the error is a thousandth of it",
    ),
    (
        "squares.append(_moved_bending(jet, again, frame) / eps**2)",
        "pass",
        "what a rounding moves of the ambient space's curvature does not count",
    ),
)

OF_DECODERS = mutations(
    "providers/roundings.py",
    "tests/verification/test_cancelling.py",
    (
        'moved = of_weights or [x for x in args if hasattr(x, "channels")]',
        "moved = of_weights",
        "rounding between layers is not seen",
    ),
    (
        "        if is_new and isinstance(made, torch.Tensor) and made.is_floating_point():",
        "        if False:",
        "of decoders without fused rules, rounding is seen in sums of products alone",
    ),
)

MUTATIONS = [*OF_EUCLIDEAN, *OF_AMBIENT, *OF_DECODERS]
