"""Estimates of R without ∇Ψ: least squares by conjugate gradients, and what comes of them."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.matrix_free import Linearised, Solutions, Solver
from tests.curvcore.test_hutchinson import assert_mean, decoder_of, point

REPEATS = 400


def estimator(**options):
    generator = torch.Generator().manual_seed(0)
    return curvcore.Hutchinson(
        **{"probes": 4, "generator": generator, "matrix_free": True, "tolerance": 1e-8} | options
    )


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
@pytest.mark.parametrize("derivatives", ["fused", pytest.param("autodiff", marks=pytest.mark.slow)])
def test_unbiased(distribution, derivatives):
    decoder, z = decoder_of(4), point(4)
    scalar = curvcore.scalar_curvature(decoder, z).detach()
    found = curvcore.estimate_scalar_curvature(
        decoder,
        z.expand(REPEATS, -1),
        estimator(distribution=distribution),
        derivatives=derivatives,
        chunk_size=REPEATS,
    )
    assert_mean(found.value, scalar)
    assert_mean(found.square, scalar**2)
    assert (found.residual <= 1e-8).all()
    assert (found.iterations <= 8).all()  # d steps, and what rounding adds
    assert not found.value.requires_grad


def test_least_squares():
    """Many points at once, one of them at the solution from the start."""
    torch.manual_seed(0)
    jacobian = torch.randn(3, 9, 4, dtype=torch.float64)
    b = torch.randn(3, 9, dtype=torch.float64)
    b[1] = 0
    linearised = Linearised(
        lambda v: (jacobian @ v[..., None])[..., 0],
        lambda w: (jacobian.mT @ w[..., None])[..., 0],
        None,
    )
    solutions = Solutions(linearised, Solver(1e-12, 100))
    x, rest = solutions(b)
    expected = torch.linalg.lstsq(jacobian, b[..., None]).solution[..., 0]
    assert (x - expected).norm() <= 1e-10 * expected.norm()
    assert ((jacobian @ x[..., None])[..., 0] + rest - b).norm() <= 1e-14 * b.norm()
    assert solutions.iterations <= 6
    assert (solutions.residual <= 1e-12).all()
    assert x[1].abs().max() == 0


def test_pieces_give_the_same():
    decoder, z = decoder_of(4), torch.randn(3, 4, dtype=torch.float64)
    options = {"tolerance": 1e-12, "max_iterations": 50}
    found = [
        curvcore.estimate_scalar_curvature(
            decoder, points, estimator(**options), chunk_size=len(points)
        ).value
        for points in (z, z[:1])
    ]
    one_by_one = curvcore.estimate_scalar_curvature(decoder, z, estimator(**options)).value
    assert (one_by_one[0] - found[1][0]).abs() <= 1e-9 * found[1][0].abs()
    assert found[0].isfinite().all()


def test_images():
    """Transposed convolutions on d = 16 = 4·2·2: estimates agree with R."""
    torch.manual_seed(0)
    decoder = nn.Sequential(
        nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 6, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(6, 3, 4, 2, 1),
    ).double()
    z = point(16)
    found = curvcore.estimate_scalar_curvature(
        decoder, z.expand(100, -1), estimator(probes=2, tolerance=1e-6), chunk_size=100
    )
    assert_mean(found.value, curvcore.scalar_curvature(decoder, z).detach())


@pytest.mark.parametrize("scale", [1e-11, 1e-8, 1e11])
def test_units_of_the_decoder(scale):
    """In float32, where squares leave its range."""
    inner, z = decoder_of(6).float(), point(6).float()
    options = {"tolerance": 1e-5, "max_iterations": 60}
    expected = curvcore.estimate_scalar_curvature(inner, z, estimator(**options))
    found = curvcore.estimate_scalar_curvature(lambda z: scale * inner(z), z, estimator(**options))
    assert (found.value * scale * scale / expected.value - 1).abs() <= 1e-2
    assert found.residual <= 1e-5


def test_points_that_are_not_finite_take_no_iterations():
    calls = []

    def decoder(z):
        calls.append(1)
        return inner(z)

    inner, z = decoder_of(6), point(6)
    z[0, 0] = torch.nan
    with pytest.raises(curvcore.InputError, match="NaN or Inf at 1 of 1 points: 0"):
        curvcore.estimate_scalar_curvature(decoder, z, estimator(max_iterations=500))
    assert len(calls) < 200


def test_too_few_iterations_are_told():
    with pytest.warns(UserWarning, match="ended after 2 iterations at 1 of 1 points: 0"):
        found = curvcore.estimate_scalar_curvature(
            decoder_of(6), point(6), estimator(max_iterations=2)
        )
    assert found.residual > 1e-8
    assert found.iterations == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0}, "between 0 and 1; got 0"),
        ({"tolerance": 2.0}, "between 0 and 1; got 2.0"),
        ({"max_iterations": 0}, "positive integer; got 0"),
        ({"tolerance": "a"}, "between 0 and 1; got 'a'"),
        ({"max_iterations": 1.5}, "positive integer; got 1.5"),
        ({"max_iterations": True}, "positive integer; got True"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(curvcore.InputError, match=message):
        estimator(**options)
