"""Identities: every one holds, and breaks as soon as what it speaks of is broken."""

import pytest
import torch

from curvcore import PullbackGeometry
from verification import identities
from verification.identities import (
    closed_functionals,
    discs,
    gauss_bonnet,
    perelman,
    ricci_flow,
    solitons,
    surfaces,
    variation,
)

SECTIONS = {section.__name__.rpartition(".")[2]: section for section in identities.SECTIONS}
SCALAR, RICCI = PullbackGeometry.scalar, PullbackGeometry.ricci
INTEGRAND, SOLITON = perelman.f_integrand, perelman.soliton_tensor


def generator():
    return torch.Generator().manual_seed(0)


def failed(findings):
    """Statements that failed."""
    return {finding.statement for finding in findings if not finding.passed}


# --- they hold ----------------------------------------------------------------------------------


@pytest.mark.grid
@pytest.mark.parametrize("name", SECTIONS)
def test_identities_hold(name):
    for finding in SECTIONS[name].findings(full=False, seed=0):
        assert torch.is_grad_enabled()  # between findings too
        assert finding.passed is True, finding
        assert finding.section == "identities"
        assert finding.figure


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_identities_hold_in_full_and_for_another_seed(name):
    for finding in SECTIONS[name].findings(full=True, seed=1):
        assert finding.passed, finding


def test_findings_are_those_of_all_sections_each_once(monkeypatch):
    for section in identities.SECTIONS:
        monkeypatch.setattr(section, "findings", lambda full, seed, s=section: [s.__name__])
    found = list(identities.findings(full=True, seed=0))
    assert found == [section.__name__ for section in identities.SECTIONS]


def test_findings_depend_on_the_seed_alone():
    first, again, other = (list(solitons.findings(False, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_findings_leave_the_random_state_alone():
    state = torch.get_rng_state()
    list(solitons.findings(False, 0))
    assert torch.equal(state, torch.get_rng_state())


# --- and break: ingredients, broken on purpose ----------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    """Replace one ingredient by a wrong one."""

    def replace(ingredient):
        target, name, wrong = INGREDIENTS[ingredient]
        monkeypatch.setattr(target, name, wrong)

    return replace


def wrong_quantity(quantity, factor):
    return property(lambda geometry: factor * quantity.__get__(geometry))


def no_hessian(geometry, df, d2f):
    return torch.zeros_like(d2f)


def no_christoffel(geometry, df, d2f):
    return d2f


def wrong_tau(geometry, f, tau=None):
    tensor = SOLITON(geometry, f)
    return tensor if tau is None else tensor + geometry.metric / (2 * tau)


INGREDIENTS = {
    "R of the wrong sign": (PullbackGeometry, "scalar", wrong_quantity(SCALAR, -1)),
    "R twice": (PullbackGeometry, "scalar", wrong_quantity(SCALAR, 2)),
    "R off by 1e-5": (PullbackGeometry, "scalar", wrong_quantity(SCALAR, 1 + 1e-5)),
    "K = R": (gauss_bonnet, "gaussian_curvature", lambda geometry: geometry.scalar),
    "Ric of the wrong sign": (PullbackGeometry, "ricci", wrong_quantity(RICCI, -1)),
    "∇²f dropped": (PullbackGeometry, "covariant_hessian", no_hessian),
    "Γ dropped": (PullbackGeometry, "covariant_hessian", no_christoffel),
    "|∇f|² dropped": (perelman, "f_integrand", lambda geometry, f: geometry.scalar),
    "|∇f|² twice": (
        perelman,
        "f_integrand",
        lambda geometry, f: 2 * INTEGRAND(geometry, f) - geometry.scalar,
    ),
    "f dropped": (perelman, "w_integrand", lambda geometry, f, tau: tau * INTEGRAND(geometry, f)),
    "τ of the wrong sign": (perelman, "soliton_tensor", wrong_tau),
}  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("ingredient", ["R of the wrong sign", "R twice", "R off by 1e-5", "K = R"])
def test_gauss_bonnet_breaks(broken, ingredient):
    """On spheres: on a torus, where χ = 0, no factor can be seen."""
    broken(ingredient)
    for finding in gauss_bonnet.findings(False, 0):
        assert finding.passed == ("torus" in finding.subject), finding


def test_gauss_bonnet_on_the_torus_breaks(monkeypatch):
    """By |K| in place of K."""
    monkeypatch.setattr(gauss_bonnet, "gaussian_curvature", lambda g: g.scalar.abs() / 2)
    findings = [f for f in gauss_bonnet.findings(False, 0) if "torus" in f.subject]
    assert len(findings) == 2
    assert not any(finding.passed for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize("factors", [(1, -4, 1), (1, -4, 0), (1, -2, 1), (2, -4, 1), (1, 0, 0)])
def test_the_theorem_of_chern_has_these_factors(monkeypatch, factors):
    def density(geometry):
        squares = (
            perelman.length(geometry, geometry.riemann, 4).square(),
            perelman.length(geometry, geometry.ricci, 2).square(),
            geometry.scalar.square(),
        )
        return sum(c * square for c, square in zip(factors, squares, strict=True))

    monkeypatch.setattr(gauss_bonnet, "euler_density", density)
    finding = gauss_bonnet.four_dimensional(generator(), sizes=(4, 16))
    assert finding.passed == (factors == (1, -4, 1)), finding


SPHERE_F, SPHERE_W = "F = d(d−1)/r²", "W = τd(d−1)/r² + f − d"


@pytest.mark.grid
@pytest.mark.parametrize(
    ("ingredient", "wrong"),
    [
        ("R of the wrong sign", {SPHERE_F, SPHERE_W, "F = 0"}),
        ("R twice", {SPHERE_F, SPHERE_W, "F = 0"}),
        ("|∇f|² dropped", {"F = n/2τ", "W = 0", "F = 0"}),
        ("|∇f|² twice", {"F = n/2τ", "W = 0", "F = 0"}),
        ("f dropped", {SPHERE_W, "W = 0"}),
    ],
)
@torch.no_grad()
def test_closed_forms_of_the_functionals_break(broken, ingredient, wrong):
    broken(ingredient)
    findings = (
        *closed_functionals.sphere(2),
        *closed_functionals.gaussian(2, (12, 48), generator()),
        closed_functionals.conformal_torus(generator()),
    )
    assert failed(findings) == wrong


@pytest.mark.grid
@pytest.mark.parametrize(
    ("ingredient", "kinds"),
    [
        ("R of the wrong sign", "FW"),
        ("R twice", "FW"),
        ("Ric of the wrong sign", "FW"),
        ("∇²f dropped", "FW"),
        ("Γ dropped", "FW"),
        ("|∇f|² dropped", "FW"),
        ("f dropped", "W"),
        ("τ of the wrong sign", "W"),
    ],
)
def test_first_variations_break(broken, ingredient, kinds):
    broken(ingredient)
    family = variation.Family(2, generator(), frequency=1)
    expected = {claim for claim in variation.CLAIMS.values() if claim[1] in kinds}
    assert failed(variation.by_autograd(family, sizes=(6, 36))) == expected


@pytest.mark.grid
@pytest.mark.parametrize(
    ("ingredient", "kinds"), [("∇²f dropped", "FW"), ("τ of the wrong sign", "W")]
)
def test_first_variations_by_differences_break(broken, ingredient, kinds):
    broken(ingredient)
    family = variation.Family(2, generator(), frequency=1)
    expected = {claim for claim in variation.CLAIMS.values() if claim[1] in kinds}
    assert failed(variation.by_differences(family, n=36)) == expected


F_RATE, W_RATE = "dF/dt = 2∫|Ric + ∇²f|² dm", "dW/dt = 2τ∫|Ric + ∇²f − g/2τ|² dm"


@pytest.mark.grid
@pytest.mark.parametrize(
    ("ingredient", "wrong"),
    [
        ("R of the wrong sign", {F_RATE, W_RATE, "F increases", "W increases"}),
        ("Ric of the wrong sign", {F_RATE, W_RATE}),
        ("∇²f dropped", {F_RATE, W_RATE}),
        ("Γ dropped", {F_RATE, W_RATE}),
        ("|∇f|² dropped", {F_RATE, W_RATE}),
        ("τ of the wrong sign", {W_RATE}),
    ],
)
def test_monotonicity_breaks(broken, ingredient, wrong):
    broken(ingredient)
    flow = ricci_flow.ShrinkingSphere(2, 12, generator())
    assert failed([*flow.findings(shrinking=False), *flow.findings(shrinking=True)]) == wrong


def test_w_does_not_stand_still_off_the_soliton(monkeypatch):
    flow = ricci_flow.ShrinkingSphere(2, 8, generator())
    assert flow.soliton().passed
    flow.life *= 1.01
    assert not flow.soliton().passed


EQUATIONS = {"Ric + ∇²f = 0", "Ric + ∇²f = g/2τ"}
CONSTANTS = {"R + |∇f|² constant", "R + |∇f|² − f/τ constant"}


@pytest.mark.grid
@pytest.mark.parametrize(
    ("ingredient", "wrong"),
    [
        ("Ric of the wrong sign", EQUATIONS),
        ("∇²f dropped", EQUATIONS),
        ("Γ dropped", EQUATIONS),
        ("τ of the wrong sign", {"Ric + ∇²f = g/2τ"}),
        ("R of the wrong sign", CONSTANTS),
        ("|∇f|² dropped", CONSTANTS),
    ],
)
def test_solitons_break(broken, ingredient, wrong):
    broken(ingredient)
    assert failed(solitons.findings(False, 0)) == wrong


@pytest.mark.grid
@pytest.mark.parametrize("ingredient", ["R of the wrong sign", "R twice", "R off by 1e-5"])
@pytest.mark.parametrize("d", [2, 3])
def test_geodesic_circles_see_a_wrong_curvature(broken, ingredient, d):
    decoder = surfaces.perceptron(d, 2 * d, generator())
    z = 2 * torch.rand(3, d, dtype=torch.float64) - 1
    assert discs.witness("right", decoder, z).passed
    broken(ingredient)
    assert not discs.witness("wrong", decoder, z).passed
