"""Latents on the torus (R/Z)^d: shortest differences, integrals over all of it, no seam."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import trustworthiness

from tests.support.immersions import RandomImmersion, ring_torus
from tests.training.exact_autoencoders import CHART_KEYS, KEYS, NEAR, agree, trained
from training.evaluation import evaluate
from training.evaluation.charts import tear_score
from training.evaluation.curvature import quadrature
from training.evaluation.distances import pairwise
from training.evaluation.held_out import held_out_metrics
from training.evaluation.neighbourhoods import neighbourhoods
from training.models import FromTorus, MLPAutoEncoder, ToTorus

TAU = 2 * math.pi
TORUS_KEYS = KEYS | CHART_KEYS - {"procrustes_disparity", "procrustes_disparity_worst"}


def points_in_the_cube(seed, d, n=60):
    """(n, d), uniform in [0, 1)^d."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, generator=generator, dtype=torch.float64)


def flat_torus(shift=0.0):
    """(encoder, decoder) of the isometric (R/Z)^d in R^{2d}; data at z have latents z + shift."""
    to, back = ToTorus(), FromTorus()
    return (
        lambda x: torch.remainder(to(x) + shift, 1),
        lambda z: back(z - shift) / TAU,
    )


# --- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_distance_on_the_torus_is_the_least_over_all_translates(d):
    z = points_in_the_cube(1, d).numpy()
    i, j = np.triu_indices(len(z), 1)
    shifts = itertools.product((-1, 0, 1), repeat=d)
    least = np.min([np.linalg.norm(z[i] - z[j] + shift, axis=1) for shift in shifts], axis=0)
    agree(pairwise(z, periodic=True), least)
    agree(pairwise(z + 7 * (z > 0.5), periodic=True), least, factor=1e4)
    assert (pairwise(z) > least + 0.1).any()


def test_neighbours_on_the_torus_are_those_of_brute_force():
    z, data = points_in_the_cube(2, 2).numpy(), points_in_the_cube(3, 3).numpy()
    found = neighbourhoods(data, z, 7, periodic=True)
    distances = squareform(pairwise(z, periodic=True))
    precomputed = trustworthiness(distances, data, n_neighbors=7, metric="precomputed")
    agree(found["continuity"], precomputed)
    near = [np.argsort(x, axis=1)[:, 1:8] for x in (squareform(pdist(data)), distances)]
    common = [len(set(a) & set(b)) for a, b in zip(*near, strict=True)]
    agree(found["knn_recall_at_7"], np.mean(common) / 7)


def test_a_circle_has_no_seam():
    """Chords grow with arcs, so neighbours are the same; taken as an interval, the circle tears."""
    encoder, decoder = flat_torus()
    x = decoder(points_in_the_cube(4, 1))
    whole, torn = evaluate(encoder, decoder, x, periodic=True), evaluate(encoder, decoder, x)
    for key in NEAR:
        agree(whole[key], 1)
    assert torn["continuity"] < 0.99
    assert torn["knn_recall_at_10"] < 0.97


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_patch_across_the_seam_is_as_isometric_as_any(d):
    """A flat square of side 0.4 about the origin of the torus, its chart the square."""
    chart = 0.4 * (points_in_the_cube(5, d) - 0.5)
    encoder, decoder = flat_torus()
    options = {"points": decoder(chart), "chart": chart.numpy()}
    metrics = evaluate(encoder, decoder, periodic=True, **options)
    agree(metrics["spearman"], 1, factor=1e8)  # equal ranks but for rounding
    agree(metrics["stress"], 0, scale=1.0)
    agree(metrics["tear_score"], metrics["tear_score_of_isometry"], factor=1e4)
    torn = evaluate(encoder, decoder, **options)
    assert torn["spearman"] < 0.9
    assert torn["stress"] > 0.2
    assert torn["tear_score"] != pytest.approx(metrics["tear_score"], rel=0.1)


def test_tear_score_of_a_line_that_winds_round():
    """Steps of 0.3 modulo 1 along a line, k = 1: every edge has the length 0.3."""
    chart = np.arange(20.0)[:, None]
    latents = np.remainder(0.3 * chart, 1)
    agree(tear_score(latents, chart, 1, periodic=True), 1, factor=1e3)
    agree(tear_score(latents, chart, 1), 0.7 / 0.3, factor=1e3)


# --- the integral ---------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_quadrature_integrates_waves_over_the_torus(d):
    """∫ Π exp(cos 2πz_i) dz = I₀(1)^d, wherever the points are."""
    nodes, weights = quadrature(0.1 * points_in_the_cube(6, d), periodic=True)
    found = weights @ (TAU * nodes).cos().exp().prod(1)
    exact = torch.special.i0(torch.ones((), dtype=torch.float64)) ** d
    assert (found / exact - 1).abs() < (1e-14 if d <= 2 else 1e-2)
    if d <= 2:  # equidistant nodes integrate shorter waves than Gauss–Legendre ones
        agree(weights @ (TAU * 60 * nodes[:, 0]).cos(), 0, scale=1.0)


@pytest.mark.parametrize("circles", [0, 1])
def test_integral_over_a_ring_torus_times_circles(circles):
    """∫ R² dμ = 16π² (a/r³) (a/√(a² − r²) − 1), times 2π for a unit circle: a, r the radii."""
    major, minor = 2.0, 0.5
    ring, circle = ring_torus(major, minor), FromTorus()

    def decoder(z):
        return torch.cat([ring(TAU * z[:, :2]), circle(z[:, 2:])], 1)

    z = 0.3 * points_in_the_cube(7, 2 + circles)
    metrics = evaluate(lambda x: z, decoder, decoder(z), periodic=True)
    exact = 16 * math.pi**2 * major / minor**3 * (major / math.sqrt(major**2 - minor**2) - 1)
    exact *= TAU**circles
    assert metrics["integral_R2_dmu"] == pytest.approx(exact, rel=1e-2 if circles else 1e-12)
    on_the_box = evaluate(lambda x: z, decoder, decoder(z))["integral_R2_dmu"]
    assert on_the_box < 0.5 * exact


# --- the whole ------------------------------------------------------------------------------------


def test_a_translation_of_the_torus_changes_nothing():
    """Latents z + c mod 1, the decoder's argument moved back: every metric stays."""
    shift = torch.tensor([0.3, 0.7], dtype=torch.float64)
    z, bend = points_in_the_cube(8, 2, 80), RandomImmersion(3, 4, 6)
    x = bend(FromTorus()(z))
    rows = np.arange(80)
    options = {"chart": z.numpy(), "groups": rows % 2, "periodic": True}

    def measured(shift):
        return evaluate(
            lambda _: torch.remainder(z + shift, 1), lambda w: bend(FromTorus()(w - shift)), x,
            **options,
        )  # fmt: skip

    still, moved = measured(0 * shift), measured(shift)
    assert still.keys() == TORUS_KEYS
    assert still["mean_abs_R"] > 1e-3
    assert moved == pytest.approx(still, rel=1e-6, abs=1e-12)


def test_held_out_metrics_of_a_torus_are_periodic_and_not_normalised():
    torch.manual_seed(0)
    module, data = trained(MLPAutoEncoder(4, 2, (8,), latent="torus"))
    metrics = held_out_metrics(module, data)
    assert metrics.keys() == TORUS_KEYS
    auto, test = module.autoencoder, data.parts[2]
    points = module.scale(torch.from_numpy(test.points))
    options = {"chart": test.chart, "scale": module.scale.scale.item()}
    assert metrics == evaluate(auto.encoder, auto.decoder, points, periodic=True, **options)
