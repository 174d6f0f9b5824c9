"""A number that comes back is right: what would be wrong raises, or is NaN."""

import pickle

import pytest
import torch
from torch import nn

import curvcore
from curvcore import DegenerateMetricError, RowsNotIndependentError, UnsupportedOperationError
from tests.support.parametrisation import every_formula
from tests.support.tolerance import assert_close

Z = torch.tensor([[0.3, -0.4], [0.9, 0.1], [-0.5, 0.7], [0.2, 0.8]], dtype=torch.float64)


def network(*layers):
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), *layers, nn.Linear(8, 5)).double()


@pytest.mark.parametrize("quantity", ["condition_number", "metric", "christoffel", "riemann"])
def test_looking_without_gradient_does_not_change_the_gradient(quantity):
    decoder = network()
    weight = decoder[0].weight
    (expected,) = torch.autograd.grad(curvcore.scalar_curvature(decoder, Z).sum(), weight)
    geometry = curvcore.pullback(decoder, Z)
    with torch.no_grad():
        getattr(geometry, quantity)
    (gradient,) = torch.autograd.grad(geometry.scalar.sum(), weight)
    assert_close(gradient, expected)


@every_formula
def test_ill_conditioned_coordinates_cost_no_more_than_the_condition_number(formula):
    """A cylinder's sheared chart: R = 0 to about κ eps in units of |II|² = 1."""
    for shear in (1e2, 1e3, 1e4):

        def sheared(z, shear=shear):
            angle = z[:, 0] + shear * z[:, 1]
            return torch.stack([torch.cos(angle), torch.sin(angle), z[:, 1]], 1)

        z = Z / 10
        geometry = curvcore.pullback(sheared, z, formula=formula)
        scale = geometry.condition_number.max()
        assert_close(geometry.scalar, torch.zeros(4, dtype=z.dtype), scale=scale)


def test_a_value_that_is_not_finite_makes_the_point_degenerate():
    graph = lambda z: torch.stack([z[:, 0], z[:, 1], torch.log(z[:, 0]) + z[:, 1] ** 2], 1)  # noqa: E731
    scalar = curvcore.scalar_curvature(graph, Z, on_degenerate="nan")
    assert scalar.isnan().tolist() == [False, False, True, False]


def test_degenerate_points_survive_pickling():
    with pytest.raises(DegenerateMetricError) as caught:
        curvcore.scalar_curvature(lambda z: z * z[:, :1], torch.zeros(2, 2), chunk_size=1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.points.tolist() == [0, 1]
    assert str(error) == str(caught.value)


def test_a_plane_without_direction_does_not_spoil_the_gradient_of_others():
    decoder = network()
    u = torch.tensor([1.0, 0.0], dtype=torch.float64)
    v = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1e-9]], dtype=torch.float64)
    curvature = curvcore.pullback(decoder, Z).sectional(u, v)
    assert curvature[0].isnan()
    assert_close(curvature[1:], curvcore.scalar_curvature(decoder, Z)[1:] / 2)
    (gradient,) = torch.autograd.grad(curvature[1:].sum(), decoder[0].weight)
    assert gradient.isfinite().all()


def without_gradient(z):
    with torch.no_grad():
        return z.sin()


HIDDEN = {
    "no derivative in torch": torch.special.airy_ai,
    "detached": lambda z: z.sin().detach(),
    "no_grad": without_gradient,
    "inference_mode": torch.inference_mode()(torch.sin),
}


@pytest.mark.parametrize("function", HIDDEN.values(), ids=HIDDEN)
def test_a_part_without_derivative_is_found_out(function):
    with pytest.raises(UnsupportedOperationError, match=r"without gradient|wrong derivative"):
        curvcore.scalar_curvature(lambda z: torch.cat([z, function(z)], 1), Z)


def test_train_mode_is_seen_through_a_bound_method():
    module = network(nn.BatchNorm1d(8))
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with pytest.raises(RowsNotIndependentError, match=r"Call decoder.eval\(\)"):
        curvcore.scalar_curvature(module.forward, Z)
    assert all(torch.equal(before[name], buffer) for name, buffer in module.named_buffers())


def test_symbolic_expressions_that_are_no_immersion():
    sympy = pytest.importorskip("sympy")
    u, v = sympy.symbols("u v", real=True)
    with pytest.raises(DegenerateMetricError, match="not an immersion"):
        _ = curvcore.pullback([u + v, (u + v) ** 2, 1], (u, v)).scalar


def test_a_sympy_matrix_is_taken():
    sympy = pytest.importorskip("sympy")
    u, v = sympy.symbols("u v", real=True)
    cylinder = sympy.Matrix([sympy.cos(u), sympy.sin(u), v])
    assert sympy.simplify(curvcore.pullback(cylinder, (u, v)).scalar) == 0


@pytest.mark.parametrize("seed", range(4))
def test_badly_scaled_coordinates_are_no_wrong_derivative(seed):
    """Finite differences with steps in proportion to |z| step over all of this sphere."""
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator)).Q
    matrix = left @ torch.diag(torch.tensor([1, 0.03, 0.001])) @ right
    z = torch.linalg.solve(matrix, torch.randn(3, 16, generator=generator)).mT

    def sphere(z):
        u = z @ matrix.mT
        square = u.square().sum(1, keepdim=True)
        return torch.cat([2 * u, square - 1], 1) / (square + 1)

    for derivatives in ("fused", "autodiff"):
        curvcore.jet(sphere, z, derivatives=derivatives)


def in_float32(z):
    """An RMS norm as many packages have it."""
    inner = torch.cat([z, z.sin(), z.cos()], 1)
    return inner * torch.rsqrt(inner.float().square().mean(1, keepdim=True)).to(z.dtype)


def coarse_softmax(z):
    scores = torch.cat([z, z.sin(), 2 * z.cos()], 1)
    return torch.softmax(scores, 1, dtype=torch.float32).to(z.dtype) * scores


@pytest.mark.parametrize(
    ("decoder", "name"), [(in_float32, "Tensor.float"), (coarse_softmax, "softmax")]
)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_what_computes_in_a_lower_precision_is_named(decoder, name, derivatives):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 2, dtype=torch.float64, generator=generator)
    message = rf"lower precision than that of z, torch\.float64: .*{name} \(torch\.float32\)"
    with pytest.raises(curvcore.UnsupportedOperationError, match=message):
        curvcore.jet(decoder, z, derivatives=derivatives)
    assert curvcore.scalar_curvature(decoder, z.float(), derivatives=derivatives).isfinite().all()
