"""The second pass through a decoder, for the estimate of rounding."""

import copy
import pickle

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.rounded import rounded_jet
from curvcore.providers.roundings import EXCESS
from tests.support.tolerance import assert_close


def mlp(ambient=20):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.LayerNorm(16), nn.Linear(16, ambient))


Z = torch.linspace(-1, 1, 24).reshape(12, 2)


def shifted(z):
    """A decoder of which the jet alone tells little."""
    x = torch.tanh(z @ torch.linspace(-1, 1, 12).reshape(2, 6)) + 1000
    return torch.sin(x - x.mean(1, keepdim=True))


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_the_estimate_is_the_same_every_time(derivatives):
    """And takes no random numbers from anybody."""
    state = torch.random.get_rng_state()
    first, second = (
        curvcore.pullback(shifted, Z, derivatives=derivatives).scalar_error for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("decoder", [mlp(), mlp(5), shifted])
def test_points_in_pieces_have_the_same_estimate(decoder):
    whole = curvcore.pullback(decoder, Z)
    pieces = curvcore.pullback(decoder, Z, chunk_size=5)
    assert_close(pieces.scalar_error / whole.scalar_error, torch.ones(12), factor=1e6)


def test_it_is_made_for_structured_decoders_with_inputs_of_their_own():
    def decode(z, scale):
        return {"sample": shifted(z) * scale}

    scales = torch.linspace(1, 2, 12)[:, None]
    for derivatives in ("fused", "autodiff"):
        options = {"derivatives": derivatives, "output": "sample", "scale": scales}
        geometry = curvcore.pullback(decode, Z, **options)
        alone = curvcore.PullbackGeometry(geometry.jet)
        assert (geometry.scalar_error > 10 * alone.scalar_error).all()


def test_it_is_made_in_an_ambient_metric():
    """Where the decoder cancels, and where the metric does."""

    def cancelling(x):
        return 1 + ((x + 1000) - (x.square() + 1000)).square()

    for decoder, ambient in ((shifted, torch.ones_like), (mlp(6), cancelling)):
        geometry = curvcore.pullback(decoder, Z, ambient=lambda x, f=ambient: f(x) + 0 * x)
        alone = curvcore.PullbackGeometry(geometry.jet)
        assert (geometry.scalar_error > 10 * alone.scalar_error).all()


def test_it_is_made_at_large_d():
    torch.manual_seed(0)
    weight = torch.randn(10, 30)

    def decoder(z):
        x = torch.tanh(z @ weight) + 1000
        return torch.sin(x - x.mean(1, keepdim=True))

    geometry = curvcore.pullback(decoder, torch.randn(6, 10) / 10)
    alone = curvcore.PullbackGeometry(geometry.jet)
    assert (geometry.scalar_error > 10 * alone.scalar_error).all()


@pytest.mark.parametrize("change", ["parameters", "points"])
def test_once_the_decoder_has_changed_there_is_an_error(change):
    decoder, z = mlp(), Z.clone()
    early, late = curvcore.pullback(decoder, z), curvcore.pullback(decoder, z)
    expected = early.scalar_error
    with torch.no_grad():
        (z if change == "points" else decoder[0].weight).mul_(1.5)
    assert torch.equal(early.scalar_error, expected)
    with pytest.raises(curvcore.InputError, match="have changed since"):
        _ = late.scalar_error
    assert torch.equal(late.scalar, early.scalar)


def test_a_copy_is_of_the_jet_alone():
    with torch.no_grad():
        geometry = curvcore.pullback(mlp(), Z)
    alone = curvcore.PullbackGeometry(geometry.jet).scalar_error
    for copied in (copy.deepcopy(geometry), pickle.loads(pickle.dumps(geometry))):
        assert torch.equal(copied.scalar_error, alone)
    assert (geometry.scalar_error > alone).all()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_is_made_without_gradients(context):
    expected = curvcore.pullback(mlp(), Z).scalar_error
    with context():
        found = curvcore.pullback(mlp(), Z).scalar_error
    assert_close(found / expected, torch.ones(12), factor=1e4)
    assert not expected.requires_grad


def test_where_a_rounding_leaves_the_domain_the_error_is_infinite():
    weight = torch.linspace(1, 2, 8)

    def edge(z):
        x = z[:, :1] * weight
        return torch.cat([z, z.square(), torch.sqrt(x - weight + 2e-7)], 1)

    geometry = curvcore.pullback(edge, torch.tensor([[1.0, 1.0], [1.5, 1.0]]))
    assert geometry.scalar.isfinite().all()
    assert geometry.scalar_error.isinf().tolist() == [True, False]


def written(x):
    x = 2 * x
    x += 1
    view = x[:, :1]
    view.mul_(3)
    return torch.cat([x, x.square()], 1)


def inplace(x):
    y = 2 * x
    nn.functional.silu(y, inplace=True)
    return torch.cat([x, y], 1)


@pytest.mark.parametrize("decoder", [mlp(), shifted, written, inplace])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_second_jet_is_near_the_first(decoder, dtype):
    """Not the same, and off by no more than roundings: whatever is a view, or written in place."""
    decoder = copy.deepcopy(decoder).to(dtype) if isinstance(decoder, nn.Module) else decoder
    if decoder is shifted:
        weight = torch.linspace(-1, 1, 12, dtype=dtype).reshape(2, 6)
        decoder = lambda z: torch.sin(torch.tanh(z @ weight))  # noqa: E731
    z = Z.to(dtype)
    for second in (rounded_jet(decoder, z, 2), rounded_jet(lambda z: decoder(z), z, 2)):
        jet = curvcore.jet(decoder, z)
        assert not torch.equal(second.hessian, jet.hessian)
        for one, other in zip(jet.arrays(), second.arrays(), strict=True):
            assert_close(other, one, scale=one.detach().abs().max(), factor=1e4 * EXCESS)
