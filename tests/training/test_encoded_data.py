"""Functionals on encoded data: integrals over their distribution m, or over dμ by its density."""

import pytest
import torch

from tests.training.surfaces import bumpy_torus, plane, sphere
from training.errors import CollapsedError, TrainingError
from training.functionals import (
    DeTurckGauge,
    LatentSample,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    SampledGeometry,
    TotalSquaredCurvature,
    UniformVolume,
)
from training.measures import QuadratureGrid

LIKE = torch.zeros(1, dtype=torch.float64)
ENCODED = torch.randn(60, 2, dtype=torch.float64) * torch.tensor([0.2, 0.5])


@pytest.mark.parametrize(
    "functional",
    [
        TotalSquaredCurvature(), TotalSquaredCurvature(True), PerelmanF(), PerelmanW(tau=0.7),
        DeTurckGauge(), UniformVolume(),
    ],
    ids=["R2", "R2_scale_free", "F", "W", "harmonic", "volume"],
)  # fmt: skip
def test_stretching_latents_changes_nothing_on_encoded_data(functional):
    """Nor does any other linear map of them."""
    decoder = bumpy_torus(0.2 * torch.randn(4, 4, dtype=torch.float64))
    matrix = torch.tensor([[3.0, 1.0], [-2.0, 5.0]], dtype=torch.float64)
    expected = functional(decoder, ENCODED).item()
    found = functional(lambda y: decoder(y @ torch.linalg.inv(matrix)), ENCODED @ matrix).item()
    assert abs(expected) > 1e-3
    assert found == pytest.approx(expected, rel=1e-9)


def test_total_squared_curvature_of_encoded_data_is_the_mean_of_its_square():
    """And, scale-free, times Vol^{4/d}: for the sphere the square of 2 Vol/r²."""
    z = QuadratureGrid((-0.7, -0.5), (0.6, 0.8), nodes=16).grid(LIKE).z
    assert TotalSquaredCurvature()(sphere(3.0), z).item() == pytest.approx(4 / 81, rel=1e-10)
    volume = SampledGeometry(sphere(3.0), LatentSample.encoded(z)).volume().item()
    found = TotalSquaredCurvature(scale_free=True)(sphere(3.0), z).item()
    assert found == pytest.approx(4 / 81 * volume**2, rel=1e-10)


def test_volume_of_encoded_data_is_that_of_their_support():
    """Up to the kernel's bias at the rim, some ten percent."""
    z = torch.rand(3000, 2, dtype=torch.float64) - 0.5
    box = QuadratureGrid((-0.5, -0.5), (0.5, 0.5), nodes=16).grid(LIKE)
    expected = SampledGeometry(sphere(), box).volume().item()
    found = SampledGeometry(sphere(), LatentSample.encoded(z)).volume().item()
    assert expected < found < 1.25 * expected


@pytest.mark.slow
def test_f_and_w_of_gaussian_data_on_flat_space():
    """dm = N(0, I) dz by a kernel estimate, f = |x|²/2 + const: F = n/2τ and W = 0 with τ = 1/2."""
    z = torch.randn(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert PerelmanF()(plane, z).item() == pytest.approx(2, rel=0.1)
    assert PerelmanW(tau=0.5)(plane, z).item() == pytest.approx(0, abs=0.1)


def test_a_decoder_that_is_degenerate_everywhere_is_an_error():
    def collapsed(z):
        return z.sum(1, keepdim=True).expand(-1, 3) * 1.0

    with pytest.raises(CollapsedError, match="degenerate at all 60 points"):
        TotalSquaredCurvature()(collapsed, ENCODED)


@pytest.mark.parametrize("functional", [TotalSquaredCurvature(), RelaxedDistortion()])
def test_points_that_are_not_finite_are_an_error(functional):
    z = ENCODED.clone()
    z[7] = torch.nan
    with pytest.raises(TrainingError, match="1 of 60 latent points are not finite"):
        functional(sphere(), z)


def test_a_learned_potential_has_the_dimension_of_the_latents():
    with pytest.raises(TrainingError, match="of 3 variables; latent points have 2"):
        PerelmanF(LearnedPotential(3).double())(plane, ENCODED)


def test_a_sample_is_of_dz_or_of_data():
    with pytest.raises(TrainingError, match=r"one of .* got 'mu'"):
        LatentSample(ENCODED, ENCODED[:, 0], "mu")
