"""Each formula by itself, against plain differentiation of g(z) and Γ(z) at a point."""

import pytest
import torch
from torch.func import jacfwd

import curvcore
from curvcore import intrinsic, metrics, riemann
from tests.support.immersions import RandomImmersion, random_points
from tests.support.referees import textbook_christoffel, textbook_metric, textbook_riemann
from tests.support.tolerance import assert_close

DIMENSIONS = [1, 2, 3, 4]


@pytest.fixture(params=DIMENSIONS, ids=lambda d: f"d{d}")
def case(request):
    """(jet, map of one point, the point)."""
    d = request.param
    decoder, z = RandomImmersion(d, d, d + 2), random_points(d, d, 1)
    return curvcore.jet(decoder, z, 3), lambda point: decoder(point[None])[0], z[0]


def close(actual, expected):
    assert_close(actual[0], expected, scale=1 + expected.abs().max())


def test_metric(case):
    jet, psi, z = case
    close(metrics.metric(jet.jacobian), textbook_metric(psi, z))


def test_metric_derivative(case):
    """∂_k g_ij, index order i, j, k."""
    jet, psi, z = case
    first = metrics.first_products(jet.jacobian, jet.hessian)
    close(metrics.metric_derivative(first), jacfwd(lambda p: textbook_metric(psi, p))(z))


def test_metric_second_derivative(case):
    """∂_k∂_l g_ij, index order i, j, k, l."""
    jet, psi, z = case
    actual = metrics.metric_second_derivative(
        metrics.second_products(jet.hessian), metrics.third_products(jet.jacobian, jet.third)
    )
    close(actual, jacfwd(jacfwd(lambda p: textbook_metric(psi, p)))(z))


def test_products_of_derivatives(case):
    """B_k,ij = ⟨Ψ_k, Ψ_ij⟩, C_ij,kl = ⟨Ψ_ij, Ψ_kl⟩, T_l,ijk = ⟨Ψ_l, Ψ_ijk⟩, entry by entry."""
    jet, _, z = case
    first = metrics.first_products(jet.jacobian, jet.hessian)
    second = metrics.second_products(jet.hessian)
    third = metrics.third_products(jet.jacobian, jet.third)
    i, j, k, m = [index % len(z) for index in (0, 1, 2, 3)]
    by_hand = {
        first[0, k, i, j]: jet.jacobian[0, :, k] @ jet.hessian[0, :, i, j],
        second[0, i, j, k, m]: jet.hessian[0, :, i, j] @ jet.hessian[0, :, k, m],
        third[0, m, i, j, k]: jet.jacobian[0, :, m] @ jet.third[0, :, i, j, k],
    }
    for actual, expected in by_hand.items():
        assert_close(actual, expected, scale=1.0)


@pytest.mark.parametrize("route", ["gauss", "intrinsic"])
def test_christoffel_by_either_route(case, route):
    """⟨Ψ_k, Ψ_ij⟩ is the Christoffel symbol of the first kind."""
    jet, psi, z = case
    first = metrics.first_products(jet.jacobian, jet.hessian)
    if route == "intrinsic":
        first = metrics.christoffel_first_kind(metrics.metric_derivative(first))
    inverse = torch.linalg.inv(metrics.metric(jet.jacobian))
    close(metrics.christoffel(inverse, first), textbook_christoffel(psi, z))


def christoffel_and_derivative(jet):
    g = metrics.metric(jet.jacobian)
    first = metrics.first_products(jet.jacobian, jet.hessian)
    second = metrics.metric_second_derivative(
        metrics.second_products(jet.hessian), metrics.third_products(jet.jacobian, jet.third)
    )
    inverse = torch.linalg.inv(g)
    gamma = metrics.christoffel(inverse, first)
    derivative = metrics.metric_derivative(first)
    return gamma, intrinsic.christoffel_derivative(inverse, derivative, second, gamma)


def test_christoffel_derivative(case):
    """∂_l Γ^k_ij, index order k, i, j, l."""
    jet, psi, z = case
    _, derivative = christoffel_and_derivative(jet)
    close(derivative, jacfwd(lambda p: textbook_christoffel(psi, p))(z))


def test_riemann_by_either_route(case):
    jet, psi, z = case
    g = metrics.metric(jet.jacobian)
    gamma, derivative = christoffel_and_derivative(jet)
    expected = textbook_riemann(psi, z)
    mixed = intrinsic.riemann_mixed(gamma, derivative)
    close(intrinsic.riemann(g, mixed), expected)
    form = riemann.second_fundamental_form(jet.jacobian, jet.hessian, gamma)
    close(riemann.riemann(riemann.normal_products(form)), expected)


def test_volume_density(case):
    jet, psi, z = case
    expected = torch.linalg.det(textbook_metric(psi, z)).sqrt()
    close(metrics.volume_density(metrics.metric(jet.jacobian)), expected)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_any_batch_axes_come_first(batch):
    """The formulas are written per point: leading axes are carried along."""
    jacobian, hessian = torch.randn(*batch, 5, 2), torch.randn(*batch, 5, 2, 2)
    g = metrics.metric(jacobian)
    gamma = metrics.christoffel(torch.linalg.inv(g), metrics.first_products(jacobian, hessian))
    form = riemann.second_fundamental_form(jacobian, hessian, gamma)
    tensor = riemann.riemann(riemann.normal_products(form))
    assert tensor.shape == (*batch, 2, 2, 2, 2)
    assert riemann.ricci(torch.linalg.inv(g), tensor).shape == (*batch, 2, 2)
