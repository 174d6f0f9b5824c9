"""The functionals: closed forms, invariance, scale, first variation, gradients, gauges."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import hessian, jacfwd, vmap

import curvcore
from tests.training.surfaces import bumpy_torus, conformal_torus, plane, sphere
from training import waiting
from training.errors import TrainingError
from training.functionals import (
    DeTurckGauge,
    FixedMeasure,
    LatentSample,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    SampledGeometry,
    Tau,
    TotalSquaredCurvature,
    UniformVolume,
    VarianceOfLogDet,
)
from training.measures import QuadratureGrid

LIKE = torch.zeros(1, dtype=torch.float64)
PATCH = QuadratureGrid((-0.7, -0.5), (0.6, 0.8), nodes=16).grid(LIKE)
TORUS = QuadratureGrid((0, 0), (1, 1), nodes=48, periodic=True).grid(LIKE)
TAU = 0.7
# Bounds on rounding: some thousand points, derivatives of order one.
CLOSE = 1e-10


def value(functional, decoder, sample):
    return functional(decoder, sample.z, sample.weights)


def log_area(u):
    """log √det g of the unit sphere in stereographic coordinates, up to a constant."""
    return -2 * torch.log1p(u.square().sum())


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_total_squared_curvature_of_a_sphere_is_four_areas_over_r4(radius):
    on = SampledGeometry(sphere(radius), PATCH)
    area = on.volume().item()
    found = TotalSquaredCurvature().evaluate(on).item()
    assert found == pytest.approx(4 * area / radius**4, rel=CLOSE)
    free = TotalSquaredCurvature(scale_free=True).evaluate(on).item()
    assert free == pytest.approx(4 * (area / radius**2) ** 2, rel=CLOSE)


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_f_of_a_sphere_with_constant_potential(radius):
    """F = d(d − 1)/r²."""
    functional = PerelmanF(FixedMeasure(log_area))
    assert value(functional, sphere(radius), PATCH).item() == pytest.approx(
        2 / radius**2, rel=CLOSE
    )


@pytest.mark.parametrize("d", [1, 2])
def test_f_and_w_of_a_gaussian_on_flat_space(d):
    """f = |x|²/4τ: W = 0 and F = n/2τ, with R = 0 or without R."""
    grid = QuadratureGrid((-12,) * d, (12,) * d, nodes=80).grid(LIKE)
    gaussian = FixedMeasure(lambda x: -x.square().sum() / (4 * TAU))
    for curvature in (True, False):
        w = value(PerelmanW(gaussian, tau=TAU, curvature=curvature), plane, grid).item()
        assert w == pytest.approx(0, abs=1e-6)
        f = value(PerelmanF(gaussian, curvature=curvature), plane, grid).item()
        assert f == pytest.approx(d / (2 * TAU), rel=CLOSE)


def test_w_of_a_learned_potential_is_normalised():
    """A constant network on a flat patch of area A: f = log A − (n/2) log 4πτ, W = f − n."""
    potential = LearnedPotential(2).double()
    nn.init.zeros_(potential.network[-1].weight)
    area = PATCH.weights.sum().item()
    expected = math.log(area) - math.log(4 * math.pi * TAU) - 2
    assert value(PerelmanW(potential, tau=TAU), plane, PATCH).item() == pytest.approx(
        expected, rel=CLOSE
    )


@pytest.mark.parametrize("a", [1.5, 3.0])
def test_f_of_a_conformal_metric_with_uniform_measure_on_the_torus_vanishes(a):
    on = SampledGeometry(conformal_torus(a), TORUS)
    assert on.geometry.scalar.abs().amax() > 0.5
    assert PerelmanF().evaluate(on).item() == pytest.approx(0, abs=1e-8)


def test_first_variation_of_f_on_a_torus():
    """d/ds F = −∫ ⟨δg, Ric + ∇²f⟩ dm, dm fixed."""
    sample = QuadratureGrid((0, 0), (1, 1), nodes=96, periodic=True).grid(LIKE)
    coefficients, direction = 0.1 * torch.randn(2, 4, 4, dtype=torch.float64)
    s = torch.zeros((), dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(
        value(PerelmanF(), bumpy_torus(coefficients + s * direction), sample), s
    )[0]

    def metric(s, z):
        jacobian = jacfwd(lambda z: bumpy_torus(coefficients + s * direction)(z[None])[0])(z)
        return jacobian.mT @ jacobian

    def f(z):
        g = metric(0.0, z)  # torch's own determinants are wrong in nested forward mode
        return torch.log(g[0, 0] * g[1, 1] - g[0, 1] * g[1, 0]) / 2

    z = sample.z
    geometry = curvcore.pullback(bumpy_torus(coefficients), z)
    change = vmap(lambda z: jacfwd(metric)(torch.zeros((), dtype=z.dtype), z))(z)
    second = geometry.covariant_hessian(vmap(jacfwd(f))(z), vmap(hessian(f))(z))
    inverse = geometry.inverse_metric
    product = torch.einsum("bij,bik,bjl,bkl->b", change, inverse, inverse, geometry.ricci + second)
    assert found.item() == pytest.approx(-(sample.weights * product).sum().item(), rel=1e-7)


# --- invariance and scale -------------------------------------------------------------------------


def reparametrisation(y):
    """A diffeomorphism of the plane."""
    x, z = y.unbind(-1)
    return torch.stack([x + 0.3 * torch.sin(z), z + 0.2 * x + 0.1 * torch.tanh(x)], -1)


def pulled_back(sample):
    """The sample in coordinates y with z = φ(y): points by Newton's method, weights by 1/det."""
    y = sample.z.clone()
    derivative = vmap(jacfwd(reparametrisation))
    for _ in range(50):
        y = (
            y
            - torch.linalg.solve(derivative(y), (reparametrisation(y) - sample.z)[..., None])[
                ..., 0
            ]
        )
    return LatentSample(y, sample.weights / torch.linalg.det(derivative(y)))


def transformed(log_density):
    """The density of the same measure in coordinates y."""

    def in_y(y):
        return log_density(reparametrisation(y)) + torch.logdet(jacfwd(reparametrisation)(y))

    return in_y


INVARIANT = {
    "R2": (TotalSquaredCurvature(), TotalSquaredCurvature()),
    "R2_scale_free": (TotalSquaredCurvature(True), TotalSquaredCurvature(True)),
    "F": (PerelmanF(FixedMeasure(log_area)), PerelmanF(FixedMeasure(transformed(log_area)))),
    "W": (PerelmanW(FixedMeasure(log_area)), PerelmanW(FixedMeasure(transformed(log_area)))),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_functionals_do_not_depend_on_coordinates(name):
    in_z, in_y = INVARIANT[name]
    decoder = bumpy_torus(0.2 * torch.randn(4, 4, dtype=torch.float64))
    expected = value(in_z, decoder, PATCH).item()
    found = value(in_y, lambda y: decoder(reparametrisation(y)), pulled_back(PATCH)).item()
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("functional", "factor"), [(PerelmanF, 1.0), (partial(PerelmanW, tau=TAU), TAU)]
)
def test_what_curvature_adds(functional, factor):
    """R = 2 on the unit sphere, of any measure of mass one; what is left has ∇f alone."""
    with_r, without = (
        value(functional(FixedMeasure(log_area), curvature=c), sphere(), PATCH).item()
        for c in (True, False)
    )
    assert with_r - without == pytest.approx(2 * factor, rel=1e-9)


def test_a_learned_potential_is_a_function_on_the_surface():
    potential = LearnedPotential(2).double()

    class InY(LearnedPotential):
        def forward(self, y):
            return potential(reparametrisation(y))

    decoder = bumpy_torus(0.2 * torch.randn(4, 4, dtype=torch.float64))
    for functional in (PerelmanF, PerelmanW):
        expected = value(functional(potential), decoder, PATCH).item()
        sample = pulled_back(PATCH)
        found = value(functional(InY()), lambda y: decoder(reparametrisation(y)), sample).item()
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("functional", "scaled", "power"),
    [
        (TotalSquaredCurvature(), None, -2),
        (TotalSquaredCurvature(True), None, 0),
        (PerelmanF(), None, -2),
        (PerelmanW(tau=TAU), PerelmanW(tau=9 * TAU), 0),
        (DeTurckGauge(), None, 0),
        (UniformVolume(), None, 0),
        (RelaxedDistortion(), None, 0),
        (VarianceOfLogDet(), None, 0),
    ],
)
def test_scale(functional, scaled, power):
    """What becomes of each, in two dimensions, when the decoder is multiplied by three."""
    decoder = bumpy_torus(0.2 * torch.randn(4, 4, dtype=torch.float64))
    one = value(functional, decoder, PATCH).item()
    other = value(scaled or functional, lambda z: 3 * decoder(z), PATCH).item()
    assert other == pytest.approx(3.0**power * one, rel=1e-9)


# --- gradients and directions ---------------------------------------------------------------------

FEW = LatentSample.encoded(torch.rand(5, 2, dtype=torch.float64))


@pytest.mark.grid
@pytest.mark.parametrize(
    "functional",
    [
        TotalSquaredCurvature(), TotalSquaredCurvature(True), PerelmanF(), PerelmanW(),
        PerelmanF(LearnedPotential(2)), PerelmanW(LearnedPotential(2), Tau(0.5, learned=True)),
        DeTurckGauge(), UniformVolume(), RelaxedDistortion(), VarianceOfLogDet(),
    ],
    ids=lambda f: type(f).__name__,
)  # fmt: skip
def test_gradients(functional):
    functional = functional.double()
    parameters = list(functional.parameters())
    coefficients = (0.2 * torch.randn(4, 4, dtype=torch.float64)).requires_grad_()

    def of(coefficients, *parameters):
        return functional(bumpy_torus(coefficients), FEW.z)

    assert torch.autograd.gradcheck(of, (coefficients, *parameters), fast_mode=True)


@pytest.mark.parametrize("functional", [PerelmanF, PerelmanW])
def test_ricci_turns_the_decoder_and_leaves_the_potential(functional):
    potential = LearnedPotential(2).double()
    coefficients = (0.2 * torch.randn(4, 4, dtype=torch.float64)).requires_grad_()

    def gradients(direction):
        loss = functional(potential, direction=direction)(bumpy_torus(coefficients), FEW.z)
        return torch.autograd.grad(loss, (coefficients, *list(potential.parameters())[:-1]))

    (decoder, *learned), (turned, *same) = gradients("descend"), gradients("ricci")
    assert torch.allclose(turned, -decoder)
    assert all(torch.allclose(a, b) for a, b in zip(learned, same, strict=True))


@pytest.mark.parametrize("functional", [PerelmanF, partial(PerelmanW, tau=2.0)], ids=["F", "W"])
def test_f_and_w_increase_along_ricci_and_the_sphere_shrinks(functional):
    """W does so for r² < 2τ: a sphere with r² = 2τ is a soliton."""
    radius = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    bumps = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    loss = functional(FixedMeasure(log_area), direction="ricci")

    def decoder(z):
        point = sphere()(z)
        return radius * point * (1 + (point * point) @ bumps)[:, None]

    history = []
    for _ in range(10):
        current = value(loss, decoder, PATCH)
        history.append(-current.item())
        step = torch.autograd.grad(current, (radius, bumps))
        with torch.no_grad():
            radius -= 0.01 * step[0]
            bumps -= 0.01 * step[1]
    assert all(later > earlier for earlier, later in itertools.pairwise(history))
    assert radius < 1.5


def test_tau_keeps_time():
    tau = Tau(1.0, rate=-1.0, floor=0.1)
    tau.step(0.25)
    assert tau().item() == pytest.approx(0.75)
    tau.step(5)
    assert tau().item() == pytest.approx(0.1)


# --- degenerate points ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "functional",
    [
        TotalSquaredCurvature(), PerelmanF(), PerelmanW(LearnedPotential(2).double()),
        DeTurckGauge(), UniformVolume(), RelaxedDistortion(), VarianceOfLogDet(),
    ],
    ids=lambda f: type(f).__name__,
)  # fmt: skip
@pytest.mark.parametrize("is_free", [True, False])
def test_degenerate_points_are_left_out_and_counted(functional, is_free, monkeypatch):
    """A cone point: its neighbours count as if it were not there, on a GPU too."""
    monkeypatch.setattr(waiting, "reading_is_free", lambda tensor: is_free)
    stretch = torch.ones((), dtype=torch.float64, requires_grad=True)

    def cone(z):
        return torch.cat([stretch * z * z[:, :1], z[:, :1] ** 2 + z[:, 1:] * z[:, :1]], 1)

    z = torch.tensor([[0.5, 1.0], [0.0, 0.0], [1.0, -0.4]], dtype=torch.float64)
    on = SampledGeometry(cone, LatentSample(z, torch.ones(3, dtype=torch.float64)))
    assert on.degenerate_points == 1
    assert len(on.z) == len(on.weights) == (2 if is_free else 3)
    without = SampledGeometry(cone, LatentSample(z[::2], torch.ones(2, dtype=torch.float64)))
    for sampled in (on, without):
        assert torch.isfinite(functional.evaluate(sampled))
    one, other = (torch.autograd.grad(functional.evaluate(s), stretch)[0] for s in (on, without))
    assert one.item() == pytest.approx(other.item(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("weights", [torch.ones(5, 1), -torch.ones(5), torch.ones(4)])
def test_weights_must_be_positive_and_one_for_each_point(weights):
    with pytest.raises(TrainingError, match="weights must be"):
        TotalSquaredCurvature()(sphere(), FEW.z, weights.double())
