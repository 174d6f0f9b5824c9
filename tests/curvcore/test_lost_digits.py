"""R at large d in float32 where the metric is ill-conditioned, or R's terms cancel."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore import large_dimension
from curvcore.hidden_units import Slopes, scalar_of_units
from curvcore.providers.fused.recorder import recorded_stack
from tests.curvcore.test_large_dimension import assert_equal, by_table, points, stack


@pytest.mark.parametrize(("d", "ambient"), [(9, 9), (12, 12), (12, 13), (16, 17)])
def test_ill_conditioned_metrics_in_float32(d, ambient):
    """Of hypersurfaces, and of nothing but R^d in other coordinates: R = 0."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(d, 2 * d), nn.Tanh(), nn.Linear(2 * d, ambient))
    z = torch.randn(32, d)
    geometry = curvcore.pullback(decoder, z, on_degenerate="nan")
    found, estimated = geometry.scalar, geometry.scalar_error
    by_units = curvcore.scalar_curvature(decoder, z, on_degenerate="nan")
    exact = by_table(decoder.double(), z.double())
    regular = ~geometry.is_degenerate
    assert regular.sum() > 16
    for scalar in (found, by_units):
        assert ((scalar - exact).abs() <= 10 * estimated)[regular].all()


def test_what_moments_lose_is_taken_along_a_frame(monkeypatch):
    decoder, z = stack(10, 20, ambient=40), points(10)
    expected = by_table(decoder, z)
    monkeypatch.setattr(large_dimension, "cost_of_units", lambda *sizes: 0)
    monkeypatch.setattr(large_dimension, "_LOST", 0.0)
    assert_equal(curvcore.scalar_curvature(decoder, z), expected)
    monkeypatch.setattr(
        large_dimension, "_by_frame", lambda *arguments: (lambda z: (z[:, 0] * 0 + 7, None), 1)
    )
    assert (curvcore.scalar_curvature(decoder, z) == 7).all()


def test_what_moments_lost_is_taken_in_pieces_that_fit(monkeypatch):
    """However many points lost digits: here all."""
    decoder, z = stack(10, 20, ambient=40), points(10, 30)
    sizes, of_frame = [], large_dimension.scalar_of_frame

    def counted(second, tangent):
        sizes.append(len(second))
        return of_frame(second, tangent)

    expected = by_table(decoder, z)
    monkeypatch.setattr(large_dimension, "cost_of_units", lambda *sizes: 0)
    monkeypatch.setattr(large_dimension, "_LOST", 0.0)
    monkeypatch.setattr(large_dimension, "_DERIVATIVES_AT_ONCE", 7 * 40 * (10 + 55))
    monkeypatch.setattr(large_dimension, "scalar_of_frame", counted)
    assert_equal(curvcore.scalar_curvature(decoder, z), expected)
    assert sum(sizes) == 30
    assert max(sizes) <= 7 * 40 / 20 + 1  # N is 20 or 40, as a last layer is factorised or not


@pytest.mark.parametrize(("d", "widths", "ambient"), [(10, (16, 16), 11), (16, (32,), 64)])
def test_what_moments_lose(d, widths, ambient):
    """At most eps √κ |∇²Ψ|², which says where they are not used."""
    decoder = stack(d, *widths, ambient=ambient)
    exact = by_table(decoder, points(d, 64).float().double())
    z = points(d, 64).float()
    found = recorded_stack(decoder.float(), z)
    slopes = Slopes(
        tuple(layer.affine_map.weight for layer in found.layers),
        *found.slopes(z),
        found.last.isometric_matrix(),
    )
    with torch.no_grad():
        value, cancelled, tangent = scalar_of_units(slopes, 64)
    bound = torch.finfo(value.dtype).eps * tangent.condition_number.sqrt() * cancelled * value.abs()
    regular = ~tangent.is_degenerate
    assert regular.sum() > 40
    assert ((value - exact).abs() <= bound)[regular].all()
