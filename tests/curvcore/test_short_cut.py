"""Structural zeros, the Gram short cut, and what is computed only when it is looked at."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.fused import JetTensor, fused_jet
from curvcore.providers.fused.readout import factorised
from tests.support.tolerance import assert_close

# --- structural zeros and the Gram short cut ------------------------------------------------------


def test_before_the_first_nonlinearity_nothing_is_computed_per_point():
    z = torch.rand(5, 2)
    affine = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))(JetTensor.coordinates(z, 3))
    assert affine.channels.shape == (2, 1, 3)


@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_short_cut_changes_nothing(formula, dtype):
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 200)).to(dtype)
    z = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    order = 3 if formula == "intrinsic" else 2
    jet = fused_jet(decoder, z, order)
    assert jet.isometric_derivatives().ambient_dimension == 8
    short = curvcore.scalar_curvature(decoder, z, formula=formula)
    geometry = curvcore.PullbackGeometry(curvcore.Jet(*jet.arrays()), formula=formula)
    scale = geometry.condition_number * geometry.mean_curvature.square().sum(1)
    assert_close(short, geometry.scalar, scale=scale, factor=300)
    parameters = list(decoder.parameters())[:3]
    one, other = (torch.autograd.grad(r.sum(), parameters) for r in (short, geometry.scalar))
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, scale=scale.max() * (1 + b.abs().max()), factor=300)


@pytest.mark.parametrize("s", [1, 1e-10])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_lengths_and_angles_of_the_last_layer_lose_roundings_only(dtype, s):
    """WᵀW = LLᵀ and W = QLᵀ, to some roundings of dtype, whatever the condition of W."""
    generator = torch.Generator().manual_seed(0)
    common, own = (torch.randn(300, n, generator=generator) for n in (1, 40))
    weight = common + own / 100  # columns nearly equal
    weight = (weight * torch.logspace(0, 1, 40, base=s)).to(dtype)
    factor, isometry = map(torch.Tensor.double, factorised(weight, True))
    lengths, weight = weight.double().norm(dim=0), weight.double()
    units = lengths[:, None] * lengths
    scale = torch.finfo(dtype).eps / torch.finfo(torch.float64).eps
    assert_close(factor @ factor.mT / units, weight.mT @ weight / units, scale=scale, factor=20)
    assert_close(isometry @ factor.mT / lengths, weight / lengths, scale=scale, factor=20)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("columns", ["zero", "equal"])
def test_a_last_layer_of_low_rank_keeps_the_short_cut(columns, dtype):
    decoder, z = short_cut_decoder()
    weight = decoder[2].weight
    weight.data[:, 4:] = 0 if columns == "zero" else weight.data[:, :4]
    decoder, z = decoder.to(dtype), z.to(dtype)
    assert fused_jet(decoder, z, 2).isometric_derivatives().ambient_dimension == 8
    geometry = curvcore.PullbackGeometry(curvcore.Jet(*curvcore.jet(decoder, z).arrays()))
    scale = geometry.condition_number * geometry.second_fundamental_form.flatten(1).square().sum(1)
    short = curvcore.scalar_curvature(decoder, z)
    assert_close(short, geometry.scalar, scale=scale, factor=300)
    parameters = list(decoder.parameters())[:3]
    one, other = (torch.autograd.grad(r.sum(), parameters) for r in (short, geometry.scalar))
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, scale=scale.max() * (1 + b.abs().max()), factor=300)


def short_cut_decoder(*last):
    layers = [nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 200), *last]
    return nn.Sequential(*layers).double(), torch.randn(300, 2).double()


@pytest.mark.parametrize(
    "last",
    [nn.Unflatten(1, (2, 10, 10)), nn.Sequential(nn.Unflatten(1, (20, 10)), nn.Flatten())],
    ids=["unflatten", "flatten"],
)
def test_the_short_cut_looks_through_shapes(last):
    decoder, z = short_cut_decoder(last)
    jet = fused_jet(decoder, z, 2)
    assert jet.isometric_derivatives().ambient_dimension == 8
    for one, other in zip(jet.arrays(), fused_jet(decoder[:3], z, 2).arrays(), strict=True):
        assert torch.equal(one, other)


def test_extrinsic_quantities_come_in_the_ambient_space():
    decoder, z = short_cut_decoder()
    short, plain = (
        curvcore.pullback(decoder, z),
        curvcore.PullbackGeometry(curvcore.jet(decoder, z)),
    )
    for name in ("value", "jacobian", "hessian", "second_fundamental_form", "mean_curvature"):
        assert getattr(short, name).shape[1] == 200
        assert_close(getattr(short, name), getattr(plain, name), scale=1e4)


def doubled(decoder):
    decoder[2].weight.data.mul_(2)


def fused_step(decoder):
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.1, fused=True)
    decoder(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("change", [doubled, fused_step])
@pytest.mark.parametrize("name", ["scalar", "value", "hessian", "metric"])
def test_what_is_computed_late_belongs_to_the_parameters_of_its_time(name, change):
    decoder, z = short_cut_decoder()
    early, late = (curvcore.pullback(decoder, z) for _ in range(2))
    expected = getattr(early, name)
    change(decoder)
    assert torch.equal(getattr(late, name), expected)


def test_what_was_made_without_gradients_stays_without():
    decoder, z = short_cut_decoder()
    with torch.no_grad():
        geometry = curvcore.pullback(decoder, z)
    for name in ("scalar", "value", "hessian"):
        assert not getattr(geometry, name).requires_grad


def test_a_layer_looked_at_without_gradients_keeps_them():
    class Monitored(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 5)])

        def forward(self, z):
            first, second, third = self.layers
            h = second(torch.tanh(first(z)))
            with torch.no_grad():
                self.mean = h.mean(-1)
            return third(torch.tanh(h))

    decoder, z = Monitored().double(), torch.randn(4, 2).double()
    gradients = [
        torch.autograd.grad(
            curvcore.scalar_curvature(decoder, z, derivatives=name).sum(),
            [*decoder.layers[0].parameters(), *decoder.layers[1].parameters()],
        )
        for name in ("fused", "autodiff")
    ]
    for one, other in zip(*gradients, strict=True):
        assert_close(one, other, scale=1e3 * (1 + other.abs().max()))


class Rescaled(nn.Module):
    """The same map for every s: what some columns of the last layer lose, its input gains."""

    def __init__(self, s):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 200)
        self.last.weight.data[:, :4] /= s
        self.register_buffer("s", torch.tensor([s] * 4 + [1.0] * 4))

    def forward(self, z):
        return self.last(torch.tanh(self.first(z)) * self.s)


@pytest.mark.parametrize("s", [1, 1e4, 1e8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_short_cut_does_not_mind_scaled_columns(s, dtype):
    decoder, z = Rescaled(s).to(dtype), torch.randn(2000, 2).to(dtype)
    assert fused_jet(decoder, z, 2).isometric_derivatives().ambient_dimension == 8
    plain = curvcore.PullbackGeometry(curvcore.jet(decoder, z))
    scale = plain.condition_number * plain.mean_curvature.square().sum(1)
    assert_close(curvcore.scalar_curvature(decoder, z), plain.scalar, scale=scale, factor=500)


@pytest.mark.parametrize("smallest", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_short_cut_is_not_taken_where_it_would_cost_digits(smallest, dtype):
    """Features along small singular directions of W, which WᵀW squares."""
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 200)).double()
    left = torch.linalg.qr(torch.randn(200, 8).double()).Q
    right = torch.linalg.qr(torch.randn(8, 8).double()).Q
    singular = torch.tensor([1.0] * 4 + [smallest] * 4).double()
    decoder[2].weight.data = left * singular @ right.mT
    decoder[0].weight.data = right[:, 4:] @ torch.randn(4, 2).double()
    decoder.to(dtype)
    z = torch.randn(2000, 2).to(dtype)
    plain = curvcore.PullbackGeometry(curvcore.jet(decoder, z))
    scale = plain.condition_number * plain.second_fundamental_form.flatten(1).square().sum(1)
    # Wx itself loses |W||x|/|Wx|, at most 1/smallest, in each of the two second derivatives, and
    # the short cut, where it is taken, h/δ² with a pivot δ that may be the smallest.
    hidden = curvcore.jet(decoder[:2], z)
    amplified = hidden.hessian.flatten(1).norm(dim=1) / plain.hessian.flatten(1).norm(dim=1)
    found = curvcore.scalar_curvature(decoder, z)
    assert_close(found, plain.scalar, scale=scale * (1 + amplified) / smallest**2, factor=1000)


def test_gradients_reach_what_was_looked_at_without_them():
    decoder, z = short_cut_decoder()
    geometry = curvcore.pullback(decoder, z)
    with torch.no_grad():
        assert not geometry.value.requires_grad
        assert not geometry.metric.requires_grad
    assert geometry.value.requires_grad
    assert geometry.metric.requires_grad


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("parameter", ["weight", "bias"])
def test_a_last_layer_that_is_not_finite_makes_all_points_degenerate(parameter, number):
    decoder, z = short_cut_decoder()
    getattr(decoder[2], parameter).data[3] = number
    assert curvcore.scalar_curvature(decoder, z, on_degenerate="nan").isnan().all()


def test_chunks_keep_the_short_cut():
    decoder, z = short_cut_decoder()
    whole, pieces = (curvcore.pullback(decoder, z, chunk_size=n) for n in (None, 70))
    assert pieces.jet.isometric_derivatives().ambient_dimension == 8
    assert_close(pieces.value, whole.value)
    assert_close(pieces.scalar, whole.scalar, scale=whole.condition_number * 1e3)
