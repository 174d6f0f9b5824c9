"""A law near that of the encoded points, whose density is known in any dimension."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.func import grad, hessian, vmap
from typer.testing import CliRunner

from training import density_error, latents
from training.densities import KernelMixture
from training.errors import TrainingError
from training.functionals import (
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    SampledGeometry,
    TotalSquaredCurvature,
)
from training.measures import (
    EncodedPoints,
    ImportanceWeights,
    Mixtures,
    SmoothedPoints,
    UniformBox,
)
from training.models import MLPAutoEncoder
from training.report import flow
from training.terms import Term


def encoded(n, d, seed=0):
    points = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return points @ (torch.eye(d, dtype=torch.float64) + 0.2) + torch.arange(d)


def mixture(points, h):
    """The law by torch.distributions, from the formula in the docstring of the measure."""
    d = points.shape[1]
    mean, covariance = points.mean(0), torch.cov(points.mT).reshape(d, d)
    kernels = MultivariateNormal(
        mean + math.sqrt(1 - h**2) * (points - mean), h**2 * covariance.expand(len(points), -1, -1)
    )
    return MixtureSameFamily(Categorical(torch.ones(len(points)).double()), kernels)


@pytest.mark.parametrize("d", [1, 3, 16])
@pytest.mark.parametrize("bandwidth", [None, 0.3, 1.0])
def test_the_density_is_that_of_the_law(d, bandwidth):
    points = encoded(40, d)
    h = 40 ** (-1 / (d + 4)) if bandwidth is None else bandwidth
    expected = mixture(points, h).log_prob
    sample = SmoothedPoints(bandwidth=bandwidth).sample(points, seed=1)
    log_density, slope = sample.log_density
    assert torch.allclose(log_density, expected(sample.z), rtol=1e-10, atol=1e-10)
    assert torch.allclose(slope, vmap(grad(expected))(sample.z), rtol=1e-9, atol=1e-9)
    second = vmap(hessian(expected))(sample.z)
    assert torch.allclose(sample.log_density_hessian, second, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("h", [0.3, 1.0])
def test_points_have_the_moments_of_the_data_and_the_law(h):
    """And the law is theirs: ∫ z_i ∂_j log ρ dm = −δ_ij."""
    points = encoded(20_000, 3)
    sample = SmoothedPoints(bandwidth=h).sample(points, seed=2)
    n, spread = len(points), points.std(0).max()
    assert (sample.z.mean(0) - points.mean(0)).abs().max() < 5 * spread / n**0.5
    moments = torch.cov(sample.z.mT), torch.cov(points.mT)
    assert (moments[0] - moments[1]).abs().max() < 10 * spread**2 / n**0.5
    some = SmoothedPoints(bandwidth=h).sample(points[:2000], seed=3)
    away, slope = some.z - some.z.mean(0), some.log_density[1]
    products = away[:, :, None] * slope[:, None]
    error = products.std(0) / len(away) ** 0.5
    assert ((products.mean(0) + torch.eye(3)).abs() < 5 * error).all()


def test_a_gaussian_on_flat_space_is_a_soliton_in_sixteen_dimensions():
    """f = |x|²/4τ has W = 0, and F = n/2τ."""
    tau, points = 0.7, encoded(400, 16)
    root = torch.linalg.cholesky(torch.cov(points.mT))
    decoder = nn.Linear(16, 20).double()
    frame = torch.linalg.qr(torch.randn(20, 16, dtype=torch.float64))[0]
    decoder.weight.data = (2 * tau) ** 0.5 * torch.linalg.solve(root.mT, frame.mT).mT
    sample = SmoothedPoints(bandwidth=1.0).sample(points, seed=4)
    on = SampledGeometry(decoder, sample)
    # |x|²/2τ is χ² of 16: F is its mean over 2τ, and W its mean less 16.
    error = 5 * (2 * 16 / len(points)) ** 0.5
    assert abs(2 * tau * PerelmanF().evaluate(on).item() - 16) < error
    assert abs(PerelmanW(tau=tau).evaluate(on).item()) < error


def test_some_points_stand_for_all():
    points = encoded(30, 2)
    sample = SmoothedPoints(points=5).sample(points, seed=0)
    assert sample.z.shape == (5, 2)
    assert len(sample.law.centres) == 30
    assert SmoothedPoints(points=50).sample(points, seed=0).z.shape == (30, 2)


def test_the_report_draws_the_law_of_all_points():
    points = encoded(30, 2)
    z = points[:4] + 0.1
    for measure, law in (
        (SmoothedPoints(bandwidth=0.4), mixture(points, 0.4)),
        (EncodedPoints(), None),
    ):
        found = flow._law(measure, points)
        if law is None:
            law = KernelMixture.of_points(points).log_density(z)[0]
            assert torch.allclose(vmap(found)(z), law)
        else:
            assert torch.allclose(vmap(found)(z), law.log_prob(z))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, "points must be positive, or None for all; got 0"),
        ({"bandwidth": 0.0}, r"bandwidth must be in \(0, 1\]; got 0.0"),
        ({"bandwidth": 1.5}, "got 1.5"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(TrainingError, match=message):
        SmoothedPoints(**options)


def test_too_few_points_have_no_density():
    with pytest.raises(TrainingError, match=r"16 dimensions need more than 16 points.*got 12"):
        SmoothedPoints().sample(encoded(12, 16), seed=0)


@pytest.mark.parametrize("measure", [EncodedPoints(), Mixtures(), ImportanceWeights()])
@pytest.mark.parametrize("functional", [PerelmanF(), PerelmanW(LearnedPotential())])
def test_estimates_of_densities_are_warned_of_where_they_are_far_off(measure, functional):
    terms = {"it": Term(functional, 1.0, measure)}
    with pytest.warns(UserWarning, match=r"terms\.it: .* off in 5 dimensions.*SmoothedPoints"):
        latents.check_terms(terms, MLPAutoEncoder(8, 5, (8,)))
    latents.check_terms(terms, MLPAutoEncoder(8, 4, (8,)))


@pytest.mark.parametrize(
    ("functional", "measure"),
    [
        (PerelmanF(), SmoothedPoints()),
        (PerelmanF(), UniformBox()),
        (TotalSquaredCurvature(), EncodedPoints()),
    ],
)
def test_nothing_is_warned_of_where_no_density_is_estimated(functional, measure):
    terms = {"it": Term(functional, 1.0, measure)}
    latents.check_terms(terms, MLPAutoEncoder(8, 5, (8,)))


@pytest.mark.slow
def test_the_errors_of_densities(monkeypatch):
    monkeypatch.setattr(density_error, "DIMENSIONS", (2,))
    app = density_error.typer.Typer()
    app.command()(density_error.main)
    result = CliRunner().invoke(app, ["--batch", "64", "--repeats", "2"])
    assert result.exit_code == 0, result.output
    assert "banana" in result.output
    generator = torch.Generator().manual_seed(0)
    for law in density_error.LAWS.values():
        found = density_error.errors(law, 2, 4000, generator)
        assert abs(found["neighbours"][0]) < 0.1
        assert abs(found["smoothed"][2] - 1) < 0.1
