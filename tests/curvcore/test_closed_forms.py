"""Geometry of textbook surfaces, quantity by quantity."""

import pytest
import torch

import curvcore
from tests.support.immersions import (
    polar_plane,
    pseudosphere,
    random_points,
    ring_torus,
    stereographic_sphere,
)
from tests.support.parametrisation import every_formula, every_provider
from tests.support.tolerance import assert_close

RADIUS = 1.5
DIMENSIONS = [2, 3, 4]


@pytest.fixture(params=DIMENSIONS, ids=lambda d: f"S{d}")
def sphere(request, formula, provider):
    """(geometry, z, identity): S^d(3/2) in stereographic coordinates."""
    d = request.param
    z = random_points(d, d, batch=4)
    geometry = curvcore.pullback(
        stereographic_sphere(RADIUS), z, formula=formula, derivatives=provider
    )
    return geometry, z, torch.eye(d, dtype=z.dtype)


def routes(test):
    """Formula × provider."""
    return every_formula(every_provider(test))


@routes
def test_sphere_metric_volume_and_connection(sphere):
    """g = λ²δ, λ = 2r/(1+|z|²), Γ^k_ij = δ_ki φ_j + δ_kj φ_i − δ_ij φ_k with φ = log λ."""
    geometry, z, identity = sphere
    conformal = 2 * RADIUS / (1 + z.square().sum(1))
    metric = conformal.square()[:, None, None] * identity
    assert_close(geometry.metric, metric)
    assert_close(geometry.inverse_metric, torch.linalg.inv(metric))
    assert_close(geometry.volume_density, conformal ** z.shape[1])
    phi = -2 * z / (1 + z.square().sum(1, keepdim=True))
    gamma = torch.einsum("ki,nj->nkij", identity, phi) + torch.einsum("kj,ni->nkij", identity, phi)
    assert_close(geometry.christoffel, gamma - torch.einsum("ij,nk->nkij", identity, phi))


@routes
def test_sphere_has_constant_curvature(sphere):
    """R_ijkl = (g_ik g_jl − g_il g_jk)/r², Ric = (d−1)g/r², R = d(d−1)/r², K = 1/r²."""
    geometry, z, _ = sphere
    d, g = z.shape[1], geometry.metric
    product = torch.einsum("nik,njl->nijkl", g, g)
    riemann = (product - product.transpose(3, 4)) / RADIUS**2
    assert_close(geometry.riemann, riemann, factor=1000)
    assert_close(geometry.ricci, (d - 1) / RADIUS**2 * g, factor=1000)
    assert_close(geometry.scalar, d * (d - 1) / RADIUS**2, factor=1000)
    u, v = random_points(1, d, 4), random_points(2, d, 4)
    sine_squared = 1 - torch.cosine_similarity(u, v).square().max()  # of the flattest plane
    assert_close(geometry.sectional(u, v), 1 / RADIUS**2, factor=1000 / float(sine_squared))


@routes
def test_sphere_bends_towards_its_centre(sphere):
    """II = −g ⊗ Ψ/r², H = −d Ψ/r²."""
    geometry, z, _ = sphere
    normal = -geometry.value / RADIUS**2
    form = torch.einsum("nij,na->naij", geometry.metric, normal)
    assert_close(geometry.second_fundamental_form, form)
    assert_close(geometry.mean_curvature, z.shape[1] * normal)


@routes
def test_linear_functions_on_the_sphere_are_eigenfunctions(sphere):
    """f = ⟨a, Ψ⟩: ∇²f = −f g/r², Δf = −d f/r², |∇f|² = |a|² − f²/r²."""
    geometry, z, _ = sphere
    d = z.shape[1]
    a = torch.linspace(-1, 1, d + 1, dtype=z.dtype)
    f = geometry.value @ a
    df = torch.einsum("nai,a->ni", geometry.jacobian, a)
    d2f = torch.einsum("naij,a->nij", geometry.hessian, a)
    expected = -f[:, None, None] * geometry.metric / RADIUS**2
    size = d2f.abs().max()
    assert_close(geometry.covariant_hessian(df, d2f), expected, scale=size)
    assert_close(geometry.laplacian(df, d2f), -d * f / RADIUS**2)
    gradient = a.square().sum() - f.square() / RADIUS**2
    assert_close(geometry.gradient_norm_squared(df), gradient)


@routes
def test_quadratic_harmonic_on_the_sphere_is_an_eigenfunction(formula, provider):
    """f = Ψ_1Ψ_2 on S^d(r): Δf = −2(d+1) f/r²."""
    z, sphere = random_points(7, 3, 4), stereographic_sphere(RADIUS)

    def f(z):
        return sphere(z)[:, 0] * sphere(z)[:, 1]

    def at_point(point):
        return f(point[None])[0]

    df = torch.func.vmap(torch.func.jacfwd(at_point))(z)
    d2f = torch.func.vmap(torch.func.jacfwd(torch.func.jacfwd(at_point)))(z)
    geometry = curvcore.pullback(sphere, z, formula=formula, derivatives=provider)
    scale = d2f.abs().max() * geometry.inverse_metric.abs().max()
    assert_close(geometry.laplacian(df, d2f), -8 * f(z) / RADIUS**2, scale=scale)


@pytest.fixture
def polar(formula, provider):
    """(geometry, r): the plane in polar coordinates."""
    z = torch.tensor([[0.5, 0.1], [2.0, -1.0], [7.0, 3.0]], dtype=torch.float64)
    geometry = curvcore.pullback(polar_plane, z, formula=formula, derivatives=provider)
    return geometry, z[:, 0]


@routes
def test_polar_coordinates_of_the_plane(polar):
    """ds² = dr² + r²dφ²: Γ^r_φφ = −r, Γ^φ_rφ = Γ^φ_φr = 1/r, all others zero, and flat."""
    geometry, r = polar
    gamma = torch.zeros(3, 2, 2, 2, dtype=r.dtype)
    gamma[:, 0, 1, 1] = -r
    gamma[:, 1, 0, 1] = gamma[:, 1, 1, 0] = 1 / r
    assert_close(geometry.christoffel, gamma)
    one = torch.ones_like(r)
    assert_close(geometry.metric, torch.diag_embed(torch.stack([one, r**2], 1)))
    assert_close(geometry.volume_density, r)
    assert_close(geometry.scalar, 0, scale=1 / r**2)
    assert_close(geometry.mean_curvature, 0, scale=1 / r[:, None])


@routes
def test_laplacian_in_polar_coordinates(polar):
    """Δ(r²) = 4, |∇r²|² = 4r², ∇²(r²) = 2g; Δ log r = 0; Δ(r cos φ) = 0 with ∇² = 0."""
    geometry, r = polar
    phi = torch.tensor([0.1, -1.0, 3.0], dtype=r.dtype)
    zero, two = torch.zeros_like(r), torch.full_like(r, 2)

    def derivatives(f_r, f_phi, f_rr, f_rphi, f_phiphi):
        second = torch.stack([f_rr, f_rphi, f_rphi, f_phiphi], 1).reshape(-1, 2, 2)
        return torch.stack([f_r, f_phi], 1), second

    df, d2f = derivatives(2 * r, zero, two, zero, zero)
    assert_close(geometry.laplacian(df, d2f), 4)
    assert_close(geometry.gradient_norm_squared(df), 4 * r**2)
    assert_close(geometry.covariant_hessian(df, d2f), 2 * geometry.metric)
    log_r = derivatives(1 / r, zero, -1 / r**2, zero, zero)
    assert_close(geometry.laplacian(*log_r), 0, scale=1 / r**2)
    x = derivatives(phi.cos(), -r * phi.sin(), zero, -phi.sin(), -r * phi.cos())
    assert_close(geometry.covariant_hessian(*x), 0, scale=7.0)


@routes
def test_ring_torus(formula, provider):
    """K = cos v / (r(R + r cos v)), R = 2K, Ric = K g, √det g = r(R + r cos v)."""
    z = 3 * random_points(3, 2, 8)
    geometry = curvcore.pullback(ring_torus(2.0, 0.5), z, formula=formula, derivatives=provider)
    density = 0.5 * (2.0 + 0.5 * z[:, 1].cos())
    gauss_curvature = z[:, 1].cos() / density
    assert_close(geometry.volume_density, density)
    assert_close(geometry.scalar, 2 * gauss_curvature, factor=1000)
    expected = gauss_curvature[:, None, None] * geometry.metric
    assert_close(geometry.ricci, expected, factor=1000)


@routes
def test_pseudosphere(formula, provider):
    z = random_points(4, 2, 8) + torch.tensor([1.5, 0.0])
    geometry = curvcore.pullback(pseudosphere, z, formula=formula, derivatives=provider)
    assert_close(geometry.scalar, -2, factor=1000)
    u, v = torch.eye(2, dtype=z.dtype)
    assert_close(geometry.sectional(u, u + v), -1, factor=1000)


@routes
@pytest.mark.parametrize("d", DIMENSIONS)
def test_graph_of_a_quadratic_at_its_vertex(formula, provider, d):
    """Ψ = (z, Σ k_i z_i²/2) at 0: K(e_i, e_j) = k_i k_j, H = Σ k_i, R = 2 Σ_{i<j} k_i k_j."""
    k = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)[:d]
    z = torch.zeros(1, d, dtype=torch.float64)
    geometry = curvcore.pullback(
        lambda z: torch.cat([z, (k * z**2).sum(1, keepdim=True) / 2], 1),
        z,
        formula=formula,
        derivatives=provider,
    )
    identity = torch.eye(d, dtype=z.dtype)
    for i in range(d):
        for j in range(i):
            expected = k[i] * k[j]
            assert_close(geometry.sectional(identity[i], identity[j]), expected.reshape(1))
    assert_close(geometry.mean_curvature[0, -1], k.sum())
    assert_close(geometry.scalar, (k.sum() ** 2 - k.square().sum()).reshape(1), scale=10.0)
