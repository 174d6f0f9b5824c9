"""Geodesics in hyperbolic spaces, as balls and half-spaces in R^D and as families of Gaussians."""

import math

import pytest
import torch

import curvcore
from curvcore.discrete_energy import model_of
from tests.support.ambient import (
    BALL,
    GAUSSIANS,
    HALF_PLANE,
    Immersion,
    in_ball,
    in_half_plane,
    of_ball,
    of_half_plane,
    points,
    same,
)

D = torch.float64
EPS = torch.finfo(D).eps


SPACES = {
    "half-plane": (HALF_PLANE, in_half_plane, of_half_plane, 1),
    "ball": (BALL, in_ball, of_ball, 1),
    "gaussians": (GAUSSIANS, in_half_plane, of_half_plane, 2**0.5),
}


@pytest.mark.parametrize("kind", ["factor", "diagonal", "dense"])
def test_derivatives_of_the_energy(kind):
    """Against torch's own of the energy's definition."""
    decoder, path = Immersion(), points(5)[None]
    model = model_of(curvcore.bind(decoder, ambient=decoder.metric(kind)), path)

    def energy(inner):
        nodes = torch.cat([path[0, :1], inner.reshape(3, 3), path[0, -1:]])
        value = decoder(nodes)
        field, steps = decoder.metric(kind)(value), value.diff(dim=0)
        if field.ndim < 3:
            field = torch.diag_embed(field.reshape(5, -1).expand(5, 6))
        between = (field[1:] + field[:-1]) / 2
        return torch.einsum("ka,kab,kb->", steps, between, steps) / 2

    inner = path[0, 1:-1].flatten()
    gradient = torch.autograd.functional.jacobian(energy, inner)
    hessian = (
        torch.autograd.functional.hessian(energy, inner).unflatten(1, (3, 3)).unflatten(0, (3, 3))
    )
    diagonal, beside = model.hessian()
    tolerance = 1e3 * EPS * hessian.abs().max()
    assert (model.energy[0] - energy(inner)).abs() < tolerance
    assert (model.gradient.flatten() - gradient).abs().max() < tolerance
    for k in range(3):
        assert (diagonal[0, k] - hessian[k, :, k]).abs().max() < tolerance
    for k in range(2):
        assert (beside[0, k] - hessian[k, :, k + 1]).abs().max() < tolerance


@pytest.mark.parametrize("name", SPACES)
def test_discrete_geodesics_converge_with_order_two(name):
    decoder, sample, distance, unit = SPACES[name]
    z, w = sample(6), sample(6, seed=1)
    expected, errors = unit * distance(z, w), []
    for segments in (16, 32):
        found = curvcore.geodesic(decoder, z, w, segments=segments)
        assert found.converged.all()
        assert torch.equal(curvcore.path_length(decoder, found.path), found.length)
        errors.append((found.length - expected).abs())
    assert (errors[1] < 0.01 * expected).all()
    order = torch.log2(errors[0].sum() / errors[1].sum())
    assert 1.7 < order < 2.3


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_logarithms(name):
    decoder, sample, distance, unit = SPACES[name]
    z, w = sample(5), sample(5, seed=1)
    log = curvcore.logarithm_map(decoder, z, w)
    assert (log.length - unit * distance(z, w)).abs().max() < 1e-8
    assert log.converged.all()
    assert log.before_conjugate.all()
    half = log.path[:, 16]
    for end in (z, w):  # the middle of the only geodesic
        assert (distance(half, end) - distance(z, w) / 2).abs().max() < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_the_exponential_undoes_the_logarithm(name):
    decoder, sample, *_ = SPACES[name]
    z, w = sample(3), sample(3, seed=1)
    found = curvcore.exponential_map(decoder, z, curvcore.logarithm_map(decoder, z, w).vector)
    assert (found.point - w).abs().max() < 1e-8
    assert found.converged.all()
    assert found.before_conjugate.all()


@pytest.mark.slow
def test_a_vertical_line():
    """Straight down in the half-plane heights are e^{−t}, and vectors shrink with them."""
    z, v = torch.tensor([[0.0, 1.0]], dtype=D), torch.tensor([[0.0, -3.0]], dtype=D)
    found = curvcore.exponential_map(HALF_PLANE, z, v)
    assert found.point[0, 1].item() == pytest.approx(math.exp(-3), rel=1e-8)
    across = torch.tensor([[1.0, 0.0]], dtype=D)
    carried = curvcore.parallel_transport(HALF_PLANE, found.path, across)[0, -1]
    assert carried[0].item() == pytest.approx(math.exp(-3), rel=1e-6)
    assert carried[1].abs() < 1e-8


def angle(u, v):
    """From u to v in the half-plane, which is conformal."""
    return math.atan2(u[0] * v[1] - u[1] * v[0], u @ v)


@pytest.mark.slow
def test_holonomy_of_a_hyperbolic_triangle():
    """Carried around it, a vector turns by ∫K dA = −area = α + β + γ − π."""
    corners = torch.tensor([[0.0, 1.0], [1.0, 1.2], [0.3, 2.5]], dtype=D)
    ends = corners.roll(-1, 0)
    log = curvcore.logarithm_map(HALF_PLANE, corners, ends)
    back = curvcore.logarithm_map(HALF_PLANE, corners, corners.roll(1, 0))
    angles = [angle(u, v) for u, v in zip(log.vector, back.vector, strict=True)]
    v = torch.tensor([[1.0, 0.0]], dtype=D)
    for path in log.path:
        v = curvcore.parallel_transport(HALF_PLANE, path[None], v)[:, -1]
    turned = angle(torch.tensor([1.0, 0.0], dtype=D), v[0])
    assert v.norm() == pytest.approx(1, abs=1e-7)
    assert turned == pytest.approx(sum(angles) - math.pi, abs=1e-6)


@pytest.mark.slow
def test_a_geodesic_that_leaves_the_domain():
    """Where G(x) = x_1 there is nothing behind x_1 = 0, which has the distance ⅔ from x_1 = 1."""
    edge = curvcore.bind(same, ambient=lambda x: x[:, 0])
    z = torch.tensor([[1.0, 0.0]], dtype=D)
    near = curvcore.exponential_map(edge, z, -0.5 * z)
    assert near.point[0, 0].item() == pytest.approx(0.25 ** (2 / 3), rel=1e-8)
    assert not curvcore.exponential_map(edge, z, -1.0 * z).converged.any()
    with pytest.raises(curvcore.DecoderError, match="NaN or Inf on the path"):
        curvcore.geodesic(edge, z, -z)


@pytest.mark.slow
def test_the_end_is_as_precise_as_the_nodes_before():
    """On the vertical line (0, e^{8t})."""
    z = torch.tensor([[0.0, 1.0]], dtype=D)
    path = curvcore.exponential_map(HALF_PLANE, z, 8 * z).path[0, :, 1]
    known = torch.exp(torch.linspace(0, 8, 33, dtype=D))
    assert ((path - known).abs() <= 1e-12 * known).all()
