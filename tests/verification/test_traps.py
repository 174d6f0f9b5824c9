"""Torch's traps, and peers: curvcore is right, the truth is true, a broken curvcore fails."""

import importlib.util
import operator
import os
import sys

import flint
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from curvcore.providers import PROVIDERS, autodiff, fused, primitives
from curvcore.providers.fused.jet_tensor import RULES
from tests.support.tolerance import assert_close
from verification.decoders import Subject
from verification.isolated import IsolatedError, isolated
from verification.traps import cases, findings, layers, peers
from verification.traps.cases import JACFWD_JACFWD, JACFWD_JACREV, JACREV_JACREV, Trap
from verification.traps.comparison import textbook_surfaces
from verification.traps.truth import truth

LAYERS = {
    layer.name: layer
    for layer in (
        layers.LAYER_NORM,
        layers.INSTANCE_NORM,
        layers.TANH,
        layers.SILU,
        layers.MISH,
        layers.SCALED,
        *layers.MATRIX_FUNCTIONS,
        *layers.REPEATED_VALUES,
    )
}
MATRIX_FUNCTIONS = {layer.name: layer for layer in layers.MATRIX_FUNCTIONS}
NAMES_IN_TORCH = {
    "linalg.det": torch.linalg.det,
    "linalg.slogdet": torch.linalg.slogdet,
    "logdet": torch.logdet,
    "linalg.solve": torch.linalg.solve,
    "cholesky_inverse": torch.cholesky_inverse,
}
ANGLES = torch.tensor([[1.0, 0.3], [0.6, -1.2], [2.2, 2.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def decoder_with_layer_norm():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(2, 6), nn.SiLU(), nn.LayerNorm(6), nn.Linear(6, 4))
        return Subject("a random decoder", decoder.double(), torch.randn(2, 2).double())


@pytest.fixture
def without_witness(monkeypatch):
    """curvcore would refuse most of what is broken below; here it is to be caught by its values."""
    monkeypatch.setattr(autodiff, "check_jet", lambda *_: None)
    monkeypatch.setattr(fused, "_compare", lambda *_: set())


# --- as shipped ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_curvcore_is_right_on_every_trap():
    found = list(findings())
    assert len(found) == len(list(cases.traps())) > 20
    assert [f for f in found if not f.passed] == []
    assert {f.section for f in found} == {"traps"}
    assert all(f.figure.startswith("torch: ") for f in found)


@pytest.mark.slow
def test_curvcore_is_right_where_torch_fails_to_compile():
    compiled = [trap for trap in cases.traps(full=True) if trap.compiled]
    assert len(compiled) == 2
    for trap in compiled:
        finding = cases.examined(trap)
        assert finding.passed, finding


def test_a_composition_that_is_right_is_called_fixed():
    for layer, nesting in ((layers.LAYER_NORM, JACFWD_JACREV), (layers.TANH, JACFWD_JACFWD)):
        finding = cases.examined(Trap(layer, nesting))
        assert finding.figure.startswith("torch: fixed in this version; curvcore: fused ")


def test_a_composition_that_is_wrong_is_not_called_fixed():
    wrong = Trap(layers.TANH, JACREV_JACREV, row=lambda decoder: lambda z: decoder(1.001 * z))
    finding = cases.examined(wrong)
    assert finding.figure.startswith("torch: R wrong by ")
    assert finding.passed


def test_a_composition_may_have_a_wrong_gradient_alone():
    def detached(decoder):
        return lambda z: decoder(z) + (decoder(z) - decoder(z).detach()) * 0.5

    finding = cases.examined(Trap(layers.TANH, JACFWD_JACFWD, row=detached))
    assert "∂R/∂θ wrong by " in finding.figure


# --- the truth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_twin_is_the_same_function(layer):
    graph = layers.Graph(layer)
    theta = [flint.arb(x) for p in graph.parameters() for x in p.detach().flatten().tolist()]
    for z in graph.points:
        exact = graph.exact([flint.arb(x) for x in z.tolist()], theta)
        assert_close(graph(z[None])[0], torch.tensor([*map(float, exact)], dtype=layer.dtype))


def test_truth_of_sphere_and_torus():
    sphere, torus = textbook_surfaces()
    assert torch.equal(sphere.points, ANGLES)
    assert_close(sphere.truth.scalar, 2.0, factor=4)
    cosine = ANGLES[:, 0].cos()
    assert_close(torus.truth.scalar, 2 * cosine / (2 + cosine), factor=4)


def test_truth_of_a_gradient():
    """The graph of a u v: R = −2a²/(1 + a²r²)², ∂R/∂a = −4a (1 − a²r²)/(1 + a²r²)³."""
    a = torch.tensor([0.7], dtype=torch.float64)
    z = torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    found = truth(lambda z, theta: [*z, theta[0] * z[0] * z[1]], z, [a])
    product = (a * z.norm()) ** 2
    assert_close(found.scalar, -2 * a**2 / (1 + product) ** 2, factor=4)
    assert_close(found.gradient, -4 * a * (1 - product) / (1 + product) ** 3, factor=16)


def test_balls_that_are_too_wide_are_refused():
    with pytest.raises(ArithmeticError, match="too few"):
        truth(lambda z, theta: [*z, flint.arb(0, 1e-40) + z[0] * z[1]], torch.zeros(1, 2))


# --- curvcore, broken on purpose ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "function"),
    [(layers.LAYER_NORM, F.layer_norm), (layers.INSTANCE_NORM, F.instance_norm)],
    ids=["layer_norm", "instance_norm"],
)
def test_normalisations_not_swapped_for_primitives(layer, function, monkeypatch, without_witness):
    monkeypatch.delitem(primitives.PRIMITIVES, function)
    finding = cases.examined(Trap(layer, JACFWD_JACFWD))
    assert not finding.passed
    assert "Error" not in finding.figure  # silently wrong


@pytest.mark.parametrize("name", MATRIX_FUNCTIONS)
def test_matrix_functions_not_swapped_for_primitives(name, monkeypatch, without_witness):
    monkeypatch.delitem(primitives.PRIMITIVES, NAMES_IN_TORCH[name])
    finding = cases.examined(Trap(MATRIX_FUNCTIONS[name], JACFWD_JACFWD))
    assert finding.passed == ("torch: fixed" in finding.figure)  # by torch 2.15


def test_an_error_where_a_number_is_due(monkeypatch):
    """With its witness, curvcore sees that LayerNorm goes wrong; refusing it is no pass either."""
    monkeypatch.delitem(primitives.PRIMITIVES, F.layer_norm)
    finding = cases.examined(Trap(layers.LAYER_NORM, JACFWD_JACFWD))
    assert not finding.passed
    assert "autodiff UnsupportedOperationError" in finding.figure


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("function", [F.silu, F.mish])
def test_activations_not_swapped_for_primitives(function, context, monkeypatch):
    monkeypatch.delitem(primitives.PRIMITIVES, function)
    layer = {F.silu: layers.SILU, F.mish: layers.MISH}[function]
    assert not cases.examined(Trap(layer, JACFWD_JACFWD, context=context)).passed


@pytest.mark.parametrize("layer", [layers.LAYER_NORM, layers.SILU], ids=lambda layer: layer.name)
def test_a_wrong_rule_of_the_fused_table(layer, monkeypatch, without_witness):
    function = {"LayerNorm": F.layer_norm, "SiLU": F.silu}[layer.name]
    rule = RULES[function]

    def wrong(x, *args, **options):
        y = rule(x, *args, **options)
        return y.like(y.value, 1.001 * y.channels)

    monkeypatch.setitem(RULES, function, wrong)
    finding = cases.examined(Trap(layer, JACFWD_JACFWD))
    assert not finding.passed
    assert "Error" not in finding.figure


def test_a_missing_rule_of_the_fused_table(monkeypatch):
    monkeypatch.delitem(RULES, F.layer_norm)
    finding = cases.examined(Trap(layers.LAYER_NORM, JACFWD_JACFWD))
    assert not finding.passed
    assert "fused MissingRuleError" in finding.figure


def changed(monkeypatch, name, change):
    """Let a provider's jets pass through ``change``, tensor by tensor."""
    provider = PROVIDERS[name]

    def wrapped(decoder, z, order):
        return curvcore.Jet(*map(change, provider(decoder, z, order).arrays()))

    monkeypatch.setattr("curvcore.api.PROVIDERS", PROVIDERS | {name: wrapped})


WRONG = {
    "by 1e-9": lambda x: x * (1 + 1e-9),
    "gradient": lambda x: 1.5 * x - 0.5 * x.detach(),
    "no gradient": torch.Tensor.detach,
    "nan": lambda x: x * torch.nan,
    "dtype": torch.Tensor.float,
}


@pytest.mark.grid
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_derivatives(change, provider, monkeypatch):
    changed(monkeypatch, provider, change)
    for layer in (layers.LAYER_NORM, layers.TANH):
        assert not cases.examined(Trap(layer, JACREV_JACREV)).passed


def test_any_other_exception_is_no_pass(monkeypatch):
    changed(monkeypatch, "autodiff", lambda x: x.no_such_method)
    finding = cases.examined(Trap(layers.REPEATED_VALUES[0], JACFWD_JACFWD, may_refuse=True))
    assert not finding.passed
    assert "autodiff AttributeError" in finding.figure


def test_a_wider_dtype_than_that_of_the_points(monkeypatch):
    changed(monkeypatch, "autodiff", torch.Tensor.double)
    (trap,) = (trap for trap in cases.traps() if trap.layer is layers.SCALED)
    assert not cases.examined(trap).passed


@pytest.mark.parametrize("layer", layers.REPEATED_VALUES, ids=lambda layer: layer.name)
def test_nan_made_a_number(layer, monkeypatch):
    changed(monkeypatch, "autodiff", torch.nan_to_num)
    finding = cases.examined(Trap(layer, JACFWD_JACFWD, may_refuse=True))
    assert not finding.passed


# --- peers --------------------------------------------------------------------------------------


def test_peers_without_geomstats(monkeypatch, decoder_with_layer_norm):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = list(peers(decoder_with_layer_norm))
    assert len(found) == 6
    assert all(f.passed for f in found)
    skipped, textbook = ([f for f in found if peer in f.statement] for peer in ("geom", "nested"))
    assert all(f.figure.startswith("geomstats: skipped, not installed; ") for f in skipped)
    assert [f.figure.startswith("nested jacfwd: right") for f in textbook[:2]] == [True, True]


def test_peers_see_a_broken_curvcore(monkeypatch, decoder_with_layer_norm):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    changed(monkeypatch, "fused", lambda x: x * (1 + 1e-9))
    assert not any(f.passed for f in peers(decoder_with_layer_norm))


@pytest.mark.slow
def test_geomstats_that_does_not_import(monkeypatch, tmp_path, decoder_with_layer_norm):
    package = tmp_path / "geomstats"
    package.mkdir()
    package.joinpath("__init__.py").write_text("raise ImportError('numpy has no trapz')")
    monkeypatch.syspath_prepend(tmp_path)
    first = next(peers(decoder_with_layer_norm))
    assert first.figure.startswith("geomstats: skipped, ImportError: numpy has no trapz; ")


@pytest.mark.skipif(importlib.util.find_spec("geomstats") is None, reason="needs geomstats")
def test_geomstats_runs_elsewhere(decoder_with_layer_norm):
    compared = [f for f in peers(decoder_with_layer_norm) if "geomstats" in f.statement]
    assert "geomstats" not in sys.modules
    assert torch.get_default_dtype() == torch.float32
    assert all(f.passed for f in compared)
    # 2.8 drops ∂Γ from the Riemann tensor. Should a later version get it right, say so here.
    assert compared[0].figure.startswith("geomstats: wrong by 1, R = ")


def test_a_process_of_its_own():
    assert isolated(os.getenv, "CURVCORE_TEST", environment={"CURVCORE_TEST": "1"}) == "1"
    assert isolated(print, "no part of the answer") is None
    with pytest.raises(IsolatedError, match="ZeroDivisionError: division by zero"):
        isolated(operator.truediv, 1, 0)
    with pytest.raises(IsolatedError, match=r"crashes \(SIGABRT\)"):
        isolated(os.abort)
