"""What curvature does not depend on, and how it scales."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import curvcore
from tests.support.decoders import FORMULAS, PROVIDERS
from tests.support.immersions import RandomImmersion, random_points, random_rotation
from tests.support.scales import curvature_scale, lowered
from tests.support.tolerance import assert_close

DERIVATIVES = 1000

seeds = st.integers(0, 10**6)
dimensions = st.integers(2, 4)


def routes(test):
    """Formula × provider."""
    test = pytest.mark.parametrize("formula", FORMULAS)(settings(max_examples=10)(test))
    return pytest.mark.parametrize("provider", PROVIDERS)(test)


def pullback(decoder, z, formula, provider):
    return curvcore.pullback(decoder, z, formula=formula, derivatives=provider)


def scale_of(*geometries):
    return sum(curvature_scale(geometry.jet) for geometry in geometries) + 1e-12


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions)
def test_reparametrisation_of_latent_space(formula, provider, seed, d):
    """z = φ(w): R is the same number, Ric the pulled back tensor (Dφ)ᵀ Ric Dφ."""
    decoder, rotation = RandomImmersion(seed, d, d + 2), random_rotation(seed, d)

    def phi(w):
        return w @ rotation.T + 0.2 * w.sin() + 0.1 * w.roll(1, -1) ** 2

    w = random_points(seed, d)
    there = pullback(decoder, phi(w), formula, provider)
    here = pullback(lambda w: decoder(phi(w)), w, formula, provider)
    differential = torch.stack([torch.func.jacfwd(phi)(point) for point in w])
    scale = scale_of(here, there)
    assert_close(here.scalar, there.scalar, scale=scale, factor=DERIVATIVES)
    expected = differential.mT @ there.ricci @ differential
    assert_close(here.ricci, expected, scale=lowered(scale, here.metric, 2), factor=DERIVATIVES)


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions)
def test_isometry_of_the_ambient_space(formula, provider, seed, d):
    decoder, rotation = RandomImmersion(seed, d, d + 2), random_rotation(seed, d + 2)
    z = random_points(seed, d)
    here = pullback(decoder, z, formula, provider)
    there = pullback(lambda z: decoder(z) @ rotation.T + 7, z, formula, provider)
    scale = scale_of(here)
    assert_close(there.metric, here.metric)
    assert_close(there.scalar, here.scalar, scale=scale, factor=DERIVATIVES)
    terms = lowered(scale, here.metric, 4)
    assert_close(there.riemann, here.riemann, scale=terms, factor=DERIVATIVES)
    assert_close(there.mean_curvature, here.mean_curvature @ rotation.T, factor=DERIVATIVES)


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions, c=st.sampled_from([-3.0, 0.01, 2.0, 1000.0]))
def test_scaling_the_decoder(formula, provider, seed, d, c):
    """g ↦ c²g: Γ and Ric stay, R_ijkl ↦ c²R_ijkl, R ↦ R/c², √det g ↦ |c|^d √det g."""
    decoder, z = RandomImmersion(seed, d, d + 2), random_points(seed, d)
    here = pullback(decoder, z, formula, provider)
    there = pullback(lambda z: c * decoder(z), z, formula, provider)
    scale = scale_of(here)
    assert_close(there.scalar * c**2, here.scalar, scale=scale)
    assert_close(there.ricci, here.ricci, scale=lowered(scale, here.metric, 2))
    assert_close(there.riemann / c**2, here.riemann, scale=lowered(scale, here.metric, 4))
    assert_close(there.christoffel, here.christoffel)
    assert_close(there.volume_density / abs(c) ** d, here.volume_density)


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions, power=st.integers(-20, 20))
def test_unit_of_a_latent_coordinate(formula, provider, seed, d, power):
    """z_1 measured in another unit, however odd: the same R, to the same accuracy."""
    decoder, z = RandomImmersion(seed, d, d + 2), random_points(seed, d)
    unit = torch.ones(d, dtype=z.dtype)
    unit[0] = 2.0**power
    here = pullback(decoder, z, formula, provider)
    there = pullback(lambda z: decoder(z * unit), z / unit, formula, provider)
    assert_close(there.scalar, here.scalar, scale=scale_of(here))


@pytest.mark.slow
@pytest.mark.parametrize("shear", [1e1, 1e2, 1e3])
@routes
@given(seed=seeds, d=dimensions)
def test_skew_coordinates(formula, provider, shear, seed, d):
    """z = Aw with cond(A) = √κ: R loses κ eps; ∇³Ψ, hence the Christoffel route, κ^{3/2} eps."""
    stretch = shear ** torch.linspace(0, -1, d, dtype=torch.float64)
    matrix = (random_rotation(seed, d) * stretch) @ random_rotation(seed + 1, d)
    decoder, w = RandomImmersion(seed, d, d + 2), random_points(seed, d)
    here = pullback(lambda w: decoder(w @ matrix.T), w, formula, provider)
    there = pullback(decoder, w @ matrix.T, formula, provider)
    scale = scale_of(there) * shear ** (2 if formula == "gauss" else 3)
    assert_close(here.scalar, there.scalar, scale=scale)


@pytest.mark.slow
@routes
@given(seed=seeds, d1=st.integers(1, 2), d2=st.integers(1, 3))
def test_product_of_manifolds(formula, provider, seed, d1, d2):
    """R of a product is the sum; planes that are spanned by one vector of each are flat."""
    first, second = RandomImmersion(seed, d1, d1 + 2), RandomImmersion(seed + 1, d2, d2 + 1)

    def both(z):
        return torch.cat([first(z[:, :d1]), second(z[:, d1:])], 1)

    z = random_points(seed, d1 + d2)
    product = pullback(both, z, formula, provider)
    parts = (
        pullback(first, z[:, :d1], formula, provider),
        pullback(second, z[:, d1:], formula, provider),
    )
    scale = scale_of(product)
    assert_close(product.scalar, parts[0].scalar + parts[1].scalar, scale=scale, factor=DERIVATIVES)
    terms = lowered(scale, product.metric, 4)
    block = product.riemann[:, :d1, :d1, :d1, :d1]
    assert_close(block, parts[0].riemann, scale=terms[:, :d1, :d1, :d1, :d1], factor=DERIVATIVES)
    u, v = torch.eye(d1 + d2, dtype=z.dtype)[[0, -1]]
    assert_close(product.sectional(u, v), 0, scale=scale, factor=DERIVATIVES)


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions, zeros=st.integers(1, 20))
def test_padding_with_zeros(formula, provider, seed, d, zeros):
    """R^D inside R^{D + zeros}: nothing changes but the length of the normal vectors."""
    decoder, z = RandomImmersion(seed, d, d + 1), random_points(seed, d)
    here = pullback(decoder, z, formula, provider)
    there = pullback(
        lambda z: torch.nn.functional.pad(decoder(z), (0, zeros)), z, formula, provider
    )
    assert_close(there.scalar, here.scalar, scale=scale_of(here))
    assert_close(there.mean_curvature[:, : d + 1], here.mean_curvature)
    assert not there.mean_curvature[:, d + 1 :].any()


@pytest.mark.slow
@routes
@given(seed=seeds, d=dimensions)
def test_permutation_of_latent_coordinates(formula, provider, seed, d):
    decoder, z = RandomImmersion(seed, d, d + 2), random_points(seed, d)
    order = torch.randperm(d, generator=torch.Generator().manual_seed(seed))
    here = pullback(decoder, z, formula, provider)
    there = pullback(lambda z: decoder(z[:, order.argsort()]), z[:, order], formula, provider)
    expected = here.ricci[:, order][:, :, order]
    terms = lowered(scale_of(here), there.metric, 2)
    assert_close(there.ricci, expected, scale=terms)
