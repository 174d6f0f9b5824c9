"""Neighbourhoods, distances and charts: closed forms and brute force."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.manifold import trustworthiness

from tests.support.immersions import (
    random_points,
    random_rotation,
)
from tests.training.exact_autoencoders import CHART_KEYS, agree, identity
from training.evaluation import evaluate
from training.evaluation.charts import procrustes_disparity, stress, tear_score
from training.evaluation.distances import pairwise
from training.evaluation.neighbourhoods import neighbourhoods, ranks

# --- neighbourhoods ---------------------------------------------------------------------------


def test_recall_is_that_of_brute_force():
    data, latents = random_points(13, 5, batch=60).numpy(), random_points(14, 2, batch=60).numpy()
    near = [np.argsort(cdist(x, x), axis=1)[:, 1:8] for x in (data, latents)]
    common = [len(set(a) & set(b)) for a, b in zip(*near, strict=True)]
    agree(neighbourhoods(data, latents, 7)["knn_recall_at_7"], np.mean(common) / 7)


def test_trustworthiness_and_continuity_are_those_of_scikit_learn():
    data, latents = random_points(13, 5, batch=60).numpy(), random_points(14, 2, batch=60).numpy()
    found = neighbourhoods(data, latents, 7)
    agree(found["trustworthiness"], trustworthiness(data, latents, n_neighbors=7))
    agree(found["continuity"], trustworthiness(latents, data, n_neighbors=7))


def test_points_that_coincide_are_neighbours_and_none_is_its_own():
    data = np.repeat(random_points(15, 2, batch=15).numpy(), 2, axis=0)
    assert (np.diag(ranks(pairwise(data))) == 0).all()
    assert set(neighbourhoods(data, data, 3).values()) == {1}


def test_folds_cost_trustworthiness_and_tears_cost_continuity():
    t = np.linspace(0, 1, 101)[:-1, None]
    circle = np.concatenate([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)], 1)
    folded = neighbourhoods(t, np.abs(t - 0.5123), 10)
    torn = neighbourhoods(circle, t, 10)
    assert folded["trustworthiness"] < 0.9 < 0.95 < folded["continuity"]
    assert torn["continuity"] < 0.97 < 0.98 < torn["trustworthiness"]


# --- charts -----------------------------------------------------------------------------------


def white_chart(seed, n=60):
    """Points of the plane with mean zero and second moment exactly I/2."""
    x = random_points(seed, 2, batch=n)
    return torch.linalg.qr(x - x.mean(0)).Q.numpy() / 2**0.5


@pytest.mark.parametrize("c", [0.0, 0.5, 1.0, 4.0])
def test_procrustes_disparity_of_a_stretched_chart(c):
    """1 − (tr √(XᵀY YᵀX))² = 1 − (1 + c)²/(2 + 2c²) for Y = X diag(1, c), whatever the pose."""
    chart = white_chart(15)
    latents = 7 * chart @ np.diag([1, c]) @ random_rotation(3, 2).numpy() + 5
    expected = 1 - (1 + c) ** 2 / (2 + 2 * c**2)
    agree(procrustes_disparity(latents, chart), expected, scale=1.0)


def test_procrustes_disparity_of_a_plane_in_more_dimensions():
    chart = white_chart(16)
    latents = chart @ random_rotation(4, 3).numpy()[:2]
    agree(procrustes_disparity(latents, chart), 0, scale=1.0)


def test_stress_is_at_the_best_scale():
    rng = np.random.default_rng(0)
    distances, true_distances = rng.random(50), rng.random(50)
    scales = np.linspace(0, 3, 30001)[:, None]
    residuals = np.linalg.norm(true_distances - scales * distances, axis=1)
    smallest = residuals.min() / np.linalg.norm(true_distances)
    assert stress(distances, true_distances) == pytest.approx(smallest, rel=1e-6)
    agree(stress(9 * distances, true_distances), stress(distances, true_distances))


def test_tear_score_of_a_line():
    """Unit steps, k = 2: edges i, i + 1 and the two ends' i, i + 2; the tear is one long step."""
    chart = np.arange(50.0)[:, None]
    agree(tear_score(chart, chart, 2), 2)
    agree(tear_score(np.where(chart > 20, chart + 99, chart), chart, 2), 100)
    uneven = np.array([[0.0], [1.0], [3.0]])
    agree(tear_score(uneven, uneven, 1), 2 / 1.5)  # each edge counts once: 0–1 and 1–3


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # the tear
def test_a_torn_latent_space_scores_high():
    chart = random_points(17, 2, batch=300)
    torn = chart + 30 * (chart[:, :1] > 0)
    metrics = evaluate(lambda x: torn, lambda z: z - 30 * (z[:, :1] > 10), chart, chart=chart)
    assert metrics["mse"] < 1e-28
    assert metrics["tear_score_of_isometry"] < 5 < 50 < metrics["tear_score"]
    assert metrics["continuity"] < 0.995
    assert metrics["procrustes_disparity"] > 0.1
    assert metrics["spearman"] < 0.9


def test_groups_are_aligned_one_by_one():
    """Two clouds, moved apart and turned: isometric each; then one is stretched, or torn."""
    z, groups = random_points(18, 2, batch=80), np.arange(80) % 2
    first = torch.from_numpy(groups == 0)[:, None]
    moved = torch.where(first, z @ random_rotation(5, 2) + 9, z)

    def measured(latents, groups):
        return evaluate(lambda x: latents, identity, latents, chart=z.numpy(), groups=groups)

    apart = measured(moved, groups)
    agree(apart["spearman"], 1)
    for key in ("stress", "procrustes_disparity", "procrustes_disparity_worst"):
        agree(apart[key], 0, scale=1.0)
    agree(apart["tear_score"], apart["tear_score_of_isometry"])
    together = measured(moved, None)
    assert together["spearman"] < 0.9
    assert together["procrustes_disparity"] > 0.1
    stretch = torch.tensor([1.0, 5.0], dtype=torch.float64)
    stretched = measured(torch.where(first, moved, moved * stretch), groups)
    assert stretched["procrustes_disparity_worst"] > 0.05
    agree(stretched["procrustes_disparity"], stretched["procrustes_disparity_worst"] / 2)
    torn = measured(torch.where(first & (z[:, :1] > 0), moved + 50, moved), groups)
    assert torn["tear_score"] > 50


def test_groups_may_be_small_and_those_of_one_point_are_left_out():
    z, groups = random_points(19, 2, batch=40), np.zeros(40, dtype=int)
    groups[5], groups[6:9] = 1, 2
    with_outlier = z.clone()
    with_outlier[5] = 1000
    options = {"chart": z.numpy(), "groups": groups}
    metrics = evaluate(lambda x: with_outlier, identity, with_outlier, **options)
    agree(metrics["stress"], 0, scale=1.0)
    agree(metrics["tear_score"], metrics["tear_score_of_isometry"])
    alone = evaluate(identity, identity, z, chart=z.numpy(), groups=np.arange(40))
    assert all(np.isnan(alone[key]) for key in CHART_KEYS)
