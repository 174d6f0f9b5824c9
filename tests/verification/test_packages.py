"""``python -m verification.packages``: g and R of packages' decoders against their values alone."""

import math
import re
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import curvcore
from verification.packages import command, families, table, trial
from verification.packages.case import POINTS, Case, Served, prepared
from verification.packages.differences import reference
from verification.packages.full_precision import InFullPrecision
from verification.packages.trial import USELESS

ROOT = Path(__file__).parents[2]


def row(*columns):
    return torch.stack(columns, 1)


def sphere(z):
    u, v = z.unbind(1)
    return 2 * row(u.cos(), u.sin() * v.cos(), u.sin() * v.sin())


def three_sphere(z):
    u, v, w = z.unbind(1)
    s = u.sin() * v.sin()
    return 3 * row(u.cos(), u.sin() * v.cos(), s * w.cos(), s * w.sin())


def torus(z):
    u, v = z.unbind(1)
    radius = 3 + v.cos()
    return row(radius * u.cos(), radius * u.sin(), v.sin())


def curve(z):
    return row(z[:, 0], z[:, 0] ** 2, z[:, 0].sin())


# The surface, d, and its R at a point.
SURFACES = {
    "S²": (sphere, 2, lambda z: 2 / 4),
    "S³": (three_sphere, 3, lambda z: 6 / 9),
    "torus": (torus, 2, lambda z: 2 * z[1].cos() / (3 + z[1].cos())),
    "curve": (curve, 1, lambda z: 0),
}


def point(d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.7 + 0.4 * torch.rand(d, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("seed", range(3))
def test_references_of_closed_forms_err_by_less_than_they_allow(name, seed):
    surface, d, scalar = SURFACES[name]
    z = point(d, seed)
    found = reference(surface, z)
    assert (found.dimension, found.ambient) == (d, surface(z[None]).shape[1])
    jacobian = torch.func.jacfwd(lambda z: surface(z[None])[0])(z)
    assert found.metric_error(jacobian.mT @ jacobian) <= found.metric_allowed < 1e-8
    assert found.scalar_error(float(scalar(z))) <= found.scalar_allowed < 1e-7


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-7])
def test_rounding_inside_a_decoder_widens_what_is_allowed(noise):
    z = point(2)

    def values(rows):
        return (sphere(rows) / noise).round() * noise

    found = reference(values, z)
    assert found.scalar_error(0.5) <= found.scalar_allowed < 1e6 * noise
    assert found.scalar_allowed > noise


def test_what_is_allowed_grows_with_truncation():
    """sin(kz) needs steps of 1/k, at which rounding is k² times as large."""
    z = torch.tensor([0.3, 0.4], dtype=torch.float64)
    allowed = [
        reference(lambda rows, k=k: torch.cat([rows, (k * rows).sin() / k**2], 1), z).scalar_allowed
        for k in (1, 100)
    ]
    assert allowed[1] > allowed[0]


def test_errors_are_measured_in_the_length_of_the_surface():
    """Not in coordinates: stretched ones change nothing."""
    z, scales = point(2), torch.tensor([1.0, 1e3], dtype=torch.float64)
    plain = reference(sphere, z)
    stretched = reference(lambda rows: sphere(rows * scales), z / scales)
    one, other = (
        found.metric_error(1.001 * found.metric) / math.sqrt(2) for found in (plain, stretched)
    )
    assert one == pytest.approx(1e-3, rel=1e-3)
    assert other == pytest.approx(1e-3, rel=1e-3)


# --- one case -------------------------------------------------------------------------------------


def network(activation=nn.Tanh):
    return prepared(nn.Sequential(nn.Linear(2, 8), activation(), nn.Linear(8, 5)))


class Conditional(nn.Module):
    """A label and a size of every point, and a scale of all; a dict."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, z, label, size, scale):
        return {"rate": scale * size * (self.inner(z) + label).exp(), "loss": 0.0}


def conditional():
    sizes = 1 + torch.rand(POINTS, 1, dtype=torch.float64)
    labels = torch.arange(POINTS)[:, None] % 3
    options = {"output": "rate", "label": labels, "size": sizes, "scale": 2.0}
    return Conditional(), options


def images():
    layers = nn.ConvTranspose2d(1, 3, 2), nn.SiLU(), nn.ConvTranspose2d(3, 2, 2)
    return prepared(nn.Sequential(*layers)), {}


def bessel():
    layers = prepared(nn.Linear(2, 6)), prepared(nn.Linear(6, 4))
    return (lambda z: layers[1](torch.special.bessel_j0(layers[0](z)).exp())), {}


def case(build, name="decoder", shape=(2,), module="torch", **options):
    return Case(module, module, name, shape, build, **options)


def of(module):
    return lambda: (module(), {})


def test_a_decoder_that_is_served_and_right():
    outcome = trial.trial(case(of(network)))
    assert outcome.problems == ()
    assert outcome.served is Served.FUSED
    assert set(outcome.routes) == {"fused", "autodiff"}
    assert (outcome.dimension, outcome.ambient) == (2, 5)
    assert 0 < outcome.scalar_error < outcome.allowed < 1e-6
    assert outcome.first > 0
    assert outcome.later > 0
    assert outcome.passes > 1
    assert outcome.version == torch.__version__


@pytest.mark.parametrize(("build", "shape"), [(conditional, (2,)), (images, (1, 2, 2))])
def test_parts_inputs_of_each_point_and_latents_of_any_shape(build, shape):
    outcome = trial.trial(case(build, shape=shape))
    assert outcome.problems == ()
    assert outcome.dimension == math.prod(shape)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("quantity", ["metric", "scalar"])
def test_a_wrong_number_is_a_problem(monkeypatch, derivatives, quantity):
    pullback = curvcore.pullback

    def wrong(decoder, z, **options):
        right = pullback(decoder, z, **options)
        found = {"metric": right.metric, "scalar": right.scalar}
        if options["derivatives"] == derivatives:
            found[quantity] = found[quantity] * (1 + 1e-4)
        return SimpleNamespace(**found)

    monkeypatch.setattr(curvcore, "pullback", wrong)
    (problem,) = trial.trial(case(of(network))).problems
    assert problem.startswith(f"{derivatives}: {'g' if quantity == 'metric' else 'R'} off by ")


def test_nan_is_a_problem():
    def flat():
        return (lambda z: torch.cat([z[:, :1] ** 2] * 3, 1)), {}

    problems = trial.trial(case(flat)).problems
    assert "fused: R off by inf times what is allowed" in problems


def test_less_than_promised_is_a_problem():
    missing = case(bessel)
    outcome = trial.trial(missing)
    assert outcome.served < Served.FUSED
    assert f"promised fused, got {outcome.served}" in outcome.problems
    assert "no rule for torch.special.bessel_j0" in table.line(
        trial.trial(case(bessel, served=outcome.served))
    )


@pytest.mark.parametrize("has_kinks", [True, False])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_kinks_are_warned_of_where_there_are_some(activation, has_kinks):
    problems = trial.trial(case(of(lambda: network(activation)), has_kinks=has_kinks)).problems
    if has_kinks == (activation is nn.ReLU):
        assert problems == ()
    else:
        assert re.search("no warning of its kinks" if has_kinks else "relu", problems[-1])


def test_differences_that_hide_every_error_are_a_problem(monkeypatch):
    coarse = reference(lambda rows: (sphere(rows) / 0.01).round() * 0.01, point(2))
    assert coarse.scalar_allowed > USELESS

    def rough(values, z):
        return replace(reference(values, z), scalar_allowed=coarse.scalar_allowed)

    monkeypatch.setattr(trial, "reference", rough)
    (problem,) = trial.trial(case(of(network))).problems
    assert "decides nothing" in problem


def test_a_crash_is_a_problem_and_the_next_case_is_tried():
    def broken():
        raise ValueError("32 groups\nof 8")

    assert trial.trial(case(broken)).problems == ("ValueError: 32 groups",)


def test_building_leaves_the_generator_and_warnings_alone():
    def noisy():
        warnings.warn("from a package", DeprecationWarning, stacklevel=1)
        return network(), {}

    state = torch.random.get_rng_state()
    assert trial.trial(case(noisy)).problems == ()
    assert torch.equal(torch.random.get_rng_state(), state)


class Coarse(nn.Module):
    """An RMS norm and a softmax in float32, as packages have them."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(2, 6), nn.Linear(6, 7)

    def forward(self, z):
        h = self.inner(z)
        h = h * torch.rsqrt(h.float().square().mean(1, keepdim=True)).to(h.dtype)
        return self.outer(torch.softmax(h, 1, dtype=torch.float32).to(torch.float64))


def test_full_precision_is_the_same_map_without_the_rounding():
    torch.manual_seed(0)
    coarse, z = prepared(Coarse()), torch.randn(5, 2, dtype=torch.float64)
    h = coarse.inner(z)
    h = h / h.square().mean(1, keepdim=True).sqrt()
    exact, found = coarse.outer(torch.softmax(h, 1)), InFullPrecision(coarse)(z)
    assert (found - exact).abs().max() < 1e-14
    assert (coarse(z) - exact).abs().max() > 1e-10
    refused = trial.trial(case(of(lambda: coarse), served=Served.REFUSED))
    assert "lower precision" in refused.routes["fused"].refusal
    assert trial.trial(case(of(lambda: InFullPrecision(coarse)))).problems == ()


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch):
    def with_cases(*cases, arguments=()):
        monkeypatch.setattr(command, "CASES", cases)
        return CliRunner().invoke(command.app, list(map(str, arguments)))

    return with_cases


RIGHT = case(of(network), "right")
MISSING = case(of(network), "other", module="no_such_package")


def test_exit_codes(run):
    outcome = run(RIGHT, MISSING)
    assert outcome.exit_code == 0, outcome.output
    assert "PASS torch: right: fused, R off by" in outcome.output
    assert "SKIP no_such_package: other: no_such_package is not installed" in outcome.output
    assert "PASS. 1 of 1 decoders right, 1 not installed." in outcome.output
    outcome = run(RIGHT, MISSING, arguments=["--require-all"])
    assert outcome.exit_code == 1
    assert "FAIL: 1. 1 of 1 decoders right" in outcome.output
    outcome = run(RIGHT, case(of(network), "kinked", has_kinks=True))
    assert outcome.exit_code == 1
    assert "FAIL torch: kinked: no warning of its kinks" in outcome.output


def test_bad_usage(run, tmp_path):
    outcome = run(RIGHT, arguments=["--only", "nothing"])
    assert outcome.exit_code == 2
    assert "--only nothing names no decoder" in outcome.output
    outcome = run(RIGHT, arguments=["--out", tmp_path / "no" / "page.md"])
    assert outcome.exit_code == 2
    assert "there is no folder" in outcome.output


def test_a_promise_that_can_be_raised(run):
    outcome = run(case(of(network), "modest", served=Served.REFUSED))
    assert outcome.exit_code == 0
    assert "modest: promised refused, is fused: the promise can be raised." in outcome.output


def test_the_page(run, tmp_path):
    page = tmp_path / "page.md"
    kinked = case(of(lambda: network(nn.ReLU)), "with | in its name", has_kinks=True)
    wrong = case(of(network), "wrong", has_kinks=True)
    run(RIGHT, kinked, wrong, MISSING, arguments=["--out", page])
    text = page.read_text()
    assert f"\n## torch {torch.__version__}\n" in text
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert re.search(r"\| 2 → 5 \| fused \|  \| \de-\d+ \| \de-\d+ \| .*s \| .*s \| \d+ \|$",
                     rows["| right"])  # fmt: skip
    assert r"with \| in its name | 2 → 5 | fused, kinks" in text
    assert "**FAIL** | no warning of its kinks" in rows["| wrong"]
    assert "not tried | no_such_package is not installed" in rows["| other"]
    assert len({line.count("|") - line.count("\\|") for line in rows.values()}) == 1


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("derivatives='fused' has no rule for torch.gru. Write autodiff.", "no rule for torch.gru"),
        ("derivatives='fused' cannot run this decoder: TypeError: no. It hides", "TypeError: no"),
        ("at or just after torch.equal. torch says: No batching rule. Write that", "No batching"),
        ("The decoder is random: it calls x. Call decoder.eval()", "The decoder is random"),
    ],
)
def test_refusals_in_short(refusal, words):
    assert table.short(refusal).startswith(words)
    assert "Write" not in table.short(refusal)


# --- the list of cases ----------------------------------------------------------------------------


def test_cases_have_names_of_their_own_and_pinned_packages():
    names = [str(case) for case in families.CASES]
    assert len(set(names)) == len(names) >= 40
    packages = {case.package for case in families.CASES}
    assert len(packages) >= 11
    pinned = (ROOT / "constraints-packages.txt").read_text()
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]["packages"]
    for package in packages - {"torch"}:
        assert f"\n{package}==" in pinned
        assert any(re.match(rf"{package}>=", requirement) for requirement in extra)


@pytest.mark.grid
@pytest.mark.parametrize(
    "case", [case for case in families.CASES if case.package == "torch"], ids=str
)
def test_decoders_of_torch(case):
    assert trial.trial(case).problems == ()
