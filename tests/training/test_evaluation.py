"""Evaluation against closed forms, numeric integrals and brute force."""

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

import curvcore
from tests.support.immersions import (
    RandomImmersion,
    random_points,
    stereographic_sphere,
)
from tests.training.exact_autoencoders import (
    CHART_KEYS,
    COUNTS,
    ISOMETRY,
    KEYS,
    NEAR,
    RAW,
    UNITS,
    agree,
    fold,
    identity,
    latents_only,
    network,
    plane,
    sphere,
)
from training.errors import TrainingError
from training.evaluation import evaluate
from training.evaluation.curvature import FEWER_SOBOL_POINTS, isometry, quadrature

# --- an exact isometry, and what all metrics say of it --------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_an_isometry_has_the_best_value_of_every_metric(d, dtype):
    z = random_points(1, d, batch=80, dtype=dtype)
    encoder, decoder = plane(d, dtype=dtype)
    metrics = evaluate(encoder, decoder, decoder(z), chart=z.numpy(), scale=3.0)
    units = torch.finfo(dtype).eps / torch.finfo(torch.float64).eps
    best = dict.fromkeys(("r2", "mcn", "spearman", *NEAR), 1) | {"relaxed_distortion": 1 / d}
    best |= dict.fromkeys((*UNITS, *RAW, *COUNTS, "mse", "vor", "var_log_det_g"), 0)
    best |= dict.fromkeys(("procrustes_disparity", "procrustes_disparity_worst"), 0)
    for key, value in best.items():
        # A rounding of distances may exchange two neighbours or two ranks: one in 80 · 10.
        loose = 1e-3 if dtype is torch.float32 and key in {"spearman", *NEAR} else 0
        assert abs(metrics[key] - value) <= loose + 1000 * 2**-52 * units, key
    assert metrics["stress"] < 1000 * 2**-52 * units
    assert metrics["tear_score"] == pytest.approx(metrics["tear_score_of_isometry"], rel=1e-5)


def test_keys():
    z = random_points(1, 2, batch=30)
    encoder, decoder = plane(2)
    without = evaluate(encoder, decoder, decoder(z))
    assert set(without) == KEYS
    with_chart = evaluate(encoder, decoder, decoder(z), chart=z.numpy())
    assert set(with_chart) == KEYS | CHART_KEYS
    assert all(type(value) is float for value in with_chart.values())
    assert "knn_recall_at_5" in evaluate(encoder, decoder, decoder(z), neighbours=5)


# --- reconstruction ---------------------------------------------------------------------------


def test_reconstruction_pools_coordinates_of_unequal_variance():
    x = random_points(2, 3, batch=50) * torch.tensor([1.0, 5.0, 20.0], dtype=torch.float64) + 4
    shift = torch.tensor([0.1, 0.0, 0.5], dtype=torch.float64)
    metrics = evaluate(identity, lambda z: z + shift, x, scale=3.0)
    agree(metrics["mse"], (0.01 + 0.25) / 3, factor=1e4)
    agree(metrics["mse_raw"], 9 * (0.01 + 0.25) / 3, factor=1e4)
    total = (x - x.mean(0)).square().sum()
    agree(metrics["r2"], 1 - 50 * shift.square().sum() / total, factor=1e4)


def test_decoders_of_images_are_flattened():
    encoder, decoder = plane(2, ambient=8)
    x = decoder(random_points(2, 2, batch=30))
    images = evaluate(encoder, lambda z: decoder(z).reshape(-1, 2, 2, 2), x)
    assert images == evaluate(encoder, decoder, x)


# --- curvature ------------------------------------------------------------------------------


def test_sphere_has_constant_curvature_and_its_integral_is_that_times_the_area():
    radius, z = 1.5, random_points(3, 2, batch=60)
    encoder, decoder = sphere(radius)
    metrics = evaluate(encoder, decoder, decoder(z))
    for key in ("mean_abs_R", "median_abs_R", "p95_abs_R"):
        agree(metrics[key], 2 / radius**2, factor=1e4)
    (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
    density = 4 * radius**2 / (1 + z.square().sum(1)) ** 2
    agree(metrics["mean_R2"], 4 / radius**4, factor=1e4)
    agree(metrics["mean_R2_sqrt_det_g"], (4 / radius**4 * density).mean(), factor=1e4)
    area, _ = dblquad(lambda x, y: 4 * radius**2 / (1 + x**2 + y**2) ** 2, bottom, top, left, right)
    agree(metrics["integral_R2_dmu"], 4 / radius**4 * area, factor=1e5)


def test_integral_over_the_box_in_three_dimensions():
    """S³(r): R = 6/r², dμ = (2r/(1 + |z|²))³ dz, against Gauss–Legendre."""
    radius, z = 1.5, random_points(4, 3, batch=60)
    encoder, decoder = sphere(radius)
    metrics = evaluate(encoder, decoder, decoder(z))
    low, high = z.amin(0).numpy(), z.amax(0).numpy()
    x, w = np.polynomial.legendre.leggauss(20)
    axes = [(a + b) / 2 + (b - a) / 2 * x for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    density = (2 * radius / (1 + (grid**2).sum(0))) ** 3
    volume = np.einsum("i,j,k,ijk->", w, w, w, density) * ((high - low) / 2).prod()
    assert metrics["integral_R2_dmu"] == pytest.approx(36 / radius**4 * volume, rel=2e-3)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_quadrature_integrates_monomials_over_the_box(d):
    z = random_points(5, d, batch=40) + 1
    nodes, weights = quadrature(z)
    low, high = z.amin(0), z.amax(0)
    assert ((low <= nodes) & (nodes <= high)).all()
    exact = (high**3 - low**3).div(3).prod()  # ∫ Π z_i²
    error = (weights @ nodes.square().prod(1) / exact - 1).abs()
    assert error < (1e-12 if d <= 2 else 3e-3)


def test_quadrature_in_many_dimensions_has_fewer_nodes():
    """In each coordinate one Sobol point lies in each of n intervals: errors are at most V(φ)/n."""
    z = random_points(5, 9, batch=40)
    nodes, weights = quadrature(z)
    assert nodes.shape == (FEWER_SOBOL_POINTS, 9)
    low, high = z.amin(0), z.amax(0)
    assert (weights.sum() / (high - low).prod() - 1).abs() < 1e-12
    means = (weights @ nodes) / weights.sum()
    assert ((means - (low + high) / 2).abs() <= (high - low) / FEWER_SOBOL_POINTS).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_raw_units_are_those_of_the_model_in_raw_units(d):
    """Every key with suffix _raw is the key without it of the decoder scale · Ψ."""
    scale, immersion = 2.5, RandomImmersion(1, d, 6)
    z = random_points(6, d, batch=40)
    scaled = latents_only(immersion, z, scale=scale)
    raw = latents_only(lambda z: scale * immersion(z), z)
    assert d == 1 or scaled["mean_abs_R"] > 1e-3
    for key in UNITS:
        agree(scaled[f"{key}_raw"], raw[key], scale=abs(raw[key]) + 1e-12, factor=1e4)
        agree(raw[f"{key}_raw"], raw[key], scale=abs(raw[key]) + 1e-12, factor=1)


@pytest.mark.slow
def test_curvature_statistics_are_those_of_the_curvature():
    immersion, z = RandomImmersion(2, 2, 5), random_points(7, 2, batch=100)
    metrics = latents_only(immersion, z, chunk_size=7)
    geometry = curvcore.pullback(immersion, z)
    R = geometry.scalar.detach().abs().numpy()
    agree(metrics["mean_abs_R"], R.mean(), factor=1e4)
    agree(metrics["median_abs_R"], np.median(R), factor=1e4)
    agree(metrics["p95_abs_R"], np.percentile(R, 95), factor=1e4)
    expected = (geometry.scalar.square() * geometry.volume_density).mean().detach()
    agree(metrics["mean_R2_sqrt_det_g"], expected, factor=1e4)


# --- isometry -------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.25, 1.0, 3.0, 1e6])
def test_isometry_of_a_linear_map(c):
    """Ψ = diag(1, c) z: the metric is constant, diag(1, c²)."""
    z = random_points(8, 2, batch=30)
    stretch = torch.tensor([1.0, c], dtype=torch.float64)
    metrics = evaluate(lambda x: x / stretch, lambda z: z * stretch, z * stretch)
    agree(metrics["mcn"], max(c, 1 / c) ** 2, factor=1e3)
    agree(metrics["relaxed_distortion"], (1 + c**4) / (1 + c**2) ** 2)
    agree(metrics["vor"], 0, scale=1e-3)
    agree(metrics["var_log_det_g"], 0, scale=1e-3)


def test_isometry_of_a_metric_that_varies():
    """Ψ = (e^u, v): G = diag(e^{2u}, 1)."""
    z = random_points(9, 2, batch=50)
    metrics = latents_only(lambda z: torch.cat([z[:, :1].exp(), z[:, 1:]], 1), z)
    u = z[:, 0]
    mean = (2 * u).exp().mean()
    agree(metrics["mcn"], (2 * u.abs()).exp().mean(), factor=1e3)
    agree(metrics["vor"], (2 * u - mean.log()).square().mean(), factor=1e3)
    expected = ((4 * u).exp().mean() + 1) / (mean + 1) ** 2
    agree(metrics["relaxed_distortion"], expected, factor=1e3)
    agree(metrics["var_log_det_g"], 4 * u.var(correction=0), factor=1e3)


def test_variance_of_the_metric_is_that_of_its_generalised_eigenvalues():
    """Non-commuting metrics; VoR does not change under a linear change of coordinates."""
    factors = torch.randn(20, 3, 3, dtype=torch.float64) / 4 + torch.eye(3, dtype=torch.float64)
    metric = factors @ factors.mT
    eigenvalues = torch.linalg.eigvals(torch.linalg.solve(metric.mean(0), metric)).real
    expected = eigenvalues.log().square().sum(1).mean()
    agree(isometry(metric)["vor"], expected, factor=1e5)
    change = torch.randn(3, 3, dtype=torch.float64)
    agree(isometry(change.mT @ metric @ change)["vor"], expected, factor=1e6)


# --- degenerate points ------------------------------------------------------------------------


def test_degenerate_points_are_counted_and_left_out():
    z = random_points(10, 2, batch=40)
    z[:3, 0] = 0
    metrics = latents_only(fold, z)
    assert metrics["degenerate_points"] == 3
    u = z[3:, 0]
    ratio = torch.maximum(4 * u**2, 1 / (4 * u**2)).mean()
    agree(metrics["mcn"], ratio, factor=1e3)
    agree(metrics["var_log_det_g"], (4 * u**2).log().var(correction=0), factor=1e3)
    agree(metrics["mean_abs_R"], 0, scale=1e3)


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # of where
def test_degenerate_nodes_of_the_integral_are_counted_and_left_out():
    """A sphere of which the decoder collapses the part u > 0: half the integral remains."""
    whole = stereographic_sphere()
    z = random_points(11, 2, batch=40)
    z[0], z[1] = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])

    def half(z):
        return torch.where(z[:, :1] > 0, z.new_zeros(1), whole(z))

    left = z.clone()
    left[:, 0] = -left[:, 0].abs()
    left[1, 0] = 0
    metrics = evaluate(lambda x: z, half, half(z))
    assert metrics["degenerate_points"] == int((z[:, 0] > 0).sum()) > 0
    assert metrics["degenerate_quadrature_points"] == 64 * 32
    expected = latents_only(whole, left)["integral_R2_dmu"]
    assert metrics["integral_R2_dmu"] == pytest.approx(expected, rel=0.02)


def test_a_collapsed_autoencoder_gets_numbers_or_nan_and_no_error():
    x = random_points(12, 3, batch=40)
    metrics = evaluate(
        lambda x: 0 * x[:, :2], lambda z: 0 * z @ z.new_ones(2, 3), x, chart=x[:, :2]
    )
    assert metrics["degenerate_points"] == 40
    undefined = {*UNITS, *RAW, *ISOMETRY, "spearman", "tear_score"}
    assert {key for key, value in metrics.items() if np.isnan(value)} == undefined
    assert metrics["procrustes_disparity"] == metrics["stress"] == 1
    agree(metrics["mse"], x.square().mean())


# --- the whole --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def autoencoder():
    """(encoder, decoder, points, chart, groups): an ordinary network, untrained."""
    encoder, decoder, x = network()
    return encoder, decoder, x, x[:, :2].numpy(), np.arange(len(x)) % 3


def test_a_permutation_of_the_points_changes_nothing(autoencoder):
    encoder, decoder, x, chart, groups = autoencoder
    before = evaluate(encoder, decoder, x, chart=chart, groups=groups)
    order = np.random.default_rng(0).permutation(len(x))
    after = evaluate(encoder, decoder, x[order], chart=chart[order], groups=groups[order])
    assert after == pytest.approx(before, rel=1e-9)


def test_the_size_of_pieces_changes_nothing(autoencoder):
    encoder, decoder, x, chart, _ = autoencoder
    whole = evaluate(encoder, decoder, x, chart=chart)
    assert evaluate(encoder, decoder, x, chart=chart, chunk_size=37) == pytest.approx(whole, 1e-9)


def test_most_points_bounds_what_grows_quadratically_and_nothing_else(autoencoder):
    encoder, decoder, x, chart, _ = autoencoder
    everything = evaluate(encoder, decoder, x, chart=chart)
    one, again, other = (
        evaluate(encoder, decoder, x, chart=chart, most_points=50, seed=s) for s in (1, 1, 2)
    )
    assert one == again
    quadratic = {*NEAR, "spearman", "stress"}
    for few, many in ((one, everything), (one, other)):
        assert {key for key in few if few[key] != many[key]} == quadratic


def test_evaluation_leaves_no_gradient_and_no_trace(autoencoder):
    encoder, decoder, x, _, _ = autoencoder
    before, state = x.clone(), torch.random.get_rng_state()
    recording = []

    def watched(x):
        recording.append(torch.is_grad_enabled())
        return encoder(x)

    evaluate(watched, decoder, x)
    assert not any(recording)
    assert torch.equal(x, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(p.grad is None for p in (*encoder.parameters(), *decoder.parameters()))


POINTS = random_points(20, 2, batch=40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": POINTS[0]}, r"\(n, D\); got \(2,\)"),
        ({"points": POINTS.numpy()[:, :1].tolist()}, "got list"),
        ({"points": POINTS[:20]}, "more than 20 points; got 20"),
        ({"most_points": 20}, "at most 20 are compared"),
        ({"neighbours": 0}, "neighbours"),
        ({"scale": 0}, "scale must be a positive number; got 0"),
        ({"scale": float("nan")}, "scale"),
        ({"chart": POINTS[:-1].numpy()}, r"\(40, k\) for 40 points; got \(39, 2\)"),
        ({"chart": np.full((40, 2), np.nan)}, "finite"),
        ({"chart": POINTS.numpy(), "groups": np.zeros(3)}, r"groups must be \(40,\)"),
        ({"encoder": lambda x: x[:, 0]}, r"encoder must map .* made \(40,\)"),
        ({"encoder": lambda x: x / (x - x[3])}, "encoder gives NaN or Inf at 1 of 40 .* point 3"),
        ({"decoder": lambda z: torch.cat([z, z], 1)}, r"made \(40, 4\)"),
    ],
)
def test_errors_say_what_was_got(change, message):
    arguments = {"encoder": identity, "decoder": identity, "points": POINTS} | change
    with pytest.raises(TrainingError, match=message):
        evaluate(**arguments)


def test_a_decoder_that_gives_nan_is_named():
    with pytest.raises(TrainingError, match="decoder gives NaN or Inf at"):
        evaluate(identity, lambda z: z + torch.sqrt(z - 0.5), POINTS)
