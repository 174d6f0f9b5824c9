"""Exponential and logarithm map and parallel transport against closed forms."""

import math
import sys

import pytest
import torch

import curvcore

D = torch.float64
pytest.importorskip("torchdiffeq")


def sphere(z):
    """Stereographic coordinates of the unit sphere, of any dimension."""
    square = z.square().sum(1, keepdim=True)
    return torch.cat([2 * z, square - 1], 1) / (1 + square)


def clifford_torus(z):
    return torch.cat([torch.cos(z), 2 * torch.sin(z), 2 * torch.cos(z), torch.sin(z)], 1)


def flat_torus(z):
    return torch.cat([torch.cos(z), torch.sin(z)], 1)


def ring_torus(z):
    """Major radius 2, minor 1, coordinates φ along and θ across."""
    phi, theta = z.unbind(1)
    radius = 2 + torch.cos(theta)
    return torch.stack([radius * torch.cos(phi), radius * torch.sin(phi), torch.sin(theta)], 1)


def points(d, count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, d, generator=generator, dtype=D)


def vectors(decoder, z, lengths, seed=1):
    """Of these lengths."""
    v = points(z.shape[1], len(z), seed)
    g = curvcore.metric(decoder, z)
    return v * (lengths / torch.einsum("bij,bi,bj->b", g, v, v).sqrt())[:, None]


def pushed(decoder, z, v):
    return (curvcore.jet(decoder, z, 1).jacobian @ v[..., None])[..., 0]


def great_circle(z, v):
    """The point in space, and the velocity there, of the geodesic of a sphere at time 1."""
    p, w = sphere(z), pushed(sphere, z, v)
    n = w.norm(dim=1, keepdim=True)
    return torch.cos(n) * p + torch.sin(n) * w / n, -n * torch.sin(n) * p + torch.cos(n) * w


LENGTHS = torch.tensor([0.1, 0.6, 1.1, 1.6, 2.1], dtype=D)


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 5])
def test_great_circles(d):
    z = points(d) / 4
    v = vectors(sphere, z, LENGTHS)
    found = curvcore.exponential_map(sphere, z, v)
    point, velocity = great_circle(z, v)
    assert (sphere(found.point) - point).abs().max() <= 1e-8
    assert (pushed(sphere, found.point, found.velocity) - velocity).abs().max() <= 1e-8
    assert found.converged.all()
    assert found.before_conjugate.all()
    assert found.inside.all()
    half, _ = great_circle(z, v / 2)
    assert (sphere(found.path[:, 16]) - half).abs().max() <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_the_logarithm_undoes_the_exponential(d):
    z = points(d) / 4
    v = vectors(sphere, z, LENGTHS)
    found = curvcore.logarithm_map(sphere, z, curvcore.exponential_map(sphere, z, v).point)
    assert (found.vector - v).abs().max() <= 1e-8 * v.abs().max()
    assert (found.length - LENGTHS).abs().max() <= 1e-8
    assert found.converged.all()
    assert found.before_conjugate.all()


@pytest.mark.slow
def test_float32():
    z = points(2) / 4
    v = vectors(sphere, z, LENGTHS)
    found = curvcore.exponential_map(sphere, z.float(), v.float())
    assert (sphere(found.point.double()) - great_circle(z, v)[0]).abs().max() <= 1e-4
    assert found.point.dtype == torch.float32
    assert found.converged.all()


def test_lines_of_a_flat_torus():
    z, v = points(3), points(3, seed=1)
    found = curvcore.exponential_map(flat_torus, z, v)
    assert (found.point - z - v).abs().max() <= 1e-10
    assert (found.velocity - v).abs().max() <= 1e-10
    back = curvcore.logarithm_map(flat_torus, z, z + v)
    assert (back.vector - v).abs().max() <= 1e-8


@pytest.mark.slow
def test_the_relation_of_clairaut():
    """Along geodesics of a surface of revolution r² φ' is constant."""
    z = points(2, 20)
    v = vectors(ring_torus, z, torch.full((20,), 5.0, dtype=D))
    found = curvcore.exponential_map(ring_torus, z, v)

    def momentum(z, v):
        return (2 + torch.cos(z[:, 1])).square() * v[:, 0]

    before = momentum(z, v)
    assert (momentum(found.point, found.velocity) - before).abs().max() <= 1e-8 * before.abs().max()
    assert found.converged.all()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-10, 1e10])
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units(scale, unit):
    """Of Ψ and of latent coordinates."""
    z = points(2) / 4
    v = vectors(sphere, z, LENGTHS)

    def decoder(z):
        return scale * sphere(z / unit)

    found = curvcore.exponential_map(decoder, unit * z, unit * v)
    expected = curvcore.exponential_map(sphere, z, v)
    assert (found.point / unit - expected.point).abs().max() <= 1e-8 * expected.point.abs().max()
    assert torch.equal(found.before_conjugate, expected.before_conjugate)
    back = curvcore.logarithm_map(decoder, unit * z[:2], found.point[:2])
    assert (back.vector / unit - v[:2]).abs().max() <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, *(pytest.param(d, marks=pytest.mark.slow) for d in (3, 4))])
def test_behind_a_conjugate_point(d):
    """That of all geodesics of a sphere lies at π, of multiplicity d − 1."""
    z = points(d, 4) / 4
    lengths = torch.tensor([2.0, 3.0, 3.3, 4.0], dtype=D)
    found = curvcore.exponential_map(sphere, z, vectors(sphere, z, lengths))
    assert found.before_conjugate.tolist() == [True, True, False, False]


@pytest.mark.slow
def test_a_vector_of_length_zero():
    z = points(2)
    found = curvcore.exponential_map(sphere, z, torch.zeros_like(z))
    assert (found.point - z).abs().max() <= 1e-14
    assert found.converged.all()
    back = curvcore.logarithm_map(sphere, z, z)
    assert back.vector.abs().max() <= 1e-12
    assert back.length.max() <= 1e-12
    assert back.converged.all()


def test_boxes():
    z = torch.zeros(2, 2, dtype=D)
    v = torch.tensor([[0.5, 0.0], [1.5, 0.0]], dtype=D)
    box = [[-1, 1], [-1, 1]]
    found = curvcore.exponential_map(flat_torus, z, v, box=box)
    assert found.inside.tolist() == [True, False]


@pytest.mark.slow
def test_a_decoder_that_ends():
    """Behind its edge there is nothing: said, and no number."""

    def decoder(z):
        return torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1)

    z, v = torch.zeros(1, 2, dtype=D), torch.tensor([[2.0, 0.0]], dtype=D)
    found = curvcore.exponential_map(decoder, z, v)
    assert not found.converged
    short = curvcore.exponential_map(decoder, z, v / 2)
    assert (short.point - torch.tensor([[math.sin(1.0), 0.0]], dtype=D)).abs().max() <= 1e-8


@pytest.mark.slow
def test_gradients():
    z, v = (points(2, 3, seed).requires_grad_() for seed in (0, 1))

    def closed(z, v):
        x, last = great_circle(z / 4, v / 4)[0].split([2, 1], 1)
        return x / (1 - last)

    def found(z, v):
        return curvcore.exponential_map(sphere, z / 4, v / 4).point

    for component in range(2):
        one, other = (
            torch.autograd.grad(f(z, v)[:, component].sum(), (z, v)) for f in (found, closed)
        )
        for a, b in zip(one, other, strict=True):
            assert (a - b).abs().max() <= 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_transport_along_great_circles(d):
    """The velocity stays the velocity, and what is orthogonal to its plane stays in space."""
    z = points(d) / 4
    v = vectors(sphere, z, LENGTHS)
    geodesic = curvcore.exponential_map(sphere, z, v)
    carried = curvcore.parallel_transport(sphere, geodesic.path, v)
    assert carried.shape == geodesic.path.shape
    assert (carried[:, -1] - geodesic.velocity).abs().max() <= 1e-6 * v.abs().max()
    w = points(d, seed=4)
    p, u = sphere(z), pushed(sphere, z, v)
    u = u / u.norm(dim=1, keepdim=True)
    first = pushed(sphere, z, w)
    along = (first * u).sum(1, keepdim=True)
    _, velocity = great_circle(z, v)
    expected = first - along * u + along * velocity / velocity.norm(dim=1, keepdim=True)
    found = curvcore.parallel_transport(sphere, geodesic.path, w)[:, -1]
    assert (pushed(sphere, geodesic.point, found) - expected).abs().max() <= 1e-6
    assert (p * first).sum(1).abs().max() <= 1e-12


@pytest.mark.slow
def test_the_holonomy_of_a_triangle_is_its_curvature():
    """Carried around it a vector turns by ∫K dA, on a sphere the excess of its angles."""
    corners = [torch.tensor([x], dtype=D) for x in ([0.1, 0.0], [0.9, 0.1], [0.2, 0.8])]
    w = start = torch.tensor([[1.0, 0.0]], dtype=D)
    for one, other in zip(corners, [*corners[1:], corners[0]], strict=True):
        side = curvcore.logarithm_map(sphere, one, other)
        assert side.converged
        w = curvcore.parallel_transport(sphere, side.path, w)[:, -1]
    g = curvcore.metric(sphere, corners[0])[0]
    turned = _angle(start[0], w[0], g)
    excess = -math.pi
    for at, one, other in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = (
            curvcore.logarithm_map(sphere, corners[at], corners[k]).vector[0] for k in (one, other)
        )
        excess += _angle(u, v, curvcore.metric(sphere, corners[at])[0]).abs()
    assert abs(turned.abs() - excess) <= 1e-6


def _angle(u, v, g):
    area = torch.linalg.det(g).sqrt() * (u[0] * v[1] - u[1] * v[0])
    return torch.atan2(area, u @ g @ v)


@pytest.mark.slow
def test_bound_decoders():
    z, v = points(2) / 2, points(2, seed=1) / 4
    bound = curvcore.bind(lambda z: {"x": sphere(z)}, output="x")
    found = curvcore.exponential_map(bound, z, v).point
    assert torch.equal(found, curvcore.exponential_map(sphere, z, v).point)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((points(2), points(3)), {}, r"v must be \(B, d\) with d = 2"),
        ((points(2), points(2) * math.nan), {}, "NaN or Inf"),
        ((points(2).half(), points(2).half()), {}, "float64 or float32"),
        ((points(2), points(2)), {"box": [[0, 1]]}, r"box must be \(d, 2\) = \(2, 2\)"),
        ((points(2), points(2)), {"box": [[0, 1], [1, 0]]}, "lower and upper ends"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.exponential_map(sphere, *arguments, **options)


def test_a_degenerate_start():
    with pytest.raises(curvcore.DegenerateMetricError):
        curvcore.exponential_map(lambda z: z**3, torch.zeros(1, 2, dtype=D), points(2, 1))


@pytest.mark.parametrize("path", [None, points(2)])
def test_what_is_no_path(path):
    with pytest.raises(curvcore.InputError, match=r"path must be a tensor \(B, n\+1, d\)"):
        curvcore.parallel_transport(sphere, path, points(2))


def test_without_the_solver(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ModuleNotFoundError, match=r"curvcore\[geodesics\]"):
        curvcore.exponential_map(sphere, points(2), points(2))


def only_to_the_right(z):
    return torch.stack([z[:, 0].log(), z[:, 1], z[:, 0] * z[:, 1]], 1)


def test_what_is_not_decoded_to_numbers_is_not_found():
    """Derivatives of log x are finite where it is NaN."""
    z = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)
    found = curvcore.exponential_map(only_to_the_right, z, torch.full_like(z, 0.1))
    assert not found.converged.any()
    assert not found.inside.any()


@pytest.mark.slow
def test_one_that_is_lost_does_not_stop_the_others():
    rates = curvcore.bind(lambda z: z + 1, likelihood="poisson")  # positive to the right of −1
    z = torch.zeros(3, 2, dtype=torch.float64)
    v = torch.tensor([[0.1, 0.1], [-3.0, 0.0], [0.2, 0.0]], dtype=torch.float64)
    found = curvcore.exponential_map(rates, z, v)
    assert found.converged.tolist() == [True, False, True]
    kept = [0, 2]
    torch.testing.assert_close(found.point[kept], (1 + v[kept] / 2) ** 2 - 1)


@pytest.mark.slow
def test_one_whose_path_degenerates_does_not_stop_the_transport_of_others():
    def cusp(z):  # the metric is degenerate where the first coordinate is 0
        return torch.stack([z[:, 0] ** 3, z[:, 1], z[:, 0] * z[:, 1]], 1)

    start = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.5]], dtype=D)
    end = torch.tensor([[2.0, 0.1], [1.0, 0.0], [2.0, 0.4]], dtype=D)
    path = torch.lerp(start[:, None], end[:, None], torch.linspace(0, 1, 9, dtype=D)[:, None])
    v = torch.ones(3, 2, dtype=D)
    carried = curvcore.parallel_transport(cusp, path, v)
    assert carried[1, 1:].isnan().all()
    kept = torch.tensor([0, 2])
    torch.testing.assert_close(
        carried[kept], curvcore.parallel_transport(cusp, path[kept], v[kept]), rtol=1e-10, atol=0
    )


@pytest.mark.slow
def test_gradients_beside_one_that_is_lost():
    weights = torch.tensor([1.0, 1.1], dtype=D, requires_grad=True)
    z = torch.tensor([[1.0, 0.3], [1.0, 0.0], [1.2, -0.2]], dtype=D, requires_grad=True)
    v = torch.tensor([[0.3, 0.2], [-2.0, 0.0], [0.1, 0.1]], dtype=D)
    kept = torch.tensor([0, 2])

    def fold(z):  # degenerate at the origin, which the second geodesic runs into
        x, y = z.unbind(1)
        return torch.stack([weights[0] * x**3 + y**2, weights[1] * y, x * y], 1)

    found = curvcore.exponential_map(fold, z, v)
    assert found.converged.tolist() == [True, False, True]
    alone = curvcore.exponential_map(fold, z[kept], v[kept])
    of_all, of_kept = (
        torch.autograd.grad(point.square().sum(), [weights, z])
        for point in (found.point[kept], alone.point)
    )
    torch.testing.assert_close(of_all, of_kept, rtol=1e-9, atol=0)


@pytest.mark.slow
def test_a_logarithm_past_a_bump_converges():
    """Steps that are as good at the highest frequency as at the lowest: see boundary_value."""

    def bump(z):
        square = (z - torch.tensor([0.5, 0.0], dtype=z.dtype)).square().sum(1, keepdim=True)
        return torch.cat([z, 0.05 * torch.exp(-square / 0.02)], 1)

    z, w = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    found = curvcore.logarithm_map(bump, z, w)
    assert found.converged.all()
    assert (curvcore.exponential_map(bump, z, found.vector).point - w).abs().max() <= 1e-11


def test_of_no_points():
    none, paths = torch.zeros(0, 2, dtype=D), torch.zeros(0, 5, 2, dtype=D)
    found = curvcore.exponential_map(lambda z: z.sin(), none, none)
    assert found.point.shape == (0, 2)
    assert found.path.shape == (0, 33, 2)
    assert found.converged.shape == (0,)
    assert found.converged.dtype == torch.bool
    assert curvcore.parallel_transport(lambda z: z.sin(), paths, none).shape == (0, 5, 2)


def test_vectors_of_the_shape_of_the_latents():
    z = torch.linspace(0, 1, 8, dtype=D).reshape(2, 2, 2)
    v = torch.full_like(z, 0.1)

    def image(z):
        return torch.cat([z, z.sin()], 1)

    bound = curvcore.bind(image, latent_shape=(2, 2))
    found = curvcore.exponential_map(image, z, v).point
    torch.testing.assert_close(
        found, curvcore.exponential_map(bound, z.flatten(1), v.flatten(1)).point
    )
    back = curvcore.logarithm_map(image, z, found.reshape(z.shape))
    torch.testing.assert_close(back.vector, v.flatten(1), rtol=1e-7, atol=1e-9)
