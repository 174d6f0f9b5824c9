"""R for 3 ≤ d ≤ 8 by the kernel: values, gradients, conditions, and degenerate points."""

import pytest
import torch

import curvcore
from curvcore import kernels
from tests.support.tolerance import assert_close

SIZES = [(3, 31, 7), (3, 1, 100), (4, 2, 7), (5, 3, 9), (6, 2, 100), (7, 1, 256), (8, 2, 13)]
EPS = torch.finfo(torch.float32).eps


def jet(d, points, size, device, bases=None):
    """Random derivatives Ψ_i, Ψ_ij = Ψ_ji, in the coordinates of bases (B, d, d)."""
    jacobian = torch.randn(points, size, d, device=device)
    hessian = torch.randn(points, size, d, d, device=device)
    hessian = hessian + hessian.mT
    if bases is not None:
        jacobian = torch.einsum("bni,bij->bnj", jacobian, bases)
        hessian = torch.einsum("bnij,bik,bjl->bnkl", hessian, bases, bases)
    return curvcore.Jet(torch.zeros(points, size, device=device), jacobian, hessian)


def ill_conditioned(d, points, device):
    """Bases of condition numbers from 1 to 100, not aligned with anything."""
    left, right = (torch.linalg.qr(torch.randn(points, d, d, device=device)).Q for _ in "ab")
    exponents = torch.linspace(0, 2, points, device=device)[:, None]
    return (
        left @ torch.diag_embed(10 ** (exponents * torch.linspace(0, -1, d, device=device))) @ right
    )


def geometry(jet):
    return curvcore.PullbackGeometry(jet)


def exactly(jet):
    return geometry(curvcore.Jet(*(array.double() for array in jet.arrays())))


def check(found, expected):
    assert found._by_kernel is not None
    error = (found.scalar.double() - expected.scalar).abs() / expected.scalar.abs()
    assert (error <= 30 * found.scalar_relative_error.double()).all()
    # 7/(256 e) of either eigenvalue, and what rounding does to the least.
    condition = expected.condition_number
    off = (found.condition_number.double() / condition - 1).abs()
    assert (off <= 14 / (256 * torch.e) + 10 * EPS * condition).all()


@pytest.mark.grid
@pytest.mark.parametrize(("d", "points", "size"), SIZES)
def test_values(d, points, size, device):
    example = jet(d, points, size, device)
    check(geometry(example), exactly(example))


@pytest.mark.grid
@pytest.mark.parametrize("d", [3, 5, 8])
def test_ill_conditioned_coordinates(d, device):
    """Of condition numbers up to 1e4 of g, and of no less than the units of coordinates."""
    example = jet(d, 5, 24, device, ill_conditioned(d, 5, device))
    check(geometry(example), exactly(example))


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_units(scale, device):
    units = scale ** torch.linspace(0.5, 1, 4, device=device)
    example = jet(4, 2, 20, device, torch.diag_embed(units).expand(2, 4, 4))
    check(geometry(example), exactly(example))


def test_one_great_curvature_does_not_cancel(device):
    """|II_11|² is no part of R, where e_1 is a direction of its own."""
    example = jet(4, 3, 30, device)
    orthonormal = torch.linalg.qr(example.jacobian).Q
    example.hessian[..., 0, 0] *= 1e6
    example = curvcore.Jet(example.value, orthonormal, example.hessian)
    check(geometry(example), exactly(example))


@pytest.mark.grid
@pytest.mark.parametrize("d", [5, 8])
def test_planes_in_ill_conditioned_coordinates_are_flat(d, device):
    """Rounding leaves a few eps of the tangential h_ab, whatever the condition number of g."""
    example = jet(d, 5, 24, device, ill_conditioned(d, 5, device))
    christoffel = torch.randn(5, d, d, d, device=device, dtype=torch.float64)
    hessian = torch.einsum(
        "bnk,bkij->bnij", example.jacobian.double(), christoffel + christoffel.mT
    )
    example = curvcore.Jet(example.value, example.jacobian, hessian.float())
    found, expected = geometry(example), exactly(example)
    tangential = expected._frame.derivatives(expected._derivatives).full(2)
    squared = tangential.square().flatten(1).sum(1)
    assert (found.scalar.double().abs() <= 5 * EPS**2 * squared).all()


def test_units_alone_condition_nothing(device):
    """C is the identity for orthogonal coordinates: κ = 1."""
    example = jet(8, 1, 8, device)
    orthogonal = torch.diag_embed(torch.logspace(-6, 6, 8, device=device))[None]
    example = curvcore.Jet(example.value, orthogonal, example.hessian)
    assert_close(geometry(example).condition_number, 1.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_condition_numbers_where_eigenvalues_are_close(sign, device):
    """C = (1 − ρ)I + ρ11ᵀ: 1 + 7ρ, and 1 − ρ seven times, 1/32 below or above."""
    rho = 1 / 249 if sign > 0 else -1 / 255
    ones = torch.ones(8, 8, device=device, dtype=torch.float64)
    eye = torch.eye(8, device=device, dtype=torch.float64)
    root = torch.linalg.cholesky((1 - rho) * eye + rho * ones).mT.float()
    example = jet(8, 1, 8, device)
    example = curvcore.Jet(example.value, root[None], example.hessian)
    found, expected = geometry(example), exactly(example)
    torch.testing.assert_close(
        found.condition_number.double(), expected.condition_number, rtol=1e-3, atol=0
    )


@pytest.mark.grid
@pytest.mark.parametrize(("d", "points", "size"), [(3, 7, 5), (5, 2, 40), (8, 1, 9)])
def test_gradients(d, points, size, device, monkeypatch):
    example = jet(d, points, size, device)
    arrays = [array.requires_grad_() for array in example.arrays()[1:]]
    weights = torch.randn(points, device=device)

    def gradient(arrays, weights, **options):
        value = torch.zeros_like(arrays[0][..., 0])
        scalar = geometry(curvcore.Jet(value, *arrays)).scalar
        return torch.autograd.grad((scalar * weights).sum(), arrays, **options)

    found = gradient(arrays, weights)
    again = gradient(arrays, weights, create_graph=True)
    again = torch.autograd.grad(sum(g.square().sum() for g in again), arrays)
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = [array.detach().double().requires_grad_() for array in arrays]
    expected = gradient(exact, weights.double(), create_graph=True)
    once_more = torch.autograd.grad(sum(g.square().sum() for g in expected), exact)
    for one, other in zip((*found, *again), (*expected, *once_more), strict=True):
        assert_close(one.double(), other, scale=other.abs().max() / 2**-29, factor=1e3)


def test_gradients_at_ill_conditioned_points(device, monkeypatch):
    """In units in which they are of order one: relative to κ eps."""
    d, points = 4, 4
    bases = ill_conditioned(d, points, device)
    example = jet(d, points, 12, device, bases)
    jacobian, hessian = (array.requires_grad_() for array in example.arrays()[1:])
    found = torch.autograd.grad(geometry(example).scalar.sum(), [jacobian, hessian])
    monkeypatch.setattr(kernels, "serve", lambda tensor: False)
    exact = [array.detach().double().requires_grad_() for array in (jacobian, hessian)]
    precise = curvcore.Jet(example.value.double(), *exact)
    expected = torch.autograd.grad(geometry(precise).scalar.sum(), exact)
    condition = geometry(precise).condition_number
    for one, other in zip(found, expected, strict=True):
        scale = condition * other.abs().flatten(1).amax(1) / 2**-29
        scale = scale.reshape(-1, *(1,) * (other.ndim - 1))
        assert_close(one.double(), other, scale=scale, factor=100)


@pytest.mark.grid
@pytest.mark.parametrize("d", [3, 6])
def test_degenerate_points_are_masked_without_gradient(d, device):
    arrays = [array.clone() for array in jet(d, 4, 11, device).arrays()]
    arrays[1][1, :, 0] = arrays[1][1, :, 2]  # not immersed
    arrays[1][2] = 0
    arrays[2][3, 0, 0, 0] = torch.inf
    arrays[1].requires_grad_()
    found = curvcore.PullbackGeometry(curvcore.Jet(*arrays), on_degenerate="nan")
    assert found.scalar.isnan().tolist() == [False, True, True, True]
    assert (found.condition_number[1:3] > 1e5).all()
    (gradient,) = torch.autograd.grad(found.scalar[:1].sum() + found.scalar.nansum(), arrays[1])
    assert gradient.isfinite().all()
    assert (gradient[1:] == 0).all()
    assert (gradient[0] != 0).any()
    with pytest.raises(curvcore.DegenerateMetricError, match="3 points: 1 "):
        geometry(curvcore.Jet(*arrays)).scalar  # noqa: B018  (it raises)


@pytest.mark.parametrize("d", [1, 9])
def test_other_dimensions_have_no_kernel(d, device):
    assert geometry(jet(d, 2, 12, device))._by_kernel is None


def test_no_points(device):
    assert geometry(jet(3, 0, 5, device)).scalar.shape == (0,)
