"""PullbackGeometry: lazy, each quantity once, and the short cuts agree with it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import curvcore
from tests.support.immersions import RandomImmersion, random_points, ring_torus
from tests.support.parametrisation import every_formula, every_provider
from tests.support.scales import curvature_scale
from tests.support.tolerance import assert_close, assert_identical

Z = random_points(2, 2, 3)
QUANTITIES = [
    "metric",
    "inverse_metric",
    "volume_density",
    "christoffel",
    "second_fundamental_form",
    "mean_curvature",
    "riemann",
    "ricci",
    "scalar",
    "condition_number",
]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_each_quantity_is_computed_once(quantity):
    geometry = curvcore.pullback(ring_torus(), Z)
    assert quantity not in vars(geometry)  # not before it is asked for
    assert getattr(geometry, quantity) is getattr(geometry, quantity)


def test_the_decoder_is_not_called_again():
    calls = []

    def decoder(z):
        calls.append(len(z))
        return ring_torus()(z)

    geometry = curvcore.pullback(decoder, Z, formula="intrinsic")
    before = len(calls)
    for quantity in QUANTITIES:
        getattr(geometry, quantity)
    assert len(calls) == before


@pytest.mark.parametrize("quantity", ["metric", "volume_density", "jacobian", "value"])
def test_first_order_quantities_need_one_derivative(quantity):
    expected = getattr(curvcore.pullback(ring_torus(), Z), quantity)
    geometry = curvcore.PullbackGeometry(curvcore.jet(ring_torus(), Z, order=1))
    assert_identical(getattr(geometry, quantity), expected)


@pytest.mark.grid
@every_formula
@every_provider
def test_short_cuts_agree_with_the_geometry(formula, provider):
    options = {"formula": formula, "derivatives": provider}
    geometry = curvcore.pullback(ring_torus(), Z, **options)
    assert geometry.jet.order == (2 if formula == "gauss" else 3)
    assert_identical(curvcore.scalar_curvature(ring_torus(), Z, **options), geometry.scalar)
    metric = curvcore.metric(ring_torus(), Z, derivatives=provider)
    assert_close(metric, geometry.metric)
    jet = curvcore.jet(ring_torus(), Z, geometry.jet.order, derivatives=provider)
    for actual, expected in zip(jet.arrays(), geometry.jet.arrays(), strict=True):
        assert_identical(actual, expected)


def test_auto_is_a_provider():
    expected = curvcore.scalar_curvature(ring_torus(), Z, derivatives="autodiff")
    assert_close(curvcore.scalar_curvature(ring_torus(), Z, derivatives="auto"), expected)


def test_repr_says_what_it_is():
    text = repr(curvcore.pullback(ring_torus(), Z, formula="intrinsic"))
    kind = "points=3, order=3, d=2, D=3, float64, cpu"
    assert text == f"PullbackGeometry({kind}, formula='intrinsic', on_degenerate='raise')"


# --- sectional curvature --------------------------------------------------------------------------


@pytest.mark.slow
@every_formula
@given(seed=st.integers(0, 10**6))
def test_sectional_curvature_belongs_to_the_plane(formula, seed):
    """K depends on span(u, v) alone."""
    geometry = curvcore.pullback(
        RandomImmersion(seed, 3, 5), random_points(seed, 3), formula=formula
    )
    u, v = torch.eye(3, dtype=torch.float64)[:2]
    scale = curvature_scale(geometry.jet) + 1e-12
    expected = geometry.sectional(u, v)
    for other in ((v, u), (3 * u, v), (u, v - 2 * u), (u + v, u - v)):
        assert_close(geometry.sectional(*other), expected, scale=scale)


@every_formula
def test_scalar_curvature_is_the_sum_of_sectional_curvatures(formula):
    """R = Σ_{i ≠ j} K(e_i, e_j) in an orthonormal frame; of a surface, R = 2K."""
    geometry = curvcore.pullback(RandomImmersion(8, 3, 5), random_points(8, 3), formula=formula)
    frame = torch.linalg.inv(torch.linalg.cholesky(geometry.metric)).mT
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    total = sum(geometry.sectional(frame[:, :, i], frame[:, :, j]) for i, j in pairs)
    scale = curvature_scale(geometry.jet)
    assert_close(total, geometry.scalar, scale=scale)
    surface = curvcore.pullback(ring_torus(), Z, formula=formula)
    u, v = torch.eye(2, dtype=torch.float64)
    assert_close(2 * surface.sectional(u, v), surface.scalar)


def test_sectional_takes_one_vector_or_one_for_each_point():
    geometry = curvcore.pullback(RandomImmersion(8, 3, 5), random_points(8, 3, 4))
    u, v = random_points(1, 3, 4), random_points(2, 3, 4)
    each = geometry.sectional(u, v)
    assert each.shape == (4,)
    assert_close(geometry.sectional(u[2], v[2])[2], each[2])


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(2, 4),
    factor=st.floats(-10, 10).filter(lambda c: abs(c) > 1e-3),
)
def test_parallel_vectors_span_no_plane(seed, d, factor):
    """Rounding makes u and cu not quite parallel; the number that comes out would mean nothing."""
    geometry = curvcore.pullback(RandomImmersion(seed, d, d + 1), random_points(seed, d))
    u = random_points(seed + 1, d)
    assert not torch.isfinite(geometry.sectional(u, factor * u)).any()
