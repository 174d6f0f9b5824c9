"""The referee that shares no formula with curvcore, against closed forms."""

import pytest
import torch
from torch.func import vmap

from tests.support.tolerance import assert_close
from verification.manifolds import catalogue
from verification.referees import Textbook

MANIFOLDS = ["torus", "paraboloid-3", "complex-parabola", "sphere-1-x-sphere-2"]
# Γ, ∂Γ and R are made in latent coordinates, where κ < 10 is lost twice, of some 10² terms.
FACTOR = 10**4


@pytest.fixture(params=MANIFOLDS)
def manifold(request):
    return catalogue()[request.param]


def at_points(manifold):
    z = manifold.sample(4, torch.Generator().manual_seed(0))
    return Textbook(manifold.decoder()), z, lambda form: manifold.closed_form(form, z)


@pytest.mark.parametrize("quantity", ["metric", "ricci", "scalar"])
def test_closed_forms_of_the_catalogue(manifold, quantity):
    book, z, closed = at_points(manifold)
    expected = closed(getattr(manifold, quantity))
    assert_close(vmap(getattr(book, quantity))(z), expected, factor=FACTOR)


def test_volume_density_is_the_root_of_the_determinant(manifold):
    book, z, closed = at_points(manifold)
    expected = closed(manifold.metric.det())
    assert_close(vmap(book.volume_density)(z).square(), expected)


def test_mean_curvature_is_the_laplacian_of_the_immersion(manifold):
    book, z, closed = at_points(manifold)
    H = vmap(book.mean_curvature)(z)
    expected = closed(manifold.mean_curvature_squared)
    assert_close(H.square().sum(1), expected, scale=1 + expected.max(), factor=FACTOR)
    assert_close(vmap(book.metric)(z).inverse(), vmap(book.inverse_metric)(z), factor=FACTOR)


def test_mean_curvature_is_normal(manifold):
    book, z, _ = at_points(manifold)
    jacobian = vmap(torch.func.jacfwd(book.value))(z)
    tangential = torch.einsum("bai,ba->bi", jacobian, vmap(book.mean_curvature)(z))
    assert_close(tangential, 0, scale=10.0, factor=FACTOR)


def test_sectional_curvature_of_a_surface_is_gaussian():
    manifold = catalogue()["torus"]
    book, z, closed = at_points(manifold)
    u, v = torch.tensor([[1.0, 0.3], [-0.2, 0.7]], dtype=z.dtype)
    found = vmap(lambda point: book.sectional(point, u, v))(z)
    assert_close(found, closed(manifold.gaussian), factor=FACTOR)


def test_sectional_curvature_of_a_product():
    """S¹ × S²(b): 1/b² in the second factor, 0 across."""
    manifold = catalogue()["sphere-1-x-sphere-2"]
    book, z, _ = at_points(manifold)
    axes = torch.eye(3, dtype=z.dtype)
    within = vmap(lambda point: book.sectional(point, axes[1], axes[2]))(z)
    across = vmap(lambda point: book.sectional(point, axes[0], axes[2]))(z)
    assert_close(within, 1 / 0.8**2, factor=FACTOR)
    assert_close(across, 0, scale=1.0, factor=FACTOR)


def test_laplacian_in_polar_coordinates():
    """Δ r³ = 9r on the plane."""
    book, z, _ = at_points(catalogue()["plane-polar"])
    found = vmap(lambda point: book.laplacian(lambda p: p[0] ** 3, point))(z)
    assert_close(found, 9 * z[:, 0], factor=FACTOR)
