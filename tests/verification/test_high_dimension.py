"""Manifolds of any dimension: closed forms against curvcore and against the Gauss equation."""

import copy

import pytest
import torch
from torch.func import hessian, jacfwd, vmap

import curvcore
from tests.support.tolerance import assert_close, assert_identical
from verification.manifolds import high_dimension
from verification.manifolds.high_dimension import ClosedForms, decoders

NAMES = list(decoders(2))
SMALL, LARGE = (2, 3, 5), (32, pytest.param(128, marks=pytest.mark.slow))
# g⁻¹, Γ and contractions over up to n⁴ entries, of metrics with κ < 10.
ROUNDINGS = 1000.0

every_kind = pytest.mark.parametrize("name", NAMES)


def at_points(name, n, count=3, ambient=None):
    """A decoder, points and the closed forms there."""
    decoder = decoders(n, ambient=n + 4 if ambient is None else ambient)[name]
    z = decoder.sample(count, torch.Generator().manual_seed(n))
    return decoder, z, decoder.closed_forms(z)


def contracted(tensor, inverse_metric):
    """The full contraction with itself of (B, n, ..., n)."""
    raised = tensor
    for _ in range(tensor.ndim - 1):
        raised = torch.einsum("bi...,bij->b...j", raised, inverse_metric)
    return (raised * tensor).flatten(1).sum(1)


def curvature_unit(closed):
    """What R is a difference of: |II|², and |R|."""
    return torch.maximum(closed.second_fundamental_form_squared, closed.scalar.abs()).max()


def form_in_frame(decoder, point):
    """II_ab = (1 − J J⁺) ∂_a∂_bΨ in an orthonormal frame, (D, n, n), and g, by plain torch."""
    function = lambda x: decoder(x[None])[0]  # noqa: E731
    jacobian, second = jacfwd(function)(point), hessian(function)(point)
    tangents, triangle = torch.linalg.qr(jacobian)
    frame = torch.linalg.inv(triangle)
    normal = second - torch.einsum("ac,bc,bij->aij", tangents, tangents, second)
    return frame.T @ normal @ frame, jacobian.T @ jacobian


@every_kind
@pytest.mark.parametrize("n", SMALL)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_closed_forms_are_those_of_curvcore(name, n, derivatives):
    decoder, z, closed = at_points(name, n)
    geometry = curvcore.pullback(decoder, z, derivatives=derivatives)
    inverse, unit = geometry.inverse_metric, curvature_unit(closed)
    II, H = geometry.second_fundamental_form, geometry.mean_curvature
    found = {
        "metric": (geometry.metric, 1),
        "ricci": (geometry.ricci, unit * closed.metric.abs().max()),
        "scalar": (geometry.scalar, unit),
        "ricci_squared": (contracted(geometry.ricci, inverse), unit**2),
        "riemann_squared": (contracted(geometry.riemann, inverse), unit**2),
        "mean_curvature_squared": (H.square().sum(-1), n * unit),
        "second_fundamental_form_squared": (
            torch.einsum("baij,bik,bjl,bakl->b", II, inverse, inverse, II),
            unit,
        ),
        "log_volume_density": (geometry.volume_density.log(), n),
    }
    assert set(found) == set(ClosedForms.__dataclass_fields__)
    for quantity, (computed, scale) in found.items():
        assert_close(computed, getattr(closed, quantity), scale=scale, factor=ROUNDINGS)


@every_kind
@pytest.mark.parametrize("n", LARGE)
def test_closed_forms_follow_from_the_second_fundamental_form(name, n):
    """|H|², |II|², R, Ric and their norms from II in a frame; R to 1e-10."""
    decoder, z, closed = at_points(name, n, count=1)
    II, metric = form_in_frame(decoder, z[0])
    H = II.diagonal(dim1=-2, dim2=-1).sum(-1)
    mean_squared, form_squared = H.square().sum(), II.square().sum()
    ricci = torch.einsum("a,aij->ij", H, II) - (II @ II).sum(0)
    gram = torch.einsum("aij,bij->ab", II, II)
    # |Riem|² = 2 |⟨II_ij, II_kl⟩|² − 2 ⟨II_ik, II_jl⟩⟨II_il, II_jk⟩, without its n⁴ entries.
    crossed = sum((II[a] @ II @ II[a] * II.mT).sum() for a in range(len(II)))
    found = {
        "scalar": mean_squared - form_squared,
        "mean_curvature_squared": mean_squared,
        "second_fundamental_form_squared": form_squared,
        "ricci_squared": ricci.square().sum(),
        "riemann_squared": 2 * (gram.square().sum() - crossed),
        "log_volume_density": torch.linalg.cholesky(metric).diagonal().log().sum(),
    }
    for quantity, computed in found.items():
        expected = getattr(closed, quantity)[0]
        assert abs(computed - expected) <= 1e-10 * abs(expected), quantity
    assert_close(metric, closed.metric[0], factor=ROUNDINGS)
    factor = torch.linalg.inv(torch.linalg.cholesky(closed.metric[0]))
    in_frame = torch.linalg.eigvalsh(factor @ closed.ricci[0] @ factor.T)
    assert_close(in_frame, torch.linalg.eigvalsh(ricci), factor=ROUNDINGS * n)


@pytest.mark.parametrize("n", [2, 7, 128])
def test_a_paraboloid_is_the_graph_of_one_diagonal_form(n):
    """Power sums against traces of matrices."""
    coefficients = torch.linspace(-1.2, 1.0, n, dtype=torch.float64)
    paraboloid = high_dimension.Paraboloid(coefficients)
    graph = high_dimension.QuadraticGraph(coefficients.diag()[None])
    z = paraboloid.sample(4, torch.Generator().manual_seed(0))
    assert_close(
        graph.isometry.columns.T @ graph(z).T, paraboloid.isometry.columns.T @ paraboloid(z).T
    )
    left, right = paraboloid.closed_forms(z), graph.closed_forms(z)
    for quantity in ClosedForms.__dataclass_fields__:
        assert_close(getattr(left, quantity), getattr(right, quantity), factor=ROUNDINGS * n)


@every_kind
@pytest.mark.parametrize("n", [2, 3, 12, 128])
def test_metrics_are_well_conditioned_where_points_are_sampled(name, n):
    decoder, z, closed = at_points(name, n, count=50)
    assert z.shape == (50, n)
    assert z.dtype == torch.float64
    assert (torch.linalg.cond(closed.metric) < 10).all()
    assert_identical(z, decoder.sample(50, torch.Generator().manual_seed(n)))


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decoders_work_in_the_dtype_of_their_points(name, dtype):
    decoder, z, closed = at_points(name, 4)
    points = z.to(dtype)
    for one in (decoder, copy.deepcopy(decoder).to(dtype)):
        assert one(points).dtype == dtype
        scalar = curvcore.scalar_curvature(one, points)
        unit = curvature_unit(closed)
        assert_close(scalar, closed.scalar.to(dtype), scale=unit, factor=ROUNDINGS)
        assert one.closed_forms(points).scalar.dtype == torch.float64


@every_kind
def test_decoders_are_isometric_copies_of_one_another(name):
    """Another isometry changes the values and their number, not the metric."""
    one, other = (decoders(3, ambient=40)[name], decoders(3)[name])
    z = one.sample(2, torch.Generator().manual_seed(0))
    assert one(z).shape == (2, 40)
    J, K = (vmap(jacfwd(lambda x, f=f: f(x[None])[0]))(z) for f in (one, other))
    assert_close(J.mT @ J, K.mT @ K)


def test_no_isometry_into_a_smaller_space():
    with pytest.raises(ValueError, match="use ambient >= 4"):
        high_dimension.ProductOfSpheres([3], [1.0], ambient=3)


def test_forms_are_symmetric():
    with pytest.raises(ValueError, match="must be symmetric"):
        high_dimension.QuadraticGraph([[[1.0, 2.0], [0.0, 1.0]]])
