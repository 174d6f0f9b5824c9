"""The section of ``verification.check`` on gradients: it passes, and sees what is broken."""

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from curvcore.caching import cached_quantity
from curvcore.jets import Jet
from curvcore.providers import PROVIDERS
from curvcore.providers.fused import chain_rule
from curvcore.providers.fused.readout import AffineMap
from curvcore.providers.fused.result import FusedJet
from verification import decoders, gradients
from verification.check import app
from verification.decoders import Subject
from verification.gradients import closed_forms, of_decoder
from verification.gradients.decoders import AFTERWARDS, CHUNKS, WHOLE, wide_decoder
from verification.manifolds import catalogue
from verification.referees import Textbook

pytestmark = pytest.mark.slow

BOTH = [torch.float64, torch.float32]


def small_decoder():
    """Layers of every kind, and outputs so many that the short cut is taken."""
    torch.manual_seed(0)
    decoder = nn.Sequential(
        nn.Linear(2, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 4), nn.SiLU(), nn.Linear(4, 30)
    )
    return Subject("small", decoder, torch.randn(16, 2))


def failures(results):
    return [result for result in results if not result.passed]


def on_decoder(subject=None, dtypes=BOTH[:1]):
    return list(of_decoder(subject or small_decoder(), "cpu", dtypes))


def on_manifold(name, derivatives="fused"):
    return list(
        closed_forms.of_manifold(
            catalogue()[name],
            derivatives=derivatives,
            dtype=torch.float64,
            device="cpu",
            points=4,
            seed=0,
        )
    )


# --- it passes ----------------------------------------------------------------------------------


def test_passes_on_every_route():
    results = on_decoder(dtypes=BOTH)
    assert not failures(results)
    assert {result.quantity[-1] for result in results} == {"z", "θ"}
    routes = {(r.derivatives, r.formula, r.dtype, r.batch) for r in results}
    for derivatives in PROVIDERS:
        for formula in ("gauss", "intrinsic"):
            assert (derivatives, formula, "float32", WHOLE) in routes
            for batch in (WHOLE, CHUNKS, AFTERWARDS):
                assert (derivatives, formula, "float64", batch) in routes
    assert ("differences", "gauss", "float64", WHOLE) in routes


@pytest.mark.parametrize("derivatives", PROVIDERS)
@pytest.mark.parametrize("name", ["torus", "cone-3", "plane"])
def test_passes_on_closed_forms(name, derivatives):
    results = on_manifold(name, derivatives)
    assert not failures(results)
    assert {"∂scalar/∂z", "∂christoffel/∂z", "∂volume_density_squared/∂z"} <= {
        result.quantity for result in results
    }


def test_a_function_without_parameters_has_gradients_in_z_alone():
    subject = Subject("function", lambda z: torch.cat([z, z.sin()], 1), torch.randn(6, 2))
    results = on_decoder(subject)
    assert not failures(results)
    assert {result.quantity[-1] for result in results} == {"z"}


def test_latent_coordinates_in_different_units():
    decoder, scale = small_decoder().decoder, torch.tensor([1.0, 1e-4])

    class Rescaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = decoder

        def forward(self, z):
            return self.decoder(z * scale.to(z))

    assert not failures(on_decoder(Subject("rescaled", Rescaled(), torch.randn(4, 2) / scale)))


def test_a_curve_and_frozen_parameters():
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 4)).requires_grad_(False)
    results = on_decoder(Subject("curve", decoder, torch.randn(6, 1)))
    assert not failures(results)
    assert not any(p.requires_grad for p in decoder.parameters())


# --- it can fail --------------------------------------------------------------------------------


def detach_the_last_layer(monkeypatch):
    """The value stays to the last bit; ∂/∂θ of the last layer is lost."""

    def detached(self):
        return AffineMap(self.weight.detach().clone(), self.bias)

    monkeypatch.setattr(AffineMap, "snapshot", detached)


def test_a_detached_last_layer_is_seen(monkeypatch):
    detach_the_last_layer(monkeypatch)
    failed = failures(on_decoder())
    assert {(r.derivatives, r.quantity[-1]) for r in failed} == {("fused", "θ")}
    assert {r.batch for r in failed} == {WHOLE, CHUNKS, AFTERWARDS}


def test_the_command_fails_and_names_what_did(monkeypatch):
    detach_the_last_layer(monkeypatch)
    monkeypatch.setattr(decoders, "digits_decoder", lambda points, seed: small_decoder())
    monkeypatch.setattr(gradients, "FEW", ("sphere-1",))
    outcome = CliRunner().invoke(app, ["--only", "gradients", "--quick", "--dtype", "float64"])
    assert outcome.exit_code == 1, outcome.output
    assert "∂scalar/∂θ" in outcome.output
    assert "FAIL" in outcome.output


@pytest.mark.parametrize("part", range(3))
def test_a_wrong_adjoint_of_the_chain_rule_is_seen(part, monkeypatch):
    adjoint = chain_rule._SecondOrder.backward

    def wrong(ctx, gradient):
        found = list(adjoint(ctx, gradient))
        found[part] = 1.001 * found[part]
        return tuple(found)

    monkeypatch.setattr(chain_rule._SecondOrder, "backward", staticmethod(wrong))
    failed = failures(on_decoder())
    # Third derivatives take another way.
    assert {(r.derivatives, r.formula) for r in failed} == {("fused", "gauss")}


def test_chunks_that_are_joined_without_gradient_are_seen(monkeypatch):
    joined = FusedJet.joined.__func__

    def detached(cls, jets):
        with torch.no_grad():
            return joined(cls, jets)

    monkeypatch.setattr(FusedJet, "joined", classmethod(detached))
    failed = failures(on_decoder())
    assert {(r.derivatives, r.batch) for r in failed} == {("fused", CHUNKS)}
    assert "∂scalar/∂z" not in {r.quantity for r in failed}  # scalar_curvature joins nothing


def test_a_cache_that_mixes_up_no_grad_is_seen(monkeypatch):
    def careless(self, instance, owner=None):
        cache = instance.__dict__.setdefault("_careless", {})
        if self._name not in cache:
            cache[self._name] = self._compute(instance)
        return cache[self._name]

    monkeypatch.setattr(cached_quantity, "__get__", careless)
    assert {result.batch for result in failures(on_decoder())} == {AFTERWARDS}


@pytest.mark.parametrize("level", [1, 2])
def test_a_gradient_of_the_jet_that_is_slightly_wrong_is_seen(level, monkeypatch):
    """On the catalogue by the closed forms. (∇³Ψ cancels in R, and so does its gradient.)"""
    fused = PROVIDERS["fused"]

    def slightly_wrong(decoder, z, order):
        arrays = list(fused(decoder, z, order).arrays())
        arrays[level] = arrays[level] + 1e-6 * (arrays[level] - arrays[level].detach())
        return Jet(*arrays)

    monkeypatch.setitem(PROVIDERS, "fused", slightly_wrong)
    failed = {(r.formula, r.quantity) for r in failures(on_manifold("ellipsoid"))}
    for formula in ("gauss", "intrinsic"):
        assert (formula, "∂scalar/∂z") in failed
        assert ((formula, "∂metric/∂z") in failed) == (level == 1)


def test_a_gradient_that_is_nan_does_not_pass(monkeypatch):
    fused = PROVIDERS["fused"]

    def nan(decoder, z, order):
        jet = Jet(*fused(decoder, z, order).arrays())
        if jet.hessian.requires_grad:
            jet.hessian.register_hook(lambda gradient: gradient * torch.nan)
        return jet

    monkeypatch.setitem(PROVIDERS, "fused", nan)
    for results in (on_manifold("torus"), on_decoder()):
        failed = {(r.derivatives, r.quantity) for r in failures(results)}
        assert ("fused", "∂scalar/∂z") in failed
        assert ("fused", "∂metric/∂z") not in failed


def test_differences_see_a_wrong_reference(monkeypatch):
    """They referee it: no derivative but those in Q itself."""
    scalar = Textbook.scalar

    def wrong(self, point):
        R = scalar(self, point)
        return R + 1e-4 * (R - R.detach())

    monkeypatch.setattr(Textbook, "scalar", wrong)
    failed = {r.quantity for r in failures(on_decoder()) if r.derivatives == "differences"}
    assert failed == {"∂scalar/∂z", "∂scalar/∂θ"}


def test_points_that_decide_nothing_are_no_pass():
    decoder = small_decoder().decoder.double()

    def skew(z):
        return decoder(z + 0.999 * z.flip(1))  # κ = 4e6, lost twice by the textbook

    results = on_decoder(Subject("skew", skew, torch.randn(4, 2)))
    assert {(r.points, r.passed) for r in results} == {(0, False)}


def test_the_wide_decoder_takes_the_short_cut():
    last_layer = wide_decoder(0).decoder[-1]
    assert AffineMap(last_layer.weight, last_layer.bias).pays(rows=9 * 5)
