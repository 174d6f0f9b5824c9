"""One common scale for all features."""

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from tests.support.tolerance import assert_close
from training import data

# --- the common scale ---------------------------------------------------------------------------


@pytest.fixture
def fitted():
    points = np.random.default_rng(0).normal(5, [1, 10, 100], size=(500, 3))
    return points, data.CommonScale.fit(points).double()


def test_scaled_points_have_mean_zero_and_mean_variance_one(fitted):
    points, scale = fitted
    scaled = scale(torch.from_numpy(points))
    assert scaled.mean(0).abs().max() < 1e-5  # buffers are rounded to float32
    assert abs(scaled.var(0, correction=0).mean() - 1) < 1e-6


def test_scaling_is_a_similarity_and_round_trips(fitted):
    points, scale = fitted
    x = torch.from_numpy(points)
    assert_close(torch.pdist(scale(x)) * scale.scale, torch.pdist(x), scale=1000.0)
    assert_close(scale.inverse(scale(x)), x)


def test_constant_features_are_left_in_their_unit():
    scale = data.CommonScale.fit(np.full((7, 2), 0.1))
    assert scale.scale == 1
    assert_close(scale.mean, 0.1)


def test_the_scale_is_saved_with_the_model(fitted):
    model = nn.Sequential(data.CommonScale(3), nn.Linear(3, 2))
    model.load_state_dict(nn.Sequential(fitted[1], nn.Linear(3, 2)).state_dict())
    assert torch.equal(model[0].mean, fitted[1].mean.float())
    assert torch.equal(model[0].scale, fitted[1].scale.float())
    assert not list(model[0].parameters())


def test_metric_and_curvature_in_raw_units(fitted):
    """g_raw = scale² g and R_raw = R/scale²."""
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    z, scale = torch.randn(5, 2, dtype=torch.float64), fitted[1]
    scaled = curvcore.pullback(decoder, z)
    raw = curvcore.pullback(lambda z: scale.inverse(decoder(z)), z)
    assert scale.scale > 10
    assert_close(raw.metric, scaled.metric * scale.scale**2)
    assert_close(raw.scalar, scaled.scalar / scale.scale**2, factor=1e4)
    assert_close(raw.volume_density, scaled.volume_density * scale.scale**2)
