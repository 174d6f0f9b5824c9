"""``python -m verification.check``: verdicts, exit codes, and failure when curvcore is wrong."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from curvcore.providers import PROVIDERS
from verification import agreement, closed_forms, sections
from verification.check import app
from verification.decoders import Subject
from verification.manifolds import catalogue
from verification.results import Finding

QUICK = ("--quick", "--dtype", "float64")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# --- it passes ----------------------------------------------------------------------------------


def test_passes_on_a_sphere_and_says_so():
    outcome = run("--only", "sphere-2", *QUICK)
    assert outcome.exit_code == 0, outcome.output
    assert "PASS: all" in outcome.output
    assert "exact" in outcome.output


@pytest.mark.slow
def test_passes_on_the_digits_decoder():
    outcome = run("--only", "decoder", "--quick")
    assert outcome.exit_code == 0, outcome.output
    for route in ("gauss", "intrinsic", "textbook", "differences"):
        assert route in outcome.output


def test_copies_in_high_dimension_pass():
    results = list(
        closed_forms.errors(
            catalogue()["torus"],
            ambient=784,
            derivatives="autodiff",
            dtype=torch.float64,
            device="cpu",
            points=4,
            seed=1,
        )
    )
    assert {result.ambient for result in results} == {784}
    assert all(result.passed for result in results)


def test_json_holds_every_comparison(tmp_path):
    file = tmp_path / "results.json"
    outcome = run("--only", "cylinder", "--json", file, *QUICK)
    assert outcome.exit_code == 0
    record = json.loads(file.read_text())
    assert record["passed"] is True
    assert {r["quantity"] for r in record["results"]} >= {"scalar", "ricci", "metric"}
    assert {r["formula"] for r in record["results"]} == {"gauss", "intrinsic"}
    assert all(0 <= r["error"] <= r["tolerance"] for r in record["results"])


# --- it can fail --------------------------------------------------------------------------------

BROKEN_FORMULAS = {
    "gauss equation": ("curvcore.riemann", "riemann"),
    "second fundamental form": ("curvcore.riemann", "second_fundamental_form"),
    "ricci": ("curvcore.riemann", "ricci"),
    "scalar": ("curvcore.riemann", "scalar"),
    "mean curvature": ("curvcore.riemann", "mean_curvature"),
    "derivative of christoffel": ("curvcore.intrinsic", "christoffel_derivative"),
    "mixed riemann": ("curvcore.intrinsic", "riemann_mixed"),
    "lowered riemann": ("curvcore.intrinsic", "riemann"),
    "christoffel": ("curvcore.metrics", "christoffel"),
    "metric derivative": ("curvcore.metrics", "metric_derivative"),
    "second metric derivative": ("curvcore.metrics", "metric_second_derivative"),
}
# A sign that no quantity of the check can see: H enters as |H|², II as ⟨II, II⟩.
INVISIBLE = {"second fundamental form", "mean curvature"}


def broken(function, formula):
    factor = 2 if formula in INVISIBLE else -1
    return lambda *arguments: factor * function(*arguments)


@pytest.mark.grid
@pytest.mark.parametrize("formula", BROKEN_FORMULAS)
def test_fails_when_a_formula_is_broken(formula, monkeypatch):
    module, name = BROKEN_FORMULAS[formula]
    original = getattr(sys.modules[module], name)
    monkeypatch.setattr(sys.modules[module], name, broken(original, formula))
    outcome = run("--only", "elliptic-paraboloid", *QUICK)
    assert outcome.exit_code == 1, outcome.output
    assert "FAIL" in outcome.output


@pytest.mark.slow
def test_fails_when_derivatives_are_slightly_wrong(monkeypatch):
    autodiff = PROVIDERS["autodiff"]

    def slightly_wrong(decoder, z, order):
        return autodiff(lambda points: decoder(points) * (1 + 1e-6 * points[:, :1]), z, order)

    monkeypatch.setitem(PROVIDERS, "autodiff", slightly_wrong)
    outcome = run("--only", "torus", *QUICK)
    assert outcome.exit_code == 1, outcome.output
    assert "FAIL" in outcome.output


@pytest.mark.slow
def test_nan_does_not_pass(monkeypatch):
    def nan(decoder, z, order):
        jet = autodiff(decoder, z, order)
        return type(jet)(jet.value, jet.jacobian, jet.hessian * torch.nan, jet.third)

    autodiff = PROVIDERS["autodiff"]
    monkeypatch.setitem(PROVIDERS, "autodiff", nan)
    outcome = run("--only", "torus", *QUICK)
    assert outcome.exit_code == 1
    assert "FAIL" in outcome.output


def test_disagreement_on_a_decoder_is_found(monkeypatch):
    def faulty(decoder, z, order):
        jet = PROVIDERS["autodiff"](decoder, z, order)
        return type(jet)(jet.value, jet.jacobian, 1.001 * jet.hessian, jet.third)

    monkeypatch.setattr(agreement, "PROVIDERS", {"autodiff": None, "faulty": None})
    monkeypatch.setitem(PROVIDERS, "faulty", faulty)
    monkeypatch.setattr("curvcore.api.DERIVATIVES", ("autodiff", "faulty"))
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))
    results = agreement.compare(Subject("mlp", decoder, torch.randn(8, 2)), "cpu", [torch.float64])
    verdicts = {(r.derivatives, r.formula): r.passed for r in results}
    assert verdicts.pop(("faulty", "gauss")) is False
    assert verdicts.pop(("faulty", "intrinsic")) is False
    assert all(verdicts.values()), verdicts


def test_nan_on_a_decoder_fails():
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))
    subject = Subject("mlp", decoder, torch.randn(8, 2))
    comparison = agreement.Agreement(subject, "cpu")
    scalar = torch.where(torch.arange(8) < 4, torch.nan, comparison.scalar)
    allowed = torch.full((8,), 1e-6, dtype=torch.float64)
    result = comparison._result(scalar, allowed, "autodiff", "gauss", torch.float64)
    assert not result.passed
    assert result.points == 8
    assert json.dumps(result.as_dict(), allow_nan=False)


def test_a_tolerance_that_excuses_anything_is_no_pass():
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))
    comparison = agreement.Agreement(Subject("mlp", decoder, torch.randn(8, 2)), "cpu")
    allowed = torch.ones(8, dtype=torch.float64)
    result = comparison._result(comparison.scalar, allowed, "autodiff", "gauss", torch.float64)
    assert result.points == 0
    assert not result.passed


# --- the user's own decoder ---------------------------------------------------------------------

USER_MODULE = """
import torch
from torch import nn

def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.LayerNorm(16), nn.SiLU(), nn.Linear(16, 12))

class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.i0(x)

def bessel():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), Bessel(), nn.Linear(16, 12))

def rows_mix():
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4))

def number():
    return 3

def float32_function():
    weight = torch.ones(5, 2)
    return lambda z: torch.sin(z @ weight.T)

def fails():
    raise FileNotFoundError("weights.pt")
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "user_model", raising=False)
    (tmp_path / "user_model.py").write_text(USER_MODULE)
    points = np.random.default_rng(0).normal(size=(6, 2))
    np.save("points.npy", points)
    np.savez("points.npz", z=points)
    np.savetxt("points.csv", points, delimiter=",")
    np.savetxt("points.txt", points)
    torch.save(torch.tensor(points), "points.pt")
    torch.save({"z": torch.tensor(points)}, "dictionary.pt")
    np.save("wide.npy", np.ones((3, 5)))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix",
    ["npy", *(pytest.param(x, marks=pytest.mark.slow) for x in ("npz", "csv", "txt", "pt"))],
)
def test_own_decoder_passes(user, suffix):
    outcome = run("--decoder", "user_model:good", "--points", f"points.{suffix}")
    assert outcome.exit_code == 0, outcome.output
    assert "user_model:good" in outcome.output


@pytest.mark.slow
def test_own_decoder_is_certified(user):
    outcome = run("--decoder", "user_model:good", "--points", "points.npy")
    assert re.search(r"correct to 1\d\.\d digits", outcome.output)
    assert "random decoders" not in outcome.output


@pytest.mark.slow
def test_own_decoder_without_a_certificate_is_verified_all_the_same(user):
    outcome = run("--decoder", "user_model:bessel", "--points", "points.npy")
    assert outcome.exit_code == 0, outcome.output
    assert "Note: user_model:bessel has no certificate" in outcome.output
    assert "i0" in outcome.output


# --- sections ---------------------------------------------------------------------------------


def finding(section, passed=True):
    return Finding(
        section=section, subject=f"about {section}", statement="x = y", figure="0", passed=passed
    )


@pytest.fixture
def stubs(monkeypatch):
    """Sections that are quick: one finding each, asked for as (section, full)."""
    asked = []

    def findings(section, subject, settings):
        asked.append((section, settings.full))
        yield finding(section, passed=section != "traps")

    monkeypatch.setattr(sections, "findings", findings)
    return asked


def test_sections_are_chosen_by_name(stubs):
    outcome = run("--only", "identities", "--only", "proofs", "--full")
    assert outcome.exit_code == 0, outcome.output
    assert stubs == [("proofs", True), ("identities", True)]
    assert "about identities" in outcome.output


def test_a_failed_finding_is_a_failure(stubs, tmp_path):
    outcome = run("--only", "certificates", "--only", "traps", "--json", tmp_path / "r.json")
    assert outcome.exit_code == 1, outcome.output
    assert re.search(r"FAIL: 1 of 2 comparisons", outcome.output.replace("\n", " "))
    record = json.loads((tmp_path / "r.json").read_text())
    assert [result["passed"] for result in record["results"]] == [True, False]


BAD_USAGE = {
    "no certificate": (
        ("--decoder", "user_model:bessel", "--points", "points.npy", "--only", "certificates"),
        "no exact version of torch.special.i0",
    ),
    "quick and full": (("--full",), "exclude each other"),
    "unknown manifold": (("--only", "klein-bottle"), "torus"),
    "decoder without points": (("--decoder", "user_model:good"), "--points"),
    "points without decoder": (("--points", "points.npy"), "--decoder"),
    "no colon": (("--decoder", "user_model", "--points", "points.npy"), "package.module:factory"),
    "no module": (("--decoder", "nowhere:good", "--points", "points.npy"), "cannot import"),
    "no factory": (("--decoder", "user_model:none", "--points", "points.npy"), "has no 'none'"),
    "not callable": (
        ("--decoder", "user_model:number", "--points", "points.npy"),
        "not a callable",
    ),
    "factory fails": (("--decoder", "user_model:fails", "--points", "points.npy"), "weights.pt"),
    "no file": (("--decoder", "user_model:good", "--points", "none.npy"), "no file"),
    "wrong suffix": (("--decoder", "user_model:good", "--points", "user_model.py"), ".npy"),
    "rows mix": (("--decoder", "user_model:rows_mix", "--points", "points.npy"), "eval()"),
    "unusable device": (("--device", "abacus"), "abacus"),
    "decoder of another dtype": (
        ("--decoder", "user_model:float32_function", "--points", "points.npy"),
        "float32_function failed",
    ),
    "wrong latent dimension": (
        ("--decoder", "user_model:good", "--points", "wide.npy"),
        "failed on points",
    ),
    "dictionary of points": (
        ("--decoder", "user_model:good", "--points", "dictionary.pt"),
        "cannot read points",
    ),
    "no module name": (("--decoder", ":good", "--points", "points.npy"), "module:factory"),
    "meta device": (("--device", "meta"), "meta"),
    "empty name": (("--only", ""), "names nothing"),
    "json in no folder": (("--json", "nowhere/results.json", "--only", "plane"), "--json"),
}


@pytest.mark.parametrize("mistake", BAD_USAGE)
def test_bad_usage_exits_with_2_and_says_why(user, mistake):
    arguments, phrase = BAD_USAGE[mistake]
    outcome = run(*arguments, "--quick")
    assert outcome.exit_code == 2, outcome.output
    assert phrase in outcome.output
    assert len(outcome.output.strip().splitlines()) == 1  # rich 13 ends progress with a line


def test_points_of_wrong_shape(user):
    np.save("flat.npy", np.zeros(4))
    outcome = run("--decoder", "user_model:good", "--points", "flat.npy")
    assert outcome.exit_code == 2
    assert "(B, d)" in outcome.output


def test_unknown_option_exits_with_2():
    assert run("--bogus").exit_code == 2
