"""Warm start: Isomap finds the chart, and an autoencoder learns it."""

import copy

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from torch import nn

import curvcore
from training.data import CommonScale, SwissRoll
from training.errors import TrainingError
from training.warm_start import fit_to_coordinates, isomap_coordinates

ROLL = SwissRoll(n=1200, seed=0).load()


class Autoencoder(nn.Module):
    """Small and smooth, D ⇄ d."""

    def __init__(self, D=3, d=2, width=64):
        super().__init__()
        self.encoder, self.decoder = (
            nn.Sequential(nn.Linear(m, width), nn.SiLU(), nn.Linear(width, n))
            for m, n in ((D, d), (d, D))
        )


def paraboloid(n=600):
    """u (n, 2), centred, and points (n, 3) of a shallow paraboloid above them."""
    u = torch.rand(n, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    u = u - u.mean(0)
    return u, torch.cat([u, 0.2 * u.square().sum(1, keepdim=True)], dim=1)


# --- Isomap -------------------------------------------------------------------------------------


@pytest.mark.parametrize("landmarks", [5000, 800], ids=["all", "landmarks"])
def test_isomap_recovers_the_chart_of_the_swiss_roll(landmarks):
    u = isomap_coordinates(ROLL.points, 2, landmarks=landmarks)
    assert u.shape == (1200, 2)
    assert procrustes(ROLL.chart, u)[2] < 1e-2
    spread = np.linalg.norm(u.std(0)) / np.linalg.norm(ROLL.chart.std(0))
    assert abs(spread - 1) < 0.1  # in the units of the points


def test_the_point_that_is_no_landmark_is_placed_where_it_would_be_as_one():
    u = isomap_coordinates(ROLL.points[:600], 2, neighbours=12, landmarks=600)
    v = isomap_coordinates(ROLL.points[:600], 2, neighbours=12, landmarks=599)
    assert procrustes(u, v)[2] < 1e-4
    np.testing.assert_allclose(abs(u), abs(v), atol=0.02 * abs(u).max())


def test_isomap_is_deterministic_and_leaves_numpy_alone():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = isomap_coordinates(ROLL.points, 2, landmarks=500, neighbours=12, seed=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    again = isomap_coordinates(ROLL.points, 2, landmarks=500, neighbours=12, seed=3)
    other = isomap_coordinates(ROLL.points, 2, landmarks=500, neighbours=12, seed=4)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(abs(first), abs(other))


def test_components_of_the_graph_are_counted():
    clouds = np.random.default_rng(0).normal(size=(3, 50, 4)) + 100 * np.eye(3, 4)[:, None]
    with pytest.raises(TrainingError, match="into 3 components, the largest of 50, 50, 50 points"):
        isomap_coordinates(clouds.reshape(-1, 4), 2)


@pytest.mark.parametrize(("d", "neighbours"), [(0, 5), (20, 5), (2, 0), (2, 20)])
def test_sizes_that_cannot_be_are_refused(d, neighbours):
    with pytest.raises(TrainingError, match=f"20 points in {d} dimensions by {neighbours}"):
        isomap_coordinates(ROLL.points[:20], d, neighbours)


def test_a_line_has_no_two_dimensions():
    line = np.linspace(0, 1, 100)[:, None] * np.ones(3)
    assert isomap_coordinates(line, 1).shape == (100, 1)
    with pytest.raises(TrainingError, match="finds no 2 dimensions"):
        isomap_coordinates(line, 2)


# --- the fit ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_fit_makes_the_decoder_a_chart_with_that_metric():
    u, x = paraboloid()
    model = Autoencoder()
    losses = fit_to_coordinates(model, x, u + 7, epochs=100, batch_size=64, learning_rate=1e-2)
    assert max(losses) < 1e-3
    with torch.no_grad():
        assert (model.encoder(x) - u).square().mean() < 1e-3  # u + 7, centred
        assert (model.decoder(u) - x).square().mean() < 1e-3
    exact = torch.eye(2) + 0.16 * u[:, :, None] * u[:, None]  # as ∂_i x³ = 0.4 u_i
    assert (curvcore.metric(model.decoder, u) - exact).abs().median() < 0.05


@pytest.mark.slow
def test_after_isomap_the_decoder_is_near_an_isometry():
    scale = CommonScale.fit(ROLL.points)
    x = scale(torch.from_numpy(ROLL.points).float())
    u = isomap_coordinates(x, 2)
    model = Autoencoder(width=128)
    fit_to_coordinates(model, x, u, epochs=150, batch_size=128, learning_rate=1e-2)
    eigenvalues = torch.linalg.eigvalsh(curvcore.metric(model.decoder, model.encoder(x)))
    assert 0.7 < eigenvalues.median() < 1.3
    with torch.no_grad():
        assert (model.decoder(model.encoder(x)) - x).square().mean() < 0.05


def test_the_fit_is_reproducible_and_uses_no_global_random_numbers():
    u, x = paraboloid(100)
    first = Autoencoder()
    again = copy.deepcopy(first)
    state = torch.get_rng_state()
    one = fit_to_coordinates(first, x, u, epochs=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert fit_to_coordinates(again, x, u, epochs=3) == one
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.grad is None


def test_the_fit_takes_the_dtype_of_the_model_and_numpy_arrays():
    u, x = (array.double().numpy() for array in paraboloid(50))
    for model in (Autoencoder(), Autoencoder().double()):
        before = copy.deepcopy(model.state_dict())
        fit_to_coordinates(model, x, u, epochs=1)
        for name, value in model.state_dict().items():
            assert value.dtype == before[name].dtype
            assert not torch.equal(value, before[name])


def test_coordinates_of_other_points_are_refused():
    u, x = paraboloid(50)
    with pytest.raises(TrainingError, match=r"got \(50, 3\) and \(49, 2\)"):
        fit_to_coordinates(Autoencoder(), x, u[1:])


def test_a_fit_that_diverges_says_so():
    u, x = paraboloid(50)
    with pytest.raises(TrainingError, match="warm start diverged"):
        fit_to_coordinates(Autoencoder(), x, u * torch.inf, epochs=2)


def test_equal_points_have_no_coordinates():
    with pytest.raises(TrainingError, match="no 2 dimensions"):
        isomap_coordinates(np.ones((600, 3)), 2)
