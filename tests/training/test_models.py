"""Autoencoders: where the encoder lands, what the decoder is periodic in, and curvcore on both."""

import warnings

import pytest
import torch
from torch import nn

import curvcore
from tests.support.tolerance import assert_close
from training.errors import TrainingError
from training.models import ACTIVATIONS, AutoEncoder, FromTorus, MLPAutoEncoder, ToTorus
from training.module import RegularizedAutoEncoder

D, d, B = 5, 3, 40


def autoencoder(**options):
    """A small one of float64 for R^5 and three latent dimensions."""
    return MLPAutoEncoder(D, d, widths=(16, 12), **options).double()


@pytest.mark.parametrize("latent", ["plane", "torus"])
def test_shapes_and_mirrored_widths(latent):
    model, x = autoencoder(latent=latent), torch.randn(B, D, dtype=torch.float64)
    assert model.encoder(x).shape == (B, d)
    assert torch.equal(model(x), model.decoder(model.encoder(x)))
    widths = [
        [layer.out_features for layer in part if isinstance(layer, nn.Linear)]
        for part in (model.encoder, model.decoder)
    ]
    assert widths == [[16, 12, d if latent == "plane" else 2 * d], [12, 16, D]]


def test_the_torus_encoder_lands_in_the_unit_cube():
    z = autoencoder(latent="torus").encoder(10 * torch.randn(2000, D, dtype=torch.float64))
    assert (z >= 0).all()
    assert (z < 1).all()
    assert z.max() - z.min() > 0.5


def test_angles_are_undone_by_the_embedding():
    to, back = ToTorus(), FromTorus()
    x, y = torch.tensor([[1.0, 0, -2, 0]]), torch.tensor([[0.0, 3, 0, -1]])
    assert_close(to(torch.cat([x, y], 1)), torch.tensor([[0, 0.25, 0.5, 0.75]]))
    z = torch.rand(B, d, dtype=torch.float64)
    assert_close(to(7 * back(z)), z)


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 1)])
def test_the_torus_decoder_is_periodic_with_its_curvature(shift):
    decoder, z = autoencoder(latent="torus").decoder, torch.rand(B, d, dtype=torch.float64)
    moved = z + torch.tensor(shift)
    at_z, at_moved = curvcore.pullback(decoder, z), curvcore.pullback(decoder, moved)
    assert_close(at_moved.value, at_z.value)
    assert_close(at_moved.scalar, at_z.scalar, factor=100 * at_z.condition_number.max().item())


@pytest.mark.parametrize("latent", ["plane", "torus"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_decoders_have_fused_derivatives(activation, latent):
    decoder = autoencoder(activation=activation, latent=latent).decoder
    z = torch.rand(B, d, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", curvcore.FallbackWarning)
        fused = curvcore.pullback(decoder, z)
        assert torch.isfinite(fused.scalar).all()
    careful = curvcore.pullback(decoder, z, derivatives="autodiff")
    assert_close(fused.metric, careful.metric)
    assert_close(fused.scalar, careful.scalar, factor=100 * fused.condition_number.max().item())


def test_anybodys_encoder_and_decoder():
    model = AutoEncoder(nn.Linear(D, 2), nn.Sequential(nn.Linear(2, 7), nn.Tanh(), nn.Linear(7, D)))
    x = torch.randn(B, D)
    assert torch.equal(model(x), model.decoder(model.encoder(x)))
    assert len([*model.parameters()]) == 6
    assert curvcore.scalar_curvature(model.decoder, model.encoder(x)).shape == (B,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "relu"}, r"activation must be one of \['silu', .*\]; got 'relu'\."),
        ({"latent": "sphere"}, r"latent must be one of \('plane', 'torus'\); got 'sphere'\."),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(TrainingError, match=message):
        MLPAutoEncoder(D, d, **options)


def test_isomap_is_for_the_plane():
    torus = MLPAutoEncoder(5, 2, (8,), latent="torus")
    with pytest.raises(TrainingError, match="isomap needs a plane"):
        RegularizedAutoEncoder(torus, warm_start="isomap")


def test_the_data_dimension_of_an_encoder_that_does_not_tell():
    encoder = nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 2, 3), nn.Flatten())
    own = AutoEncoder(encoder, nn.Sequential(nn.Linear(12, 8)))
    with pytest.raises(TrainingError, match=r"set model\.data_dimension"):
        RegularizedAutoEncoder(own)
    module = RegularizedAutoEncoder(own, data_dimension=8)
    assert module(torch.randn(3, 8)).shape == (3, 8)


def test_the_module_takes_and_gives_raw_units():
    module = RegularizedAutoEncoder(MLPAutoEncoder(5, 2, (8,)))
    module.scale.mean.copy_(torch.arange(5))
    module.scale.scale.fill_(3.0)
    x = torch.randn(4, 5) * 3 + torch.arange(5)
    scaled = (x - torch.arange(5)) / 3
    z = module.autoencoder.encoder(scaled)
    assert torch.allclose(module.encode(x), z, atol=1e-5)
    expected = 3 * module.autoencoder.decoder(z) + torch.arange(5)
    assert torch.allclose(module(x), expected, atol=1e-4)
