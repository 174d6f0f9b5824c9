"""Stress between latent and geodesic distances."""

import math

import numpy as np
import pytest
import torch

from tests.support.small_runs import fit, gaussians, one_line, write_config
from training.__main__ import main
from training.data import SwissRoll
from training.errors import TrainingError
from training.functionals import FlatMetric, GraphStress
from training.geodesic_distances import to_landmarks
from training.latents import check_terms
from training.log import log_of
from training.models import MLPAutoEncoder
from training.terms import Term, Terms

STRESS = {"functional": {"class_path": "training.functionals.GraphStress"}, "weight": 1.0}


def line(n=9):
    """n points of a line, one apart, in R³: the graph of 2 neighbours has its exact distances."""
    return torch.arange(n, dtype=torch.float64)[:, None] * torch.tensor([2.0, 1.0, 2.0]) / 3


def test_distances_of_a_line_are_exact():
    places, distances = to_landmarks(line().numpy(), 2, 4)
    assert distances.shape == (9, 4)
    assert np.allclose(distances, abs(np.arange(9)[:, None] - places))


def test_distances_follow_the_roll():
    """Shortest paths are longer than geodesics, by a few percent, and never much shorter."""
    roll = SwissRoll(n=3000).load()
    places, distances = to_landmarks(roll.points, 10, 50)
    true = np.linalg.norm(roll.chart[:, None] - roll.chart[places], axis=2)
    far = true > 10
    assert (distances[far] / true[far]).min() > 0.97
    assert (distances[far] / true[far]).mean() < 1.1


@pytest.mark.parametrize("power", [0, 1, 2])
def test_an_isometry_has_no_stress_and_a_scaling_has_its_square(power):
    stress = GraphStress(2, power=power).fit(line())
    for scale in (1.0, 1.5):
        found = stress(lambda x, s=scale: s * x[:, :1] * 1.5)
        assert found.item() == pytest.approx((scale - 1) ** 2, abs=1e-12)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_it_is_the_sum_over_all_pairs(power):
    """Where all points and landmarks are drawn."""
    stress, x = GraphStress(2, power=power).fit(line()), line()
    z = torch.randn(9, 2, dtype=torch.float64)
    numerator = denominator = 0.0
    for i in range(9):
        for j in set(range(9)) - {i}:
            delta, d = abs(i - j), math.dist(z[i], z[j])
            numerator += (delta - d) ** 2 / delta**power
            denominator += delta ** (2 - power)
    table = {tuple(point.tolist()): latent for point, latent in zip(x, z, strict=True)}

    def encoder(points):
        return torch.stack([table[tuple(point.tolist())] for point in points])

    assert stress(encoder).item() == pytest.approx(numerator / denominator, rel=1e-12)


def test_gradients_are_finite_where_latents_coincide():
    z = torch.zeros(9, 2, dtype=torch.float64, requires_grad=True)
    GraphStress(2).fit(line())(lambda x: x @ torch.zeros(3, 2, dtype=x.dtype) + z.sum(0)).backward()
    assert torch.isfinite(z.grad).all()


def test_a_seed_draws_the_same_pairs():
    stress = GraphStress(2, points=3, pairs=2).fit(line())
    found = [stress(lambda x: x[:, :2].sin(), seed).item() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_it_must_have_seen_points_and_a_connected_graph():
    with pytest.raises(TrainingError, match=r"call its fit\(x\) first"):
        GraphStress()(lambda x: x)
    with pytest.raises(TrainingError, match="falls apart into 2 components"):
        GraphStress(2).fit(torch.cat([line(), line() + 100]))
    with pytest.raises(TrainingError, match="must be 1 or more"):
        GraphStress(0)


def test_it_is_for_a_plane():
    terms = {"stress": Term(GraphStress(), 1.0)}
    with pytest.raises(TrainingError, match=r"terms\.stress: GraphStress is for a plane"):
        check_terms(terms, MLPAutoEncoder(3, 2, (4,), latent="torus"))


def test_terms_at_one_step_draw_by_the_step():
    terms, model = (
        Terms({"stress": Term(GraphStress(2, points=3), 2.0)}),
        MLPAutoEncoder(3, 2, (4,)),
    )
    terms.of_all_points[0].fit(line().float(), 0)
    x = line().float()
    found = [terms(model, x, model.encoder(x), 0, seed)[0]["stress"] for seed in (0, 0, 1)]
    assert [weight for weight, _ in found] == [2.0] * 3
    assert found[0][1] == found[1][1] != found[2][1]


@pytest.mark.slow
def test_a_run_has_it_keeps_it_out_of_its_checkpoints_and_resumes(tmp_path):
    source = gaussians(offset=0.0)
    whole = fit(tmp_path / "whole", source, epochs=3, terms={"stress": STRESS})
    again = fit(tmp_path / "again", source, epochs=3, terms={"stress": STRESS})
    saved = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert not [name for name in saved["state_dict"] if "stress" in name]
    values = [float(row["train/stress"]) for row in log_of(whole) if row["train/stress"]]
    assert 0 < values[-1] < values[0]
    config = ["--config", str(tmp_path / "again.yaml")]
    longer = [*config, "--run", str(again), "--resume", "--trainer.max_epochs", "5"]
    assert main(["fit", *longer]) == 0
    assert len([row for row in log_of(again) if row["train/stress"]]) == 5


def test_clouds_that_lie_apart_are_one_line(tmp_path, capsys):
    config = write_config(tmp_path / "a.yaml", gaussians(offset=1e4), terms={"stress": STRESS})
    assert main(["fit", "--config", str(config), "--run", str(tmp_path / "a")]) == 2
    assert "falls apart into 3 components" in one_line(capsys)


# --- FlatVI's -------------------------------------------------------------------------------------


def test_flat_metric_is_the_distance_from_a_multiple_of_the_identity():
    stretch = torch.tensor([2.0, 3.0])
    z, functional = torch.randn(5, 2), FlatMetric(2.0)
    found = functional(lambda z: stretch * z, z)
    assert found.item() == pytest.approx((4 - 2) ** 2 + (9 - 2) ** 2, rel=1e-5)
    found.backward()  # ∂/∂log α Σ (λ − α)² = −2α Σ (λ − α)
    assert functional.log_alpha.grad.item() == pytest.approx(-2 * 2 * (2 + 7), rel=1e-5)


def test_flat_metric_needs_a_positive_scale():
    with pytest.raises(TrainingError, match="alpha must be positive"):
        FlatMetric(0.0)
