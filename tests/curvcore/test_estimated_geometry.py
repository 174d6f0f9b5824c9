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
    assert flat.gradient_norm_squared(z)[1] == 0
    with pytest.raises(curvcore.DegenerateMetricError):
        at("raise").gradient_norm_squared(z)


def test_second_derivatives_that_are_not_finite():
    """At regular points of the metric."""
    z = points(4)
    z[1, 0] = 0

    def decoder(z):
        return torch.cat([z, z.abs().pow(1.5), z[:, :1] * z[:, 1:2]], 1)

    def both(fill):
        at = curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(4), on_degenerate=fill)
        assert at.is_degenerate.tolist() == [False, True, False, False]
        return at.scalar, at.log_volume_gradient_norm_squared(z)

    for number in both("nan"):
        assert number.isnan().tolist() == [False, True, False, False]
    for number in both("flat"):
        assert number.isfinite().all()
        assert number[1] == 0
    with pytest.raises(curvcore.DegenerateMetricError, match="at 1 points: 1 "):
        curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(4)).estimate  # noqa: B018


def test_points_that_are_not_finite():
    z = points(4)
    z[2, 1] = torch.nan
    with pytest.raises(curvcore.InputError, match="NaN or Inf at 1 of 4 points: 2"):
        _ = curvcore.estimated_geometry(decoder_of(4), z, curvcore.Hutchinson()).inverse_metric


def test_no_points():
    found = curvcore.estimated_geometry(decoder_of(4), points(4)[:0], curvcore.Hutchinson(4))
    assert found.scalar.shape == found.estimate.square.shape == (0,)
    assert found.log_volume_gradient_norm_squared(points(4)[:0]).shape == (0,)


def test_matrix_free_has_no_geometry():
    with pytest.raises(curvcore.InputError, match="not matrix-free"):
        curvcore.estimated_geometry(decoder_of(3), points(3), curvcore.Hutchinson(matrix_free=True))


def test_autocast_is_switched_off():
    """In all that training asks for, methods too."""
    decoder, z = decoder_of(9).float(), points(9).float()

    def numbers():
        generator = torch.Generator().manual_seed(0)
        estimated = curvcore.estimated_geometry(
            decoder, z, curvcore.Hutchinson(4, generator=generator)
        )
        exact = curvcore.pullback(decoder, z)
        return [
            estimated.metric,
            estimated.scalar,
            estimated.gradient_norm_squared(z),
            estimated.log_volume_gradient_norm_squared(z),
            exact.sectional(z, z.cos()),
            exact.gradient_norm_squared(z),
            exact.laplacian(z, z[:, None] * z[:, :, None]),
        ]

    expected = numbers()
    with torch.autocast("cpu", torch.bfloat16):
        found = numbers()
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


@pytest.mark.parametrize("matrix_free", [False, True])
def test_inference_mode(matrix_free):
    decoder, z = decoder_of(9), points(9)

    def numbers(z):
        generator = torch.Generator().manual_seed(0)
        estimator = curvcore.Hutchinson(4, generator=generator, matrix_free=matrix_free)
        if matrix_free:
            return curvcore.estimate_scalar_curvature(decoder, z, estimator).value
        return curvcore.estimated_geometry(decoder, z, estimator).log_volume_gradient

    expected = numbers(z)
    with torch.inference_mode():
        assert torch.allclose(numbers(z.clone()), expected, rtol=1e-10, atol=1e-10)


def test_the_standard_error_in_any_unit():
    decoder, z = decoder_of(9).float(), points(9).float()

    def relative():
        generator = torch.Generator().manual_seed(0)
        estimator = curvcore.Hutchinson(8, generator=generator)
        found = curvcore.estimate_scalar_curvature(decoder, z, estimator)
        return found.standard_error / found.value

    expected = relative()
    for unit in (1e-10, 1e22):
        decoder[-1].weight.data *= unit
        assert torch.allclose(relative(), expected, rtol=1e-3)
