"""Functionals with estimates of R: their means are the functionals, and they train at large d."""

import pytest
import torch
from torch import nn

import curvcore
from training.errors import TrainingError
from training.functionals import (
    LatentSample,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    SampledGeometry,
    TotalSquaredCurvature,
    UniformVolume,
)
from training.functionals.potentials import LearnedPotential
from training.measures import EncodedPoints, SmoothedPoints
from training.models import MLPAutoEncoder
from training.terms import Term, Terms

REPEATS, STANDARD_ERRORS = 400, 4


def decoder_of(d):
    torch.manual_seed(d)
    return nn.Sequential(
        nn.Linear(d, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 30)
    ).double()


def sample_of(d, points=6):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(points, d, generator=generator, dtype=torch.float64)
    return LatentSample.weighted(z, torch.rand(points, generator=generator).double() + 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "functional",
    [
        TotalSquaredCurvature(),
        TotalSquaredCurvature(scale_free=True),
        PerelmanF(LearnedPotential(3)),
        PerelmanF(),
        PerelmanF(curvature=False),
        PerelmanW(LearnedPotential(3), tau=0.7),
        UniformVolume(),
        RelaxedDistortion(),
    ],
    ids=lambda functional: type(functional).__name__,
)
def test_means_are_the_functionals(functional):
    decoder, sample = decoder_of(3), sample_of(3)
    functional = functional.double()
    exact = functional.evaluate(SampledGeometry(decoder, sample, 2)).detach()
    generator = torch.Generator().manual_seed(0)
    estimator = curvcore.Hutchinson(4, generator=generator)
    values = []
    with torch.no_grad():
        for _ in range(REPEATS):
            values.append(functional.evaluate(SampledGeometry(decoder, sample, 2, estimator)))
    values = torch.stack(values)
    error = values.std() / REPEATS**0.5
    # Those without R come out the same each time, to rounding in g⁻¹.
    assert (values.mean() - exact).abs() <= STANDARD_ERRORS * error + 1e-9 * exact.abs()


def test_gradients_through_the_volume():
    """∂ log √det g by reverse mode, differentiated once more for the decoder's parameters."""
    decoder, sample = decoder_of(3), sample_of(3)
    gradients = []
    for estimator in (None, curvcore.Hutchinson(4)):
        on = SampledGeometry(decoder, sample, 2, estimator)
        value = UniformVolume().evaluate(on)
        gradients.append(torch.autograd.grad(value, decoder[2].weight)[0])
    assert (gradients[0] - gradients[1]).norm() <= 1e-9 * gradients[0].norm()


def test_terms_share_a_draw():
    """One measure and one estimator are one geometry; another seed is another draw."""
    torch.manual_seed(0)
    autoencoder, x = MLPAutoEncoder(30, 5, [16]), torch.randn(12, 30)
    estimator = curvcore.Hutchinson(4)
    terms = Terms(
        {
            "R2": Term(TotalSquaredCurvature(estimator=estimator), 1.0),
            "again": Term(TotalSquaredCurvature(estimator=estimator), 1.0),
            "exact": Term(TotalSquaredCurvature(), 1.0),
        }
    )
    z = autoencoder.encoder(x)
    first, again, later = (
        {name: value.item() for name, (_, value) in terms(autoencoder, x, z, 0, seed)[0].items()}
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first["R2"] == first["again"] != later["R2"]
    assert first["exact"] == later["exact"]


@pytest.mark.slow
@pytest.mark.parametrize("d", [16, 40])
def test_training_at_large_d(d):
    """A few steps lower ∫R²dm, seen by exact R."""
    torch.manual_seed(0)
    autoencoder, x = MLPAutoEncoder(64, d, [48, 48]), torch.randn(64, 64)
    functional = TotalSquaredCurvature(estimator=curvcore.Hutchinson(6))
    terms = Terms({"R2": Term(functional, 1.0, EncodedPoints(points=16))})
    optimiser = torch.optim.Adam(autoencoder.decoder.parameters(), 1e-3)

    def squared():
        with torch.no_grad():
            z = autoencoder.encoder(x)
            return curvcore.scalar_curvature(autoencoder.decoder, z).square().mean()

    before = squared()
    for step in range(60):
        optimiser.zero_grad()
        values, _ = terms(autoencoder, x, autoencoder.encoder(x).detach(), 0, step)
        values["R2"][1].backward()
        optimiser.step()
    assert squared() < 0.7 * before


def test_some_points_of_a_batch():
    z = torch.randn(10, 2)
    sample = EncodedPoints(points=4).sample(z, seed=3)
    assert sample.z.shape == (4, 2)
    assert sample.weights.sum() == pytest.approx(1)
    assert all((row == z).all(1).any() for row in sample.z)
    assert not torch.equal(sample.z, EncodedPoints(points=4).sample(z, seed=4).z)
    assert torch.equal(EncodedPoints(points=20).sample(z, seed=3).z, z)
    with pytest.raises(TrainingError, match="points must be positive"):
        EncodedPoints(points=0)


def test_square_needs_four_probes():
    with pytest.raises(TrainingError, match="probes=4 at least; got 2"):
        TotalSquaredCurvature(estimator=curvcore.Hutchinson(2))


@pytest.mark.slow
@pytest.mark.parametrize("functional", [PerelmanF, PerelmanW])
def test_a_fixed_measure_is_estimated_without_bias(functional):
    """F and W over a law of known density: the mean of many draws is the exact number."""
    torch.manual_seed(0)
    decoder = MLPAutoEncoder(24, 10, [20]).decoder.double()
    encoded = torch.randn(40, 10, dtype=torch.float64)
    sample = SmoothedPoints(points=4).sample(encoded, seed=1)
    exact = functional().evaluate(SampledGeometry(decoder, sample)).item()
    for probes in (2, 5):
        estimator = curvcore.Hutchinson(probes, generator=torch.Generator().manual_seed(probes))
        estimated = functional(estimator=estimator)
        values = torch.tensor(
            [
                estimated.evaluate(SampledGeometry(decoder, sample, estimator=estimator)).item()
                for _ in range(100)
            ]
        )
        assert abs(values.mean() - exact) < 4 * values.std() / len(values) ** 0.5


def test_points_of_infinite_second_derivatives_are_left_out():
    """Whose gradient would be NaN: as where R is not estimated."""
    linear, sample = nn.Linear(10, 20).double(), sample_of(9)
    z = sample.z.abs()
    z[2, 0] = 0
    sample = LatentSample.weighted(z, sample.weights)

    def decoder(z):
        return linear(torch.cat([z.tanh(), z[:, :1] ** 1.5], 1))

    on = SampledGeometry(decoder, sample, 2, curvcore.Hutchinson(4))
    assert on.degenerate_points == 1
    TotalSquaredCurvature().evaluate(on).backward()
    assert linear.weight.grad.isfinite().all()
