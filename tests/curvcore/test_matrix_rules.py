"""Functions of matrices: solutions, inverses, factors, determinants, exponentials."""

import pytest
import torch
from torch import linalg, nn

import curvcore
from tests.support.both_providers import assert_gradients_of_both
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close

with torch.random.fork_rng(devices=()):
    torch.manual_seed(0)
    LIFT = nn.Linear(2, 18).double()
    CONSTANT, SYSTEM = torch.randn(2, 3, 3, dtype=torch.float64)
SYSTEM = SYSTEM + 3 * torch.eye(3, dtype=torch.float64)


def right(h):
    """(B, 3, 3) of numbers that bend."""
    return h[:, 9:].reshape(-1, 3, 3).cos()


def matrix(h):
    """(B, 3, 3) with an inverse."""
    return h[:, :9].reshape(-1, 3, 3).sin() + 2.5 * torch.eye(3, dtype=h.dtype)


def positive(h):
    return matrix(h) @ matrix(h).mT + torch.eye(3, dtype=h.dtype)


def affine(h):
    return h[:, :9].reshape(-1, 3, 3)


FUNCTIONS = {
    "solve": lambda h: linalg.solve(matrix(h), right(h)),
    "solve for a vector": lambda h: linalg.solve(matrix(h), right(h)[:, 0]),
    "solve, affine": lambda h: linalg.solve(5 * SYSTEM + affine(h), affine(h)[:, :, :2]),
    "solve with a constant matrix": lambda h: linalg.solve(SYSTEM, right(h)),
    "solve for a constant": lambda h: linalg.solve(matrix(h)[:, None], CONSTANT),
    "solve for a constant vector": lambda h: linalg.solve(matrix(h), CONSTANT[0]),
    "solve what is affine": lambda h: linalg.solve(SYSTEM, affine(h)),
    "solve from the right": lambda h: linalg.solve(matrix(h), right(h)[:, :2], left=False),
    "inv": lambda h: linalg.inv(matrix(h)),
    "inverse": lambda h: matrix(h).inverse(),
    "lower triangle": lambda h: linalg.solve_triangular(matrix(h), right(h), upper=False),
    "unit triangle from the right": lambda h: linalg.solve_triangular(
        matrix(h), right(h), upper=True, left=False, unitriangular=True
    ),
    "cholesky": lambda h: linalg.cholesky(positive(h)),
    "cholesky, affine": lambda h: linalg.cholesky(30 * SYSTEM @ SYSTEM.mT + affine(h)),
    "upper cholesky": lambda h: linalg.cholesky(positive(h) + right(h).tril(-1), upper=True),
    "cholesky of one triangle": lambda h: linalg.cholesky(positive(h) + right(h).triu(1)),
    "cholesky_solve": lambda h: torch.cholesky_solve(right(h), linalg.cholesky(positive(h))),
    "upper cholesky_solve": lambda h: torch.cholesky_solve(
        right(h), linalg.cholesky(positive(h)).mT, upper=True
    ),
    "cholesky_inverse": lambda h: torch.cholesky_inverse(linalg.cholesky(positive(h))),
    "det": lambda h: linalg.det(matrix(h)),
    "det of four": lambda h: torch.det(nn.functional.pad(matrix(h), (0, 1, 0, 1), value=0.5)),
    "slogdet": lambda h: linalg.slogdet(-matrix(h)).logabsdet,
    "sign": lambda h: linalg.slogdet(matrix(h) - 2.5).sign * h[:, 0].sin(),
    "logdet": lambda h: torch.logdet(positive(h)),
    "slogdet, affine": lambda h: torch.slogdet(5 * SYSTEM + affine(h))[1],
    "matrix_exp": lambda h: torch.matrix_exp(right(h)),
    "matrix_exp, affine and large": lambda h: torch.matrix_exp(2 * affine(h)),
    "matrix_power": lambda h: linalg.matrix_power(right(h), 3) + linalg.matrix_power(matrix(h), -2),
    "eigvalsh": lambda h: linalg.eigvalsh(positive(h)),
    "eigh": lambda h: linalg.eigh(positive(h)).eigenvectors.square(),
}


def graph(function):
    return lambda z: torch.cat([z, function(LIFT(z)).reshape(len(z), -1)], 1)


def points(seed, batch=5):
    return torch.randn(batch, 2, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.grid
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # the sign
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_differences(name):
    decoder, z = graph(FUNCTIONS[name]), points(1)
    jet = curvcore.jet(decoder, z, 3, derivatives="fused")
    assert_close(jet.value, decoder(z), scale=1 + jet.value.abs().max(), factor=1e3)
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_autodiff(name):
    z = points(2, batch=2)
    assert_gradients_of_both(graph(FUNCTIONS[name]), z, LIFT.parameters(), factor=1e5)


@pytest.mark.grid
@pytest.mark.parametrize(
    "function", [linalg.inv, torch.logdet, linalg.cholesky, lambda a: linalg.solve(a, CONSTANT[0])]
)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_a_matrix_without_it_spoils_its_own_point_alone(function, derivatives):
    def decoder(z):
        multiples = z[:, :1, None] * torch.eye(3, dtype=z.dtype)
        return torch.cat([z, function(multiples).reshape(len(z), -1) * z[:, 1:]], 1)

    z = torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]], dtype=torch.float64)
    scalar = curvcore.scalar_curvature(decoder, z, derivatives=derivatives, on_degenerate="nan")
    assert scalar.isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize(
    "function", [linalg.cholesky, lambda a: linalg.slogdet(a)[1], linalg.eigvalsh]
)
def test_complex_matrices_are_refused(function):
    def decoder(z):
        a = torch.complex(SYSTEM, CONSTANT) * z[:, :1, None].exp()
        return torch.cat([z, function(a @ a.mH).real.reshape(len(z), -1)], 1)

    with pytest.raises(curvcore.providers.fused.MissingRuleError, match="complex"):
        curvcore.jet(decoder, points(3), derivatives="fused")
