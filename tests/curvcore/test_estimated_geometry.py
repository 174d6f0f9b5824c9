"""EstimatedGeometry: all but R agrees with PullbackGeometry."""

from itertools import product

import pytest
import torch

import curvcore
from tests.curvcore.test_hutchinson import decoder_of

QUANTITIES = (
    "metric", "inverse_metric", "volume_density", "log_volume_density", "is_degenerate",
)  # fmt: skip


def points(d):
    return torch.randn(4, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_first_order_is_exact(derivatives):
    decoder, z = decoder_of(4), points(4)
    exact = curvcore.pullback(decoder, z, derivatives=derivatives)
    found = curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(), derivatives=derivatives)
    for name in QUANTITIES:
        one, other = getattr(found, name), getattr(exact, name)
        assert (one * 1.0 - other * 1.0).norm() <= 1e-12 * (1 + other.double().norm()), name
    df = torch.randn(4, 4, dtype=torch.float64)
    norms = [geometry.gradient_norm_squared(df) for geometry in (found, exact)]
    assert (norms[0] - norms[1]).norm() <= 1e-12 * norms[1].norm()
    slopes = torch.einsum("biik->bk", exact.christoffel)
    assert (found.log_volume_gradient - slopes).norm() <= 1e-12 * slopes.norm()


@pytest.mark.parametrize(("d", "k"), [(2, 3), (3, 3), (2, 4)])
def test_the_mean_of_the_gradient_norm_over_all_signs(d, k):
    decoder, z, signs = decoder_of(d), points(d)[:1], (-1.0, 1.0)
    slope = torch.arange(1.0, d + 1, dtype=torch.float64)[None]
    exact = curvcore.pullback(decoder, z)
    gradient = torch.einsum("biik->bk", exact.christoffel)
    expected = exact.gradient_norm_squared(gradient - slope)
    draws = torch.tensor([*product(signs, repeat=k * d)], dtype=torch.float64)
    found = curvcore.estimated_geometry(decoder, z.expand(len(draws), -1), curvcore.Hutchinson(k))
    found._components = draws.unflatten(1, (k, d))
    values = found.log_volume_gradient_norm_squared(slope.expand(len(draws), -1))
    assert abs(values.mean() - expected) <= 1e-11 * values.abs().mean()
    assert values.std() > 0.01 * expected  # there was something to average


def test_the_gradient_norm_needs_three_probes():
    found = curvcore.estimated_geometry(decoder_of(3), points(3), curvcore.Hutchinson(2))
    with pytest.raises(curvcore.InputError, match="three probes at least; got 2"):
        found.log_volume_gradient_norm_squared(points(3))


def test_one_draw():
    decoder, z = decoder_of(4), points(4)
    generator = torch.Generator().manual_seed(0)
    found = curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(5, generator=generator))
    assert found.scalar is found.estimate.value
    assert torch.equal(found.scalar, found.estimate.value)
    generator.manual_seed(0)
    estimator = curvcore.Hutchinson(5, generator=generator)
    expected = curvcore.scalar_curvature(decoder, z, estimator=estimator)
    assert (found.scalar - expected).norm() <= 1e-12 * expected.norm()


def test_degenerate_points():
    inner, z = decoder_of(3), torch.ones(3, 3, dtype=torch.float64)
    z[1, 2] = 0

    def decoder(z):
        return inner(torch.cat([z[:, :2], z[:, 2:] ** 2], 1))

    def at(fill):
        return curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(4), on_degenerate=fill)

    with pytest.raises(curvcore.DegenerateMetricError):
        _ = at("raise").inverse_metric
    assert at("nan").scalar.isnan().tolist() == [False, True, False]
    flat = at("flat")
    assert flat.scalar[1] == 0
    assert torch.equal(flat.metric[1], torch.eye(3, dtype=torch.float64))
    assert torch.equal(flat.inverse_metric[1], torch.eye(3, dtype=torch.float64))
    assert flat.log_volume_density[1] == 0
    assert flat.log_volume_gradient[1].abs().max() == 0
    assert flat.log_volume_gradient_norm_squared(z)[1] == 0


def test_matrix_free_has_no_geometry():
    with pytest.raises(curvcore.InputError, match="not matrix-free"):
        curvcore.estimated_geometry(decoder_of(3), points(3), curvcore.Hutchinson(matrix_free=True))
