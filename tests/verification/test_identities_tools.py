"""What the identities are measured with: meshes, verdicts, surfaces, potentials, circles."""

import math

import pytest
import torch
from torch.func import hessian, jacfwd, vmap

import curvcore
from tests.support.tolerance import assert_close
from verification.identities import convergence, meshes, perelman, surfaces
from verification.identities.convergence import Measured
from verification.identities.discs import quotient
from verification.identities.geodesic_circles import circumferences, march, tangents


def generator():
    return torch.Generator().manual_seed(0)


def points(count, d):
    return torch.rand(count, d, dtype=torch.float64)


# --- meshes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_trapezoidal_rule_is_exact_to_its_degree(d):
    mesh = meshes.periodic(5, d)
    assert mesh.z.shape == (5**d, d)
    phase = mesh.z.sum(1)
    assert_close(mesh.integral(1 + torch.cos(4 * phase)), (2 * math.pi) ** d)
    assert abs(mesh.integral(torch.cos(5 * phase)) - (2 * math.pi) ** d) < 1e-10


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_volume_of_the_sphere(d):
    mesh = meshes.spherical(12, d, azimuths=5)
    volume = 2 * math.pi ** ((d + 1) / 2) / math.gamma((d + 1) / 2)
    density = curvcore.pullback(surfaces.sphere, mesh.z).volume_density
    assert_close(mesh.integral(density), volume, factor=1e4)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_integral_of_a_gaussian(d):
    mesh = meshes.box(24, d, 9.0)
    assert_close(mesh.z.mean(0) + 1, 1, factor=1e4)
    gaussian = torch.exp(-mesh.z.square().sum(1) / 2)
    assert_close(mesh.integral(gaussian), (2 * math.pi) ** (d / 2), factor=1e4)


# --- verdicts -----------------------------------------------------------------------------------


def measured(errors, bound=1e-13):
    return [Measured(8 * 2**k, error, bound) for k, error in enumerate(errors)]


def test_spectral_convergence_passes_and_tells_its_rate():
    errors = [Measured(n, n * 0.3**n, 1e-13) for n in (4, 8, 16, 32)]
    assert convergence.spectral("", "", errors).passed
    finding = convergence.spectral("", "", errors, rate=0.3)
    assert finding.passed
    assert "n·0.300^n, theory 0.300^n" in finding.figure


@pytest.mark.parametrize(
    "errors",
    [
        [1e-2, 1e-4, 1e-12],  # stops above rounding
        [1e-2, 1e-4, math.nan],
        [math.nan, 1e-4, 1e-14],
        [math.inf, 1e-4, 1e-14],
        [1e-14, 1e-14, 1e-14],  # no convergence was seen
    ],
)
def test_what_is_not_spectral_convergence_fails(errors):
    assert not convergence.spectral("", "", measured(errors)).passed


def test_fourth_order_convergence_is_not_spectral():
    errors = [Measured(n, 1e-8 * (8 / n) ** 4, 1e-12) for n in (8, 32, 128)]
    assert errors[-1].error <= errors[-1].bound
    assert not convergence.spectral("", "", errors).passed


def test_another_rate_than_theory_fails():
    errors = [Measured(n, n * 0.3**n, 1e-13) for n in (4, 8, 16, 32)]
    assert not convergence.spectral("", "", errors, rate=0.25).passed


def steps(function, count=3, first=0.1):
    return torch.stack([function(torch.tensor(first / 2**k).double()) for k in range(count)])


def test_extrapolation_is_exact_on_even_polynomials():
    found = convergence.extrapolated(steps(lambda h: 2 + 3 * h**2 - 5 * h**4))
    assert_close(found.value, 2.0)
    assert found.order(torch.tensor(2.0)) == pytest.approx(2, abs=0.02)
    assert found.order(torch.tensor(2.0), column=1) == pytest.approx(4, abs=1e-6)


VERDICTS = {
    "order 2": (lambda h: 1 + h**2 + h**4 + h**6 + h**8, 1, True),
    "another limit": (lambda h: 1 + h**2 + h**4 + h**6, 1 + 1e-5, False),
    "order 1": (lambda h: 1 + h, 1, False),
    "order 4": (lambda h: 1 + h**4, 1, False),
    "undecided": (lambda h: 1 + h**2 + 1e5 * h**4, 1, False),
    "not a number": (lambda h: h * math.nan, 1, False),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_algebraic_verdicts(case):
    function, exact, passed = VERDICTS[case]
    exact = torch.tensor(exact).double()
    finding = convergence.algebraic(
        "", "", convergence.extrapolated(steps(function)), exact, bound=1e-14, scale=1
    )
    assert finding.passed is passed


@pytest.mark.parametrize(("worst", "passed"), [(1e-15, True), (1e-12, False), (math.nan, False)])
def test_pointwise_verdicts(worst, passed):
    errors, bounds = torch.tensor([0.0, worst, 1e-16]), torch.full((3,), 1e-14)
    assert convergence.pointwise("", "", errors, bounds).passed is passed


# --- surfaces -----------------------------------------------------------------------------------


def test_cigar_is_isometric_to_hamiltons():
    z = 4 * points(20, 2) - 2
    conformal = 1 / (1 + z.square().sum(1))
    expected = conformal[:, None, None] * torch.eye(2, dtype=torch.float64)
    assert_close(curvcore.metric(surfaces.cigar, z), expected)


@pytest.mark.parametrize("inverted", [False, True])
def test_conformal_torus_is_conformally_flat(inverted):
    decoder, a = surfaces.conformal_torus(2.0), 2.0
    if inverted:
        decoder = surfaces.inverted(decoder, torch.tensor([3.0, -2.0, 4.0]).double())
    metric = curvcore.metric(decoder, 6 * points(20, 2))
    constant = torch.tensor([[1, 0], [0, 1 / (a * a - 1)]], dtype=torch.float64)
    assert_close(metric, metric[:, :1, :1] * constant, factor=1000)


def test_moebius_chart_is_the_unit_sphere():
    z = points(20, 2) + 0.5
    geometry = curvcore.pullback(surfaces.moebius_sphere(0.6), z)
    assert_close(geometry.value.norm(dim=1), 1.0)
    expected = 0.64 * torch.sin(z[:, 0]) / (1 + 0.6 * torch.cos(z[:, 0])) ** 2
    assert_close(geometry.volume_density, expected)


@pytest.mark.parametrize("d", [2, 4])
def test_random_maps_keep_their_lipschitz_constant(d):
    wave = surfaces.waves(d, d, generator(), size=0.5)
    jacobian = vmap(jacfwd(lambda x: wave(x[None])[0]))(10 * points(200, d))
    norms = torch.linalg.matrix_norm(jacobian, 2)
    assert norms.max() <= 0.5
    assert norms.max() > 0.1


# --- potentials ---------------------------------------------------------------------------------


def torus():
    return surfaces.perturbed(surfaces.clifford_torus, 4, generator())


def log_density(z):
    return torch.sin(z[:, 0] + 2 * z[:, 1]) / 3


def potential_by_autodiff(z, tau):
    """f = ½ log det g − log ρ − d/2 log 4πτ as a function of z, and its derivatives."""
    decoder = torus()

    def f(point):
        jacobian = jacfwd(lambda p: decoder(p[None])[0])(point)
        g = jacobian.mT @ jacobian
        determinant = g[0, 0] * g[1, 1] - g[0, 1] * g[1, 0]
        constant = 0 if tau is None else math.log(4 * math.pi * tau)
        return torch.log(determinant) / 2 - log_density(point[None])[0] - constant

    return [vmap(derivative)(z) for derivative in (f, jacfwd(f), hessian(f))]


@pytest.mark.parametrize("tau", [None, 0.7])
def test_potential_of_a_fixed_measure(tau):
    z = 6 * points(10, 2)
    geometry = curvcore.PullbackGeometry(curvcore.jet(torus(), z, order=3))
    found = perelman.fixed_measure(geometry, perelman.potential(log_density, z), tau)
    value, gradient, second = potential_by_autodiff(z, tau)
    assert_close(found.value, value)
    assert_close(found.gradient, gradient, factor=1000)
    assert_close(found.hessian, second, factor=1000)
    factor = 1 if tau is None else 1 / (4 * math.pi * tau)
    measure = factor * torch.exp(-found.value) * geometry.volume_density
    assert_close(measure, torch.exp(log_density(z)))


def test_lengths_and_pairings_of_tensors():
    z = 6 * points(10, 2)
    geometry = curvcore.pullback(torus(), z)
    assert_close(perelman.length(geometry, geometry.metric, 2), math.sqrt(2))
    assert_close(perelman.length(geometry, geometry.jacobian, 1), math.sqrt(2))
    trace = perelman.pairing(geometry, geometry.ricci, geometry.metric)
    assert_close(trace, geometry.scalar, factor=1000)


# --- geodesic circles ---------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_circles_on_the_sphere(d):
    """C(r) = 2π sin r; N discrete steps of a chain reach r up to O(r³/N²)."""
    z, radii = points(4, d) / 2 + 1.2, torch.tensor([0.4, 0.2, 0.1, 0.05]).double()
    errors = []
    for n in (8, 16):
        found = circumferences(surfaces.sphere, z, radii, n)
        assert found.shape == (4, d * (d - 1) // 2)
        exact = 2 * math.pi * torch.sin(radii)
        errors.append(((found - exact[:, None]) / radii[:, None] ** 3).abs().max())
    assert errors[0] < 2 / 8**2
    assert torch.log2(errors[0] / errors[1]).item() == pytest.approx(2, abs=0.05)


def test_chains_follow_a_great_circle():
    """From (θ, φ) = (π/2, 0) along the equator: φ = N arcsin(r/N) exactly."""
    z = torch.tensor([[math.pi / 2, 0.0]], dtype=torch.float64)
    velocity = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    width = torch.full_like(z, 0.1)
    end = march(surfaces.sphere, z, velocity, torch.full_like(z[:, 0], 0.1), width, steps=5)
    assert_close(end, torch.tensor([[math.pi / 2, 5 * math.asin(0.1)]], dtype=z.dtype), factor=1e4)


def test_difference_quotients_are_of_order_four():
    z = points(5, 2) + 0.5
    exact = curvcore.jet(surfaces.ellipsoid, z, order=1).jacobian
    errors = [
        (tangents(surfaces.ellipsoid, z, torch.full_like(z, h)) - exact).norm() for h in (0.2, 0.1)
    ]
    assert torch.log2(errors[0] / errors[1]).item() == pytest.approx(4, abs=0.1)


def test_flat_decoders_have_no_curvature_and_circles_need_no_derivative():
    """A wound torus, by its values as numbers: autograd would fail on them."""

    def decoder(z):
        return torch.from_numpy(surfaces.clifford_torus(z).numpy().copy())

    z, radii = points(3, 2), torch.full((3,), 0.1, dtype=torch.float64)
    assert quotient(decoder, z, radii).abs().max() < 0.1**2 / 4**4  # O(r²/N⁴)
