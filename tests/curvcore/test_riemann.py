"""Algebra of the curvature tensor, and the two formulas against each other and the textbook."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import curvcore
from tests.support import decoders
from tests.support.decoders import CASES, PROVIDERS
from tests.support.immersions import ACTIVATIONS, RandomImmersion, random_points
from tests.support.parametrisation import every_case, every_formula, every_provider
from tests.support.referees import (
    per_point,
    textbook_christoffel,
    textbook_metric,
    textbook_riemann,
)
from tests.support.scales import curvature_scale, lowered
from tests.support.tolerance import assert_close

pytestmark = pytest.mark.grid  # all of it on the same cases, of which what is derived is kept

# A decoder's derivatives of order 3 come out of some thousand roundings, a formula of a hundred.
DERIVATIVES = 1000

every_combination = [every_case, every_formula, every_provider]


def over_the_table(test):
    """Case × formula × provider."""
    return every_case(every_formula(every_provider(test)))


def riemann_scale(geometry, jet):
    return lowered(curvature_scale(jet), geometry.metric, 4)


@pytest.fixture
def geometry(case, formula, provider):
    return decoders.geometry(case, formula, provider)


@pytest.fixture
def scale(case, provider):
    """κ(|H|² + |T|), never zero."""
    return curvature_scale(decoders.jet(case, provider)) + 1e-12


@over_the_table
def test_antisymmetry_in_the_first_pair(geometry, scale):
    R = geometry.riemann
    assert_close(R.transpose(1, 2), -R, scale=lowered(scale, geometry.metric, 4))


@over_the_table
def test_antisymmetry_in_the_second_pair(geometry, scale):
    R = geometry.riemann
    assert_close(R.transpose(3, 4), -R, scale=lowered(scale, geometry.metric, 4))


@over_the_table
def test_pair_symmetry(geometry, scale):
    R = geometry.riemann
    assert_close(R.permute(0, 3, 4, 1, 2), R, scale=lowered(scale, geometry.metric, 4))


@over_the_table
def test_first_bianchi_identity(geometry, scale):
    """R_ijkl + R_jkil + R_kijl = 0 (with antisymmetry, the cyclic sum over any three)."""
    R = geometry.riemann
    cyclic = R + R.permute(0, 2, 3, 1, 4) + R.permute(0, 3, 1, 2, 4)
    assert_close(cyclic, 0, scale=lowered(scale, geometry.metric, 4))


@over_the_table
def test_ricci_is_symmetric(geometry, scale):
    ricci = geometry.ricci
    assert_close(ricci.mT, ricci, scale=lowered(scale, geometry.metric, 2))


@over_the_table
def test_ricci_and_scalar_are_traces_of_riemann(geometry, scale):
    inverse = torch.linalg.inv(geometry.metric)
    ricci = torch.einsum("nik,nijkl->njl", inverse, geometry.riemann)
    assert_close(geometry.ricci, ricci, scale=lowered(scale, geometry.metric, 2))
    assert_close(geometry.scalar, torch.einsum("njl,njl->n", inverse, ricci), scale=scale)


@over_the_table
def test_christoffel_is_symmetric_and_metric_is_parallel(geometry, scale, case, provider):
    """Γ^k_ij = Γ^k_ji, and ∂_k g_ij = Γ_j,ik + Γ_i,jk: the connection is Levi-Civita's."""
    gamma, jet = geometry.christoffel, decoders.jet(case, provider)
    lowered_gamma = torch.einsum("nmk,nkij->nmij", geometry.metric, gamma)
    first = torch.einsum("naik,naj->nijk", jet.hessian, jet.jacobian)  # ⟨∂_i∂_kΨ, ∂_jΨ⟩
    size = scale.sqrt() * geometry.condition_number  # |H| in units of the frame
    terms = lowered(size, geometry.metric, 3)
    assert_close(lowered_gamma.transpose(2, 3), lowered_gamma, scale=terms)
    parallel = torch.einsum("njik->nijk", lowered_gamma) + torch.einsum("nijk->nijk", lowered_gamma)
    assert_close(parallel, first + first.transpose(1, 2), scale=terms)


@over_the_table
def test_second_fundamental_form_is_normal(geometry, scale):
    """⟨II_ij, ∂_kΨ⟩ = 0."""
    tangential = torch.einsum("naij,nak->nijk", geometry.second_fundamental_form, geometry.jacobian)
    size = scale.sqrt() * geometry.condition_number
    assert_close(tangential, 0, scale=lowered(size, geometry.metric, 3))


@over_the_table
def test_mean_curvature_is_the_trace_of_the_second_fundamental_form(geometry, scale):
    inverse = torch.linalg.inv(geometry.metric)
    trace = torch.einsum("nij,naij->na", inverse, geometry.second_fundamental_form)
    size = scale.sqrt() * geometry.condition_number
    assert_close(geometry.mean_curvature, trace, scale=size[:, None])


# --- intrinsic ≡ gauss ≡ textbook -----------------------------------------------------------------


@every_provider
@every_case
def test_intrinsic_is_gauss(case, provider):
    gauss, intrinsic = (decoders.geometry(case, f, provider) for f in ("gauss", "intrinsic"))
    scale = curvature_scale(intrinsic.jet) + 1e-12
    size = {"scalar": scale, "ricci": lowered(scale, gauss.metric, 2)}
    size["riemann"] = lowered(scale, gauss.metric, 4)
    for name, terms in size.items():
        actual, expected = getattr(intrinsic, name), getattr(gauss, name)
        assert_close(actual, expected, scale=terms, factor=DERIVATIVES)


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 5),
    codimension=st.integers(0, 4),
    depth=st.integers(1, 3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_intrinsic_is_gauss_on_random_decoders(provider, seed, d, codimension, depth, activation):
    decoder = RandomImmersion(seed, d, d + codimension, depth, activation)
    z = random_points(seed, d)
    gauss, intrinsic = (
        curvcore.pullback(decoder, z, formula=f, derivatives=provider)
        for f in ("gauss", "intrinsic")
    )
    scale = curvature_scale(intrinsic.jet) + 1e-12
    assert_close(intrinsic.scalar, gauss.scalar, scale=scale, factor=DERIVATIVES)
    terms = lowered(scale, gauss.metric, 4)
    assert_close(intrinsic.riemann, gauss.riemann, scale=terms, factor=DERIVATIVES)


PLAIN = [case for case in CASES if case.plain]


@every_formula
@every_provider
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_curvature_is_that_of_the_textbook(case, formula, provider):
    """g(z) differentiated twice, by plain nested jacfwd, one point after the other."""
    geometry, decoder, z = decoders.geometry(case, formula, provider), case.decoder(), case.points()
    scale = curvature_scale(decoders.jet(case, provider)) + 1e-12
    size = (scale.sqrt() * geometry.condition_number)[:, None, None, None]
    short = torch.linalg.eigvalsh(geometry.metric)[:, 0].reciprocal().sqrt()
    gamma_terms = size * lowered(short, geometry.metric, 2)[:, None]
    for name, function, terms in (
        ("metric", textbook_metric, None),
        ("christoffel", textbook_christoffel, gamma_terms),
        ("riemann", textbook_riemann, lowered(scale, geometry.metric, 4)),
    ):
        expected = per_point(function, decoder, z)
        assert_close(getattr(geometry, name), expected, scale=terms, factor=DERIVATIVES)


# --- what must vanish -----------------------------------------------------------------------------


@pytest.mark.slow
@every_formula
@every_provider
@given(seed=st.integers(0, 10**6), ambient=st.integers(1, 5))
def test_a_curve_has_curvature_exactly_zero(formula, provider, seed, ambient):
    decoder = RandomImmersion(seed, 1, ambient)
    z = random_points(seed, 1)
    geometry = curvcore.pullback(decoder, z, formula=formula, derivatives=provider)
    assert not geometry.riemann.any()
    assert not geometry.ricci.any()
    assert not geometry.scalar.any()


@pytest.mark.slow
@every_formula
@every_provider
@given(seed=st.integers(0, 10**6), d=st.integers(1, 5))
def test_a_diffeomorphism_of_the_plane_is_flat(formula, provider, seed, d):
    """D = d: no normal direction is left."""
    geometry = curvcore.pullback(
        RandomImmersion(seed, d, d), random_points(seed, d), formula=formula, derivatives=provider
    )
    scale = curvature_scale(geometry.jet) + 1e-12
    assert_close(geometry.scalar, 0, scale=scale, factor=DERIVATIVES)


@pytest.mark.parametrize("d", [1, 2, 5])
@every_formula
def test_an_affine_decoder_is_exactly_flat(d, formula):
    decoder = torch.nn.Linear(d, d + 2, dtype=torch.float64)
    geometry = curvcore.pullback(decoder, random_points(0, d), formula=formula)
    for name in ("christoffel", "second_fundamental_form", "mean_curvature", "riemann", "scalar"):
        assert not getattr(geometry, name).any(), name
