"""Certificates, at points and on boxes, of layers beyond stacks of linear ones and activations."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

import curvcore
from tests.support.tokens import Attention, CrossAttention, Positions, Tokens
from verification import CertificationError, certify, certify_region
from verification.regions import cells

D = torch.float64
NEXT = torch.ones(3, 3, dtype=torch.bool).triu(1)  # tokens that come later


class Normalised(nn.Module):
    def forward(self, x):
        return F.normalize(x)


def of_units(*layers, width=8):
    """2 → 8 → layers → 5."""
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), *layers, nn.Flatten(), nn.Linear(width, 5))


def of_images(*layers):
    """2 → 8 → 2 × 2 × 2 → layers."""
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Unflatten(1, (2, 2, 2)), *layers)


def of_sequences(*layers):
    """2 → 8 → 2 × 4 → layers."""
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Unflatten(1, (2, 4)), *layers)


def encoder(**options):
    return nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True, **options)


def transformer_decoder():
    return nn.TransformerDecoderLayer(4, 2, 8, activation="gelu", batch_first=True)


DECODERS = {
    "weight norm": lambda: of_units(parametrizations.weight_norm(nn.Linear(8, 8)), nn.Tanh()),
    "weight norm of all": lambda: of_sequences(
        parametrizations.weight_norm(nn.Conv1d(2, 3, 3), dim=None), nn.Tanh()
    ),
    "spectral norm": lambda: of_units(parametrizations.spectral_norm(nn.Linear(8, 8)), nn.Tanh()),
    "batch norm": lambda: of_units(nn.BatchNorm1d(8), nn.Tanh()),
    "group norm": lambda: of_units(nn.GroupNorm(2, 8), nn.Tanh()),
    "instance norm": lambda: of_sequences(nn.InstanceNorm1d(2, affine=True), nn.Tanh()),
    "rms norm": lambda: of_units(nn.RMSNorm(8), nn.Tanh()),
    "normalize": lambda: of_units(Normalised()),
    "softmax": lambda: of_units(nn.Softmax(1)),
    "log softmax": lambda: of_units(nn.LogSoftmax(1)),
    "conv": lambda: of_sequences(nn.Conv1d(2, 4, 3, padding=1, groups=2), nn.SiLU()),
    "transposed conv": lambda: of_images(
        nn.ConvTranspose2d(2, 2, 3, stride=2), nn.SiLU(), nn.Conv2d(2, 1, 3)
    ),
    "upsampled": lambda: of_images(nn.Upsample(scale_factor=2), nn.Conv2d(2, 1, 3), nn.SiLU()),
    "averages": lambda: of_images(nn.AvgPool2d((2, 1)), nn.Conv2d(2, 3, (1, 2), padding=(0, 1))),
    "shuffled": lambda: of_units(
        nn.Unflatten(1, (8, 1, 1)), nn.PixelShuffle(2), nn.Conv2d(2, 2, 2, padding=1), width=18
    ),
    "attention": lambda: Tokens(Attention()),
    "attention by heads": lambda: Tokens(Attention(heads=2)),
    "encoder layer": lambda: Tokens(encoder()),
    "encoder layer, norm first": lambda: Tokens(encoder(norm_first=True)),
    "positions": lambda: Tokens(nn.Sequential(Positions(3, 4), encoder())),
    "learned queries": lambda: Tokens(
        CrossAttention(nn.MultiheadAttention(4, 2, batch_first=True))
    ),
    "decoder layer": lambda: Tokens(CrossAttention(transformer_decoder())),
}
MASKED = {
    "causal attention": lambda: Tokens(Attention(is_causal=True)),
    "masked attention": lambda: Tokens(Attention(attn_mask=~NEXT)),
    "masked heads": lambda: Tokens(Attention(heads=2, attn_mask=NEXT)),
    "masked encoder layer": lambda: Tokens(Attention(encoder(), src_mask=NEXT)),
}


def made(build):
    """The decoder in eval mode, with running means of a batch and no weights of 0 or 1."""
    torch.manual_seed(0)
    decoder = build().to(D)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    decoder(torch.randn(64, 2, dtype=D))
    return decoder.eval()


def changed(decoder):
    """A copy, of which one number behind the first layer is another one."""
    other = copy.deepcopy(decoder)
    _, _, parameter, *_ = other.parameters()
    with torch.no_grad():
        parameter.view(-1)[0] += 1e-4
    return other


@pytest.mark.grid
@pytest.mark.parametrize("name", DECODERS | MASKED)
def test_certificates_hold_what_floats_are_near_to(name):
    """And are narrow, and not those of a decoder of which one weight is another."""
    decoder = made((DECODERS | MASKED)[name])
    z = torch.randn(2, 2, dtype=D)
    certificate = certify(decoder, z)
    for derivatives in ("fused", "autodiff"):
        geometry = curvcore.pullback(decoder, z, derivatives=derivatives)
        error = torch.from_numpy(certificate.relative_error(geometry.scalar.detach()))
        assert (error <= 300 * geometry.scalar_relative_error).all()
    assert all(ball.rad() <= 1e-20 * abs(ball) for ball in certificate.scalar)
    other = curvcore.scalar_curvature(changed(decoder), z).detach()
    assert (certificate.relative_error(other) > 1e-7).all()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weight_norm_of_old():
    decoder = made(lambda: of_units(nn.utils.weight_norm(nn.Linear(8, 8)), nn.Tanh()))
    z = torch.randn(2, 2, dtype=D)
    with pytest.raises(CertificationError, match=r"take the one in torch.nn.utils.param"):
        certify_region(decoder, torch.tensor([[0.0, 1.0]] * 2))
    found = curvcore.scalar_curvature(decoder, z).detach()
    assert certify(decoder, z).relative_error(found).max() < 1e-12
    assert isinstance(decoder[2].weight, torch.Tensor)  # as before


def test_what_plain_masks_choose():
    """(x, y, x², x²) where a mask says so, of which (x, y, x², y²) has the values at x = y."""
    mask = torch.tensor([True, False])

    def decoder(z):
        return torch.cat([z, torch.where(mask, z, z.flip(1)) ** 2], 1)

    z = torch.tensor([[0.5, 0.5]], dtype=D)
    found = curvcore.pullback(decoder, z)
    certificate = certify(decoder, z)
    assert certificate.absolute_error(found.scalar).max() < 1e-14
    assert abs(float(certificate.metric[0, 0, 0].mid()) - 3) < 1e-14


# --- on boxes ---------------------------------------------------------------------------------


@pytest.mark.grid
@pytest.mark.parametrize("name", DECODERS)
def test_boxes_hold_the_curvature_of_points(name):
    decoder = made(DECODERS[name])
    box = torch.tensor([[0.3, 0.304], [-0.5, -0.496]], dtype=D)
    found = cells.examined(decoder, box, 3, *cells.whole(2, 4))
    assert found.are_regular.all()
    generator = torch.Generator().manual_seed(0)
    for n in range(len(found)):
        inside = torch.rand(8, 2, dtype=D, generator=generator) * 2 - 1
        x = torch.from_numpy(found.centres[n]) + torch.from_numpy(found.halves[n]) * inside
        geometry = curvcore.pullback(decoder, box.mean(1) + (box[:, 1] - box[:, 0]) / 2 * x)
        slack = 300 * geometry.scalar_error + 1e-14
        low, high = found.scalar[n]
        assert (low <= geometry.scalar + slack).all()
        assert (geometry.scalar - slack <= high).all()
        assert np.isfinite([low, high]).all()


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_boxes_are_refused(name):
    decoder = made(MASKED[name])
    with pytest.raises(curvcore.CurvatureError, match="infinite numbers, by which attention"):
        certify_region(decoder, torch.tensor([[0.0, 0.1]] * 2))
