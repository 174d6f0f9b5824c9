"""The catalogue: its torch form is its sympy form, and its closed forms agree with each other."""

import itertools
import re

import numpy as np
import pytest
import sympy as sp
import torch
from torch.func import jacfwd, vmap

from tests.support.tolerance import assert_close, assert_identical
from verification.manifolds import catalogue

NAMES = list(catalogue())
DTYPES = (torch.float32, torch.float64)
POINTS = 5
ROUNDINGS = 1000.0  # powers and quotients of elementary functions


@pytest.fixture(params=NAMES)
def manifold(request):
    return catalogue()[request.param]


@pytest.fixture
def z(manifold):
    return manifold.sample(POINTS, torch.Generator().manual_seed(0))


def evaluated(expressions, manifold, z):
    """Sympy expressions at the points z, with 30 digits, rounded once: (B, n)."""
    entries = sp.Matrix(list(expressions)).subs(dict(manifold.parameters))
    rows = [
        [sp.N(e, 30, subs=dict(zip(manifold.coordinates, point, strict=True))) for e in entries]
        for point in z.tolist()
    ]
    return torch.tensor(np.array(rows, dtype=np.float64))


def jacobian(decoder, z):
    """∂Ψ by forward mode, (B, D, d), each point with a batch axis of one."""
    return vmap(jacfwd(lambda point: decoder(point[None])[0]))(z)


def corners(manifold):
    return torch.tensor(list(itertools.product(*manifold.domain)), dtype=torch.float64)


def test_catalogue_is_one_object_with_names_as_keys():
    assert catalogue() is catalogue()
    for name, manifold in catalogue().items():
        assert manifold.name == name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


def test_every_entry_states_its_closed_forms_and_reference(manifold):
    assert manifold.reference
    for name in ("metric", "ricci", "scalar", "mean_curvature_squared"):
        assert getattr(manifold, name) is not None
    assert (manifold.gaussian is not None) == (manifold.dimension == 2)


def test_decoder_is_the_immersion(manifold, z):
    expected = evaluated(manifold.immersion, manifold, z)
    assert_close(manifold.decoder()(z), expected, factor=ROUNDINGS)


@pytest.mark.grid
@pytest.mark.parametrize("quantity", ["metric", "ricci"])
def test_closed_form_of_a_matrix(manifold, z, quantity):
    matrix = getattr(manifold, quantity)
    expected = evaluated(matrix, manifold, z).reshape(POINTS, *matrix.shape)
    scale = expected.abs().max().clamp(min=1)
    assert_close(manifold.closed_form(matrix, z), expected, scale=scale, factor=ROUNDINGS)


@pytest.mark.parametrize("quantity", ["scalar", "mean_curvature_squared"])
def test_closed_form_of_a_scalar(manifold, z, quantity):
    expression = getattr(manifold, quantity)
    expected = evaluated([expression], manifold, z)[:, 0]
    scale = expected.abs().max().clamp(min=1)
    assert_close(manifold.closed_form(expression, z), expected, scale=scale, factor=ROUNDINGS)


def test_closed_form_is_float64_at_float32_points(manifold, z):
    assert manifold.closed_form(manifold.scalar, z.float()).dtype == torch.float64


def test_samples_lie_in_the_domain(manifold):
    z = manifold.sample(100, torch.Generator().manual_seed(1))
    low, high = torch.tensor(manifold.domain, dtype=torch.float64).T
    assert z.shape == (100, manifold.dimension)
    assert z.dtype == torch.float64
    assert ((low <= z) & (z <= high)).all()
    assert_identical(z, manifold.sample(100, torch.Generator().manual_seed(1)))


def test_metric_is_well_conditioned_on_the_domain(manifold):
    inside = manifold.sample(200, torch.Generator().manual_seed(2))
    metric = manifold.closed_form(manifold.metric, torch.cat([inside, corners(manifold)]))
    eigenvalues = torch.linalg.eigvalsh(metric)
    assert (eigenvalues > 0).all()
    assert (eigenvalues[:, -1] < 10 * eigenvalues[:, 0]).all()


def test_metric_is_the_pullback(manifold, z):
    j = jacobian(manifold.decoder(), z)
    assert_close(j.mT @ j, manifold.closed_form(manifold.metric, z), factor=ROUNDINGS)


def test_scalar_is_the_trace_of_ricci(manifold, z):
    metric, ricci = (manifold.closed_form(m, z) for m in (manifold.metric, manifold.ricci))
    trace = torch.linalg.solve(metric, ricci).diagonal(dim1=-2, dim2=-1).sum(-1)
    scalar = manifold.closed_form(manifold.scalar, z)
    assert_close(trace, scalar, scale=scalar.abs().max().clamp(min=1), factor=ROUNDINGS)


def test_mean_curvature_bounds_scalar(manifold, z):
    """|II|² = |H|² − R (Gauss, traced twice) and |II|² ≥ |H|²/d: R ≤ (1 − 1/d)|H|²."""
    scalar = manifold.closed_form(manifold.scalar, z)
    mean_squared = manifold.closed_form(manifold.mean_curvature_squared, z)
    rounding = 1e-12 * mean_squared
    assert (scalar <= (1 - 1 / manifold.dimension) * mean_squared + rounding).all()


@pytest.mark.grid
@pytest.mark.parametrize("dtype", DTYPES)
def test_third_derivative_keeps_dtype(manifold, z, dtype):
    decoder = manifold.decoder()
    third = vmap(jacfwd(jacfwd(jacfwd(lambda point: decoder(point[None])[0]))))(z.to(dtype))
    assert third.dtype == dtype
    assert third.shape == (POINTS, manifold.ambient_dimension, *(manifold.dimension,) * 3)
    assert torch.isfinite(third).all()


@pytest.mark.grid
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_embedding_is_isometric(manifold, z, dtype):
    decoder = manifold.decoder(ambient=784, seed=3)
    assert decoder(z.to(dtype)).shape == (POINTS, 784)
    j = jacobian(decoder, z.to(dtype))
    expected = manifold.closed_form(manifold.metric, z).to(dtype)
    assert_close(j.mT @ j, expected, factor=ROUNDINGS)


def test_random_embedding_is_fixed_by_its_seed():
    torus = catalogue()["torus"]
    z = torus.sample(3, torch.Generator().manual_seed(0))
    assert_identical(torus.decoder(10, seed=1)(z), torus.decoder(10, seed=1)(z))
    assert not torch.equal(torus.decoder(10, seed=1)(z), torus.decoder(10, seed=2)(z))


def test_no_isometric_embedding_in_a_smaller_space():
    with pytest.raises(ValueError, match="use ambient >= 3"):
        catalogue()["torus"].decoder(ambient=2)
