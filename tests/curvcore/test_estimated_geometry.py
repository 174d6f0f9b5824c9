"""EstimatedGeometry: all but R agrees with PullbackGeometry."""

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


def test_matrix_free_has_no_geometry():
    with pytest.raises(curvcore.InputError, match="not matrix-free"):
        curvcore.estimated_geometry(decoder_of(3), points(3), curvcore.Hutchinson(matrix_free=True))
