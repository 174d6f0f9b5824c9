"""Which integral each measure estimates, and that it does not depend on the number of processes."""

import math

import pytest
import torch

from tests.training.surfaces import plane, sphere
from training.densities import density_of
from training.errors import TrainingError
from training.functionals import LatentSample, SampledGeometry
from training.measures import (
    EncodedPoints,
    ImportanceWeights,
    Mixtures,
    QuadratureGrid,
    SmoothedPoints,
    UniformBox,
    UniformTorus,
)

LIKE = torch.zeros(1, dtype=torch.float64)


def sphere_area(low, high):
    """The area of the stereographic image of a square, to ten digits: ∫ 4/(1 + |u|²)² du."""
    grid = QuadratureGrid((low, low), (high, high), 64).grid(LIKE)
    return (grid.weights * 4 / (1 + grid.z.square().sum(1)) ** 2).sum().item()


def encoded(n, seed=0):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def test_quadrature_gives_the_area_of_a_cap_and_gauss_bonnet():
    """Over the square |u_i| ≤ 1: ∫ K dA = area/r² and the area is that of the closed form."""
    for radius in (0.5, 2.0):
        grid = QuadratureGrid((-1, -1), (1, 1), 24).grid(LIKE)
        on = SampledGeometry(sphere(radius), grid)
        area = on.integral(torch.ones_like(grid.z[:, 0])).item()
        assert area == pytest.approx(radius**2 * sphere_area(-1, 1), rel=1e-10)
        assert on.integral(on.geometry.scalar / 2).item() == pytest.approx(area / radius**2)
    # A hemisphere is the disc |u| < 1: the square's corners add 4 times what lies beyond it.
    assert 2 * math.pi < sphere_area(-1, 1) < 4 * math.pi


def test_quadrature_is_exact_for_polynomials_and_for_waves_on_a_torus():
    grid = QuadratureGrid((-1, 0), (2, 3), 4).grid(LIKE)
    x, y = grid.z.unbind(1)
    found = (grid.weights * x**7 * y**6).sum().item()
    assert found == pytest.approx((2**8 - 1) / 8 * 3**7 / 7, rel=1e-12)
    torus = QuadratureGrid((0,), (1,), 8, periodic=True).grid(LIKE)
    wave = torch.cos(2 * math.pi * 3 * torus.z[:, 0])
    assert (torus.weights * wave**2).sum().item() == pytest.approx(1 / 2, rel=1e-12)
    assert (torus.weights * wave).sum().item() == pytest.approx(0, abs=1e-12)


def test_a_grid_is_for_one_or_two_dimensions():
    with pytest.raises(TrainingError, match="d = 1 or 2"):
        QuadratureGrid((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("high", "nodes", "message"),
    [((1, -1), 4, "at most its high"), ((1, math.inf), 4, "finite"), ((1, 1), 0, "nodes")],
)
def test_what_is_no_grid(high, nodes, message):
    with pytest.raises(TrainingError, match=message):
        QuadratureGrid((0, 0), high, nodes)


@pytest.mark.parametrize("beyond", [-0.1, math.nan, math.inf])
def test_mixtures_go_a_finite_way_beyond(beyond):
    with pytest.raises(TrainingError, match="beyond must be 0 or more"):
        Mixtures(beyond)


def standard_error(sample, values):
    """Of Σ w φ with independent points."""
    return (sample.weights * values).std().item() * len(values) ** 0.5


@pytest.mark.parametrize("measure", [UniformBox(), UniformTorus()])
def test_uniform_measures_estimate_the_integral(measure):
    points = torch.cat([encoded(20_000), -torch.ones(1, 2), torch.ones(1, 2)]).double()
    sample = measure.sample(points, seed=3)
    low, high = (0, 1) if isinstance(measure, UniformTorus) else (-1, 1)
    values = 4 / (1 + sample.z.square().sum(1)) ** 2
    error = (sample.weights * values).sum().item() - sphere_area(low, high)
    assert abs(error) < 4 * standard_error(sample, values)
    assert abs(sample.weights.sum().item() - (high - low) ** 2) < 1e-6


def test_encoded_points_estimate_the_mean_over_the_data():
    points = encoded(1000)
    sample = EncodedPoints().sample(points, seed=0)
    assert torch.equal(sample.z, points)
    found = (sample.weights * points[:, 0]).sum().item()
    assert found == pytest.approx(points[:, 0].mean().item())


def test_mixtures_lie_on_segments_and_a_little_beyond():
    points = encoded(4000)
    sample = Mixtures(beyond=0.25).sample(points, seed=1)
    # E |z|² over segments: E[(1−t)² + t²] E|z_i|² for independent centred ends.
    t = torch.linspace(-0.25, 1.25, 10_001, dtype=torch.float64)
    expected = ((1 - t) ** 2 + t**2).mean() * (2 / 3)
    squares = sample.z.square().sum(1)
    error = (sample.weights * squares).sum().item() - expected.item()
    assert abs(error) < 5 * standard_error(sample, squares)
    assert sample.z.abs().amax() > 1


def test_importance_weights_estimate_the_area_of_the_support():
    """Of a square of side 2, up to the kernel's known bias at the rim: p there is spread outwards.

    With bandwidth h, E Σ w = (∫ dx / (Φ(x/h) − Φ((x − 2)/h)))² for uniform points.
    """
    uniform = encoded(3000)
    h = (3000 ** (-1 / 6) * uniform.std(0)).mean()
    x = torch.linspace(0, 2, 10_001, dtype=torch.float64)
    smoothed = torch.special.ndtr(x / h) - torch.special.ndtr((x - 2) / h)
    expected = torch.trapezoid(1 / smoothed, x).item() ** 2
    assert 4 < expected < 5.5
    sample = ImportanceWeights().sample(uniform, seed=0)
    assert sample.weights.sum().item() == pytest.approx(expected, rel=0.03)
    flat = SampledGeometry(plane, sample)
    area = flat.integral(torch.ones_like(sample.weights)).item()
    assert area == pytest.approx(sample.weights.sum().item())


def test_importance_weights_undo_a_density():
    """Points crowded in one corner: ∫ x dz / ∫ dz = 1, and the plain mean of the points is 0.8."""
    crowded = 2 * ((encoded(3000) + 1) / 2) ** 1.5
    sample = ImportanceWeights().sample(crowded, seed=0)
    centre = (sample.weights * sample.z[:, 0]).sum() / sample.weights.sum()
    assert crowded[:, 0].mean().item() == pytest.approx(0.8, rel=0.03)
    assert centre.item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    "measure", [Mixtures(), SmoothedPoints(), UniformBox(), UniformTorus(), ImportanceWeights()]
)
def test_samples_are_reproducible_and_differ_by_seed(measure):
    points = encoded(50)
    one, same, other = (measure.sample(points, seed) for seed in (5, 5, 6))
    assert torch.equal(one.z, same.z)
    if not isinstance(measure, ImportanceWeights):
        assert not torch.equal(one.z, other.z)


@pytest.mark.parametrize(
    "measure",
    [
        EncodedPoints(),
        Mixtures(),
        SmoothedPoints(),
        UniformBox(),
        UniformTorus(),
        ImportanceWeights(),
    ],
    ids=repr,
)
def test_the_points_of_all_processes_make_one_sample(measure, monkeypatch):
    """Two processes with half of the batch each hold what one process would."""
    points = encoded(40)
    alone = measure.sample(points, seed=2)
    density, parts = density_of(points)[0], []
    for rank in (0, 1):
        for module in ("training.measures", "training.densities"):
            monkeypatch.setattr(f"{module}.gathered", lambda z: points if z.ndim > 1 else density)
        monkeypatch.setattr("training.reductions.processes", lambda rank=rank: (rank, 2))
        monkeypatch.setattr("training.densities.processes", lambda rank=rank: (rank, 2))
        if isinstance(measure, EncodedPoints | SmoothedPoints):
            monkeypatch.setattr("training.functionals.base.total", lambda x: 2 * x.sum())
        parts.append(measure.sample(points[rank::2], seed=2))
    together = LatentSample(
        torch.cat([part.z for part in parts]), torch.cat([part.weights for part in parts])
    )
    order_one, order_other = alone.z[:, 0].argsort(), together.z[:, 0].argsort()
    assert torch.allclose(alone.z[order_one], together.z[order_other])
    assert torch.allclose(alone.weights[order_one], together.weights[order_other])


def test_the_kernel_density_is_that_of_its_formula():
    points = encoded(30)
    log_density, slope = density_of(points)
    covariance = torch.cov(points.mT) * 30 ** (-1 / 3)
    kernel = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance)

    def expected(z):
        return (kernel.log_prob(z - points).exp().sum() - kernel.log_prob(z - z).exp()) / 29

    densities = torch.stack([expected(z) for z in points])
    assert (densities > densities.median() / 1e3).all()
    assert torch.allclose(log_density, densities.log(), rtol=1e-12)
    others = [torch.cat([points[:i], points[i + 1 :]]) for i in range(30)]
    for i, z in enumerate(points.clone().requires_grad_()):
        log = (kernel.log_prob(z - others[i]).exp().sum() / 29).log()
        assert torch.allclose(torch.autograd.grad(log, z)[0], slope[i], rtol=1e-10)


def test_a_repeated_point_is_as_dense_as_two_points_close_by():
    points = encoded(40)
    twice = torch.cat([points, points[:3]])
    jittered = torch.cat([points, points[:3] + 1e-9])
    (found, slope), (expected, other) = density_of(twice), density_of(jittered)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(slope, other, atol=1e-6)


@pytest.mark.parametrize("count", [2, 4])
def test_two_processes_see_the_density_of_one(count, monkeypatch):
    """In eight dimensions, where solves of several sizes round differently."""
    points = torch.randn(40, 8, dtype=torch.float64)
    log_density, slope = density_of(points)
    for rank in range(count):
        monkeypatch.setattr("training.reductions.processes", lambda r=rank: (r, count))
        monkeypatch.setattr("training.densities.processes", lambda r=rank: (r, count))
        monkeypatch.setattr(
            "training.densities.gathered", lambda z: points if z.ndim > 1 else log_density
        )
        found = density_of(points[rank::count])
        assert torch.allclose(found[0], log_density[rank::count], rtol=1e-12)
        assert torch.allclose(found[1], slope[rank::count], rtol=1e-10)


def test_rare_points_count_as_a_thousandth_of_the_median_density():
    points = torch.cat([encoded(50), torch.full((1, 2), 40.0, dtype=torch.float64)])
    log_density, slope = density_of(points)
    assert log_density[-1].item() == pytest.approx(log_density.median().item() - math.log(1e3))
    assert not slope[-1].any()


def test_collapsed_points_have_no_density():
    line = torch.zeros(10, 2, dtype=torch.float64)
    with pytest.raises(TrainingError, match="hyperplane"):
        ImportanceWeights().sample(line, seed=0)
