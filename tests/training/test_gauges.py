"""Gauge terms and baselines: on which charts they vanish, and what they are on others."""

import math

import pytest
import torch
from torch import nn
from torch.func import jacfwd, vmap

from tests.training.surfaces import conformal_torus, plane, sphere
from training.functionals import (
    ContractiveEncoder,
    DeTurckGauge,
    LatentSample,
    RelaxedDistortion,
    SampledGeometry,
    SquaredWeights,
    UniformVolume,
    VarianceOfLogDet,
)
from training.measures import QuadratureGrid

LIKE = torch.zeros(1, dtype=torch.float64)
PATCH = QuadratureGrid((-0.7, -0.5), (0.6, 0.8), nodes=16).grid(LIKE)
CLOSE = 1e-10  # rounding of some hundred points, derivatives of order one


def value(functional, decoder):
    return functional(decoder, PATCH.z, PATCH.weights)


@pytest.mark.parametrize("decoder", [sphere(2.0), conformal_torus(2.0 / math.sqrt(3))])
def test_de_turck_vanishes_in_isothermal_charts(decoder):
    """√(a² − 1) = 1/√3 for the second: not conformal to |dz|², but z is harmonic all the same."""
    assert value(DeTurckGauge(), decoder).item() == pytest.approx(0, abs=1e-12)
    assert value(UniformVolume(), decoder).item() > 0.1


def test_both_gauges_vanish_on_affine_charts_of_the_plane():
    matrix = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    for gauge in (DeTurckGauge(), UniformVolume()):
        found = value(gauge, lambda z: plane(z @ matrix + 3)).item()
        assert found == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("seed", range(8))
def test_some_gauge_sees_any_other_flat_chart(seed):
    """Of a random family of charts z ↦ z + ε φ(z) of the plane, one of them even harmonic."""
    generator = torch.Generator().manual_seed(seed)
    a, b, c = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)

    def chart(z):
        bent = torch.sin(z @ a) + (z @ b).square() + torch.stack([z[:, 0] * z[:, 1]] * 2, 1) @ c
        return plane(z + 0.1 * bent)

    def holomorphic(z):
        x, y = z.unbind(1)
        return plane(z + 0.2 * torch.stack([x * x - y * y, 2 * x * y], 1))

    for flat in (chart, holomorphic):
        on = SampledGeometry(flat, PATCH)
        assert on.geometry.scalar.abs().amax() < 1e-9
        assert DeTurckGauge().evaluate(on) + UniformVolume().evaluate(on) > 1e-4
    assert DeTurckGauge().evaluate(on) < 1e-20  # a holomorphic chart is harmonic


def test_baselines_of_a_linear_chart():
    def decoder(z):
        return plane(z * torch.tensor([1.0, 3.0], dtype=z.dtype))

    assert value(RelaxedDistortion(), decoder).item() == pytest.approx(82 / 100, rel=CLOSE)
    assert value(RelaxedDistortion(), plane).item() == pytest.approx(1 / 2, rel=CLOSE)
    assert value(VarianceOfLogDet(), decoder).item() == pytest.approx(0, abs=1e-20)


def test_variance_of_log_det_is_that_of_the_determinant():
    on = SampledGeometry(sphere(), LatentSample.encoded(PATCH.z))
    expected = (-4 * torch.log1p(PATCH.z.square().sum(1))).var(unbiased=False)
    assert VarianceOfLogDet().evaluate(on).item() == pytest.approx(expected.item(), rel=CLOSE)


def test_contractive_encoder_is_the_squared_norm_of_the_jacobian():
    encoder = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double()
    x = torch.randn(6, 5, dtype=torch.float64)
    expected = vmap(jacfwd(encoder))(x).square().sum((1, 2)).mean()
    assert ContractiveEncoder()(encoder, x).item() == pytest.approx(expected.item(), rel=CLOSE)


def test_squared_weights_leave_out_biases():
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Conv1d(1, 2, 3)).double()
    expected = model[0].weight.square().sum() + model[2].weight.square().sum()
    assert SquaredWeights()(model).item() == pytest.approx(expected.item(), rel=CLOSE)
