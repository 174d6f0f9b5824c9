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
        "(4 * _lengths_squared(of_second, products) * second.square() * twice)",
        "(0 * _lengths_squared(of_second, products) * second.square() * twice)",
        "errors of ∇²Ψ do not count",
    ),
    (
        "(4 * _lengths_squared(of_second, products) * second.square() * twice)",
        "(4 * _lengths_squared(of_second, products) * second.square())",
        "mixed derivatives count once",
    ),
    (
        "(formulas.christoffel_of_pairs * twice)",
        "formulas.christoffel_of_pairs",
        "T^ij Γ^k_ij is summed over i ≤ j",
    ),
    (
        "[bending.square(), third]",
        "[bending, third]",
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
        "return eps * torch.stack(squares).sum(0).sqrt()",
        "return eps * torch.stack(squares).sum(0).sqrt() / 1000",
        "the estimate of the error is a thousandth of it",
    ),
)

MUTATIONS = [*OF_EUCLIDEAN, *OF_AMBIENT]
