"""Geodesics that are proved: great circles, Clairaut's integral, tubes, conjugate points."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

import curvcore
from verification import CertificationError, certify_geodesic
from verification.geodesics.collocation import Collocation, Segments
from verification.geodesics.command import shot, sphere, three_sphere
from verification.geodesics.equations import Along, SmoothModels
from verification.geodesics.flow import at, integral, total
from verification.geodesics.index import inverted
from verification.geodesics.segments import flow
from verification.geodesics.shooting import newton
from verification.regions.command import torus
from verification.regions.models import TaylorModels
from verification.regions.monomials import monomials

D = torch.float64
BASIS = monomials(1, 5)


def random(*shape, seed=0):
    return torch.rand(shape, dtype=D, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def network(activation=nn.Tanh, d=2):
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(d, 12), activation(), nn.Linear(12, 12), activation(),
                         nn.Linear(12, 9)).to(D)  # fmt: skip


def arc(path):
    """The angle between the ends of a path on a sphere."""
    one, other = sphere(path[[0, -1]])
    return math.atan2(torch.linalg.cross(one, other).norm(), one @ other)


# --- parts ----------------------------------------------------------------------------------------


def test_integrals_and_values_of_models_hold_those_of_functions():
    """Of p + s r, s = ±1: the extreme functions of a model."""
    radius, halves = random(4, 3, seed=1).abs(), torch.tensor([0.5, 0.25, 2.0, 1.0], dtype=D)
    models = TaylorModels(BASIS, random(6, 4, 3), radius)
    primitive = np.polynomial.Polynomial
    for sign in (-1, 1):
        for k, i in np.ndindex(4, 3):
            c = models.coefficients[:, k, i].clone()
            c[0] += sign * radius[k, i]
            p = primitive(c.numpy()).integ(lbnd=-1) * halves[k].item()
            whole = total(models, halves)
            assert abs(p(1.0) - whole.middle[k, i]) <= whole.radius[k, i] + 1e-15
            for tau in np.linspace(-1, 1, 9):
                held = at(integral(models, halves), tau)
                assert abs(p(tau) - held.middle[k, i]) <= held.radius[k, i] + 1e-15


def test_inverses_of_interval_matrices_hold_those_of_matrices():
    middle, radius = random(5, 3, 3) + 2 * torch.eye(3, dtype=D), random(5, 3, 3, seed=1).abs() / 50
    inverse = inverted(TaylorModels(BASIS, middle[None], radius))
    assert inverse.radius.isfinite().any()
    for seed in range(20):
        sample = torch.linalg.inv(middle + radius * random(5, 3, 3, seed=seed).sign())
        assert ((sample - inverse.middle).abs() <= inverse.radius).all()
    singular = TaylorModels(BASIS, middle[None], torch.full_like(radius, 3.0))
    assert not inverted(singular).radius.isfinite().any()


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SiLU])
def test_equations_hold_on_all_curves_in_a_tube(activation):
    """−Γ(v, v), g and A of curves p + r s, with s in [−1, 1] constant."""
    decoder, d = network(activation), 2
    coefficients, radius = random(2, 6, 3, d) * (0.03 ** torch.arange(6.0))[:, None, None], 1e-4
    tubes = [TaylorModels(BASIS, c, torch.full((3, d), radius, dtype=D)) for c in coefficients]
    along = Along(decoder, *tubes)
    for seed in range(10):
        tau = random(1, seed=seed).item()
        powers = tau ** torch.arange(6, dtype=D)
        z, v = (
            torch.einsum("m,mki->ki", powers, c) + radius * random(3, d, seed=seed + k).sign()
            for k, c in enumerate(coefficients)
        )
        geometry = curvcore.pullback(decoder, z)
        turning = torch.einsum("nkij,ni->nkj", geometry.christoffel, v)
        tidal = torch.einsum(
            "nmi,nijkl,nj,nl->nmk", geometry.inverse_metric, geometry.riemann, v, v
        )
        matrix = torch.cat([
            torch.cat([-turning, torch.eye(d, dtype=D).expand(3, d, d)], 2),
            torch.cat([-tidal, -turning], 2),
        ], 1)  # fmt: skip
        force = -torch.einsum("nkj,nj->nk", turning, v)
        for models, exact in (
            (along.acceleration(), force), (along.metric(), geometry.metric),
            (along.jacobi_matrix(), matrix),
        ):  # fmt: skip
            held = at(models, tau)
            assert ((held.middle - exact).abs() <= held.radius + 1e-13).all()
            assert held.radius.max() < 0.3 * exact.abs().max()


def test_undecided_cases_are_unknown():
    """Of conditions that hold, fail, and do so on part of the tube."""
    numbers = SmoothModels(BASIS)
    tau = TaylorModels(BASIS, torch.eye(6, dtype=D)[:2].sum(0)[:, None] * 0.5, torch.zeros(1))
    condition = numbers.compare(np.less, tau, numbers.constants(torch.tensor([2.0, -2.0, 0.5])))
    chosen = numbers.where(condition, tau, -tau)
    assert chosen.radius.isfinite().tolist() == [True, True, False]


@pytest.mark.slow
def test_the_flow_over_segments_and_its_derivative():
    """Enclosures hold the flow from all starts in a box; its derivative is that of differences."""
    decoder, halves = network(d=3), torch.tensor([0.05, 0.1], dtype=D)
    basis, collocation = monomials(1, 8), Collocation(network(d=3), 8)
    z, v, radius = random(2, 3), random(2, 3, seed=1), 1e-4
    near = collocation.segments(halves, z, v)
    starts = [TaylorModels(basis, x[None], torch.full_like(x, radius)) for x in (z, v)]
    found = flow(decoder, basis, halves, near, starts)
    assert found.proved.all()
    for seed in range(10):
        moved = [x + radius * random(2, 3, seed=seed + k) for k, x in enumerate((z, v))]
        ends = collocation.segments(halves, *moved).ends
        assert ((ends - found.ends.middle).abs() <= found.ends.radius + 1e-13).all()
        exact = collocation.segments(halves, *moved).derivative
        held = found.derivative()
        assert ((exact - held.middle).abs() <= held.radius + 1e-12).all()
    for i in range(6):
        shift = torch.zeros(2, 6, dtype=D)
        shift[:, i] = 1e-5
        ends = [
            collocation.segments(halves, *(torch.cat([z, v], 1) + s * shift).split(3, 1)).ends
            for s in (-1, 1)
        ]
        slope = (ends[1] - ends[0]) / 2e-5
        assert (slope - near.derivative[:, :, i]).abs().max() < 1e-9


def test_a_singular_system_is_no_geodesic():
    """As of ends that are conjugate to each other, exactly."""
    zero = torch.zeros(1, 2, dtype=D)
    near = Segments(zero, torch.zeros(1, 2, 2, dtype=D), zero, zero, torch.ones(1, dtype=bool))
    z, v = torch.tensor([[0.0], [1.0]], dtype=D), torch.ones(2, 1, dtype=D)
    assert not newton(lambda *_: near, z, v)[2]


# --- geodesics ------------------------------------------------------------------------------------


def test_great_circle_past_the_antipode():
    """Length and Morse's index are those of the long way round; π is conjugate."""
    path = shot(sphere, [1.0, 0.3], [0.5, 1.5], 4.0)
    found = certify_geodesic(sphere, path, relative=1e-4)
    low, high = found.length
    exact = 2 * math.pi - arc(path)
    assert found.proved
    assert low - 1e-14 <= exact <= high + 1e-14
    assert high - low < 1e-4 * exact
    assert found.distance < 1e-4
    assert found.index == 1
    ((before, after, count),) = found.conjugate
    assert count == 1
    assert before <= math.pi / exact <= after < before + 1e-3
    normal = torch.linalg.cross(*sphere(path[[0, -1]]))
    middles = sphere(found.nodes.mean(-1)) @ (normal / normal.norm())
    assert (middles.abs() <= (found.nodes[..., 1] - found.nodes[..., 0]).sum(1) + 1e-14).all()


@pytest.mark.slow
def test_conjugate_points_of_multiplicity_two():
    """On the sphere of dimension 3 det J touches zero without changing its sign."""
    path = shot(three_sphere, [1.2, 1.3, 0.2], [0.2, 0.3, 1.1], 4.0)[::2]
    found = certify_geodesic(three_sphere, path, relative=1e-5, degree=10)
    ((low, high, count),) = found.conjugate
    assert count == found.index == 2
    assert low <= math.pi / 4 + 1e-6
    assert math.pi / 4 - 1e-6 <= high < low + 1e-4


def test_clairaut():
    """On a torus, w² u' = c: length and angle are integrals along v."""
    c, ends = 0.7, (-1.1, 1.9)

    def over(integrand):
        return quad(integrand, *ends, epsabs=1e-13, epsrel=1e-13, limit=200)[0]

    def width(v):
        return 2 + math.cos(v)

    angle = over(lambda v: c / (width(v) * math.sqrt(width(v) ** 2 - c**2)))
    length = over(lambda v: width(v) / math.sqrt(width(v) ** 2 - c**2))
    a, b = (torch.tensor([x], dtype=D) for x in ((0.0, ends[0]), (angle, ends[1])))
    found = certify_geodesic(torus, curvcore.geodesic(torus, a, b).path[0])
    assert found.length[0] - 1e-12 <= length <= found.length[1] + 1e-12
    momentum = width(ends[0]) ** 2 * found.velocities[0, 0] / length
    assert momentum[0] - 1e-12 <= c <= momentum[1] + 1e-12
    assert found.index == 0


def test_velocity_leads_to_the_end():
    decoder = network()
    path = curvcore.geodesic(decoder, *random(2, 1, 2)).path[0]
    found = certify_geodesic(decoder, path)
    v = found.velocities[0].mean(1)[None]
    end = curvcore.exponential_map(decoder, path[:1], v).point[0]
    assert (end - path[-1]).abs().max() < 1e-6
    speed = (curvcore.metric(decoder, path[:1])[0] @ v[0] @ v[0]).sqrt()
    assert abs(speed.item() - sum(found.length) / 2) < 1e-6 * speed
    assert found.index == 0


LINE = torch.tensor([[-1.0, 0.2], [-0.3, 0.25], [0.4, 0.3], [1.0, 0.95]], dtype=D)
WITH_KINKS = {
    "elu": network(nn.ELU),
    "product": lambda z: torch.stack([z[:, 0], z[:, 1], 0.3 * (z[:, 0] < 0) * z[:, 0]], 1),
    "jump": lambda z: torch.stack([z[:, 0] + 0.5 * (z[:, 0] < 0), z[:, 1]], 1),
    "bend": lambda z: torch.cat([z, 0.3 * z[:, :1] ** 2 * (z[:, :1] < 0)], 1),
    "tanh of a case": lambda z: torch.cat(
        [z, 0.1 * z * torch.tanh(torch.where(z < 0, 1.0, 2.0))], 1
    ),
}


@pytest.mark.parametrize("name", WITH_KINKS)
def test_what_is_not_smooth_is_not_proved(name):
    """ELU's second derivative jumps where its argument is 0; others are not continuous."""
    found = certify_geodesic(WITH_KINKS[name], LINE, seconds=0.1)
    assert not found.proved
    assert not found.reached
    assert found.reason
    assert found.length == (0, math.inf)
    assert found.index is None


class Shifted(nn.Module):
    def __init__(self, function, shift):
        super().__init__()
        self.function, self.shift = function, shift

    def forward(self, z):
        y = self.function(z @ torch.tensor([[1.0, 0.3], [-0.2, 0.9]], dtype=D) + self.shift)
        return torch.cat([y, y**2, z.sum(1, keepdim=True)], 1)


@pytest.mark.parametrize(
    "decoder",
    [
        Shifted(nn.functional.softplus, 0.0), Shifted(nn.functional.elu, 5.0),
        Shifted(nn.functional.mish, 0.0), Shifted(torch.abs, -5.0),
        Shifted(lambda x: torch.where(x < 9, x.sin(), x), 0.0),
        Shifted(lambda x: nn.functional.softmax(torch.cat([x, -x, x**2], 1), 1), 0.0),
        nn.Linear(2, 3).to(D),
    ],
    ids=["softplus", "elu", "mish", "abs", "where", "softmax", "linear"],
)  # fmt: skip
def test_what_is_smooth_along_the_path_is_proved(decoder):
    """Cases that are the same all along, and a straight line, of which no step is left."""
    path = curvcore.geodesic(decoder, *random(2, 1, 2, seed=2) * 0.4, segments=8).path[0]
    found = certify_geodesic(decoder, path, relative=1e-4, seconds=60)
    assert found.proved
    assert found.reached
    assert found.index == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": torch.zeros(1, 2, dtype=D)}, "nodes"),
        ({"path": torch.zeros(4, 2, dtype=D)}, "same point"),
        ({"path": torch.zeros(4, 2, dtype=int)}, "floating"),
        ({"degree": 8.0}, "degree"),
        ({"decoder": lambda z: z.log()}, "not finite"),
        ({"decoder": nn.Linear(3, 4)}, "does not take"),
        ({"relative": 0.0}, "relative"),
        ({"decoder": curvcore.bind(torus, ambient=lambda x: x[:, 0] ** 2 + 1)}, "Euclidean"),
    ],
)
def test_bad_arguments(change, words):
    path = torch.tensor([[0.0, 0.0], [0.5, 0.1]], dtype=D)
    with pytest.raises(CertificationError, match=words):
        certify_geodesic(**{"decoder": torus, "path": path, **change})
