"""Wrong lines in enclosures of flows and in proofs of geodesics: what would certify too much."""

from verification.mutants.mutation import mutations

_TESTS = "tests/verification/test_certified_geodesics.py"

MODELS = mutations(
    "../verification/regions/models.py",
    "tests/verification/test_taylor_models.py",
    (
        "excess = excess + product(by_degree[0][k], tails[n - k + 1])",
        "excess = excess + 0 * product(by_degree[0][k], tails[n - k + 1])",
        "products of high powers are cut off, and forgotten",
    ),
    (
        "radius = radius + product(radius_of_one, sizes[1]) + excess",
        "radius = radius + excess",
        "the radius of the first factor is forgotten",
    ),
    (
        "return up(norm(self.coefficients[1:]) + self.radius, len(self.coefficients) + 2)",
        "return up(norm(self.coefficients[1:]), len(self.coefficients) + 2)",
        "bounds forget the radius",
    ),
)

FLOW = mutations(
    "../verification/geodesics/flow.py",
    _TESTS,
    (
        "radius = 2 * models.radius + raised[-1].abs() + 2 * (n + 4) * U * norm(raised)",
        "radius = 2 * models.radius + 2 * (n + 4) * U * norm(raised)",
        "the highest power is cut off, and forgotten",
    ),
    (
        "return value + ball(basis, torch.zeros_like(models.radius), models.radius)",
        "return value",
        "values forget the radius",
    ),
)

EQUATIONS = mutations(
    "../verification/geodesics/equations.py",
    _TESTS,
    (
        "radius = up(models.radius + rest, len(coefficients))",
        "radius = models.radius",
        "how far z may be off is forgotten",
    ),
    (
        "radius = torch.where(known, chosen.radius, torch.inf)",
        "radius = chosen.radius",
        "jumps of the second derivative are taken for smooth",
        f"{_TESTS}::test_undecided_cases_are_unknown",
    ),
    (
        "return torch.where(decided, 0.0, torch.inf).double()",
        "return torch.where(decided, 0.0, 0.5).double()",
        "conditions that are multiplied by are taken for smooth",
        f"{_TESTS}::test_undecided_cases_are_unknown",
    ),
    (
        "radius = torch.where(known, radius, torch.inf)",
        "radius = radius",
        "jumps of Ψ are not seen",
        f"{_TESTS}::test_what_is_not_smooth_is_not_proved[jump]",
    ),
    (
        "above = np.concatenate([turning, one], axis=2)",
        "above = np.concatenate([-turning, one], axis=2)",
        "Jacobi fields turn the other way",
    ),
)

SHOOTING = mutations(
    "../verification/geodesics/shooting.py",
    _TESTS,
    (
        "whole[k, :, k + 1] = -torch.eye(size, dtype=derivatives.dtype)",
        "whole[k, :, k + 1] = torch.eye(size, dtype=derivatives.dtype)",
        "segments that do not meet",
    ),
)

INDEX = mutations(
    "../verification/geodesics/index.py",
    _TESTS,
    (
        "factor = torch.where(size < 0.9, up(size / (1 - size), 8), torch.inf)",
        "factor = torch.where(size < 0.9, up(size / (1 - size), 8), 0)",
        "singular matrices are inverted",
    ),
    (
        "return int((centres < 0).sum())",
        "return int((centres < -1).sum())",
        "conjugate points are not counted",
    ),
)

MUTATIONS = [*MODELS, *FLOW, *EQUATIONS, *SHOOTING, *INDEX]
