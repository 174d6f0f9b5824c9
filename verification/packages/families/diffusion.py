"""Autoencoders of diffusers: images from latents (B, C, H, W), sound from (B, C, L)."""

from functools import partial

from verification.packages.case import Case, prepared
from verification.packages.full_precision import InFullPrecision

_TINY_KL = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
_TWO_BLOCKS = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
}


def _decoding(model, **inputs):
    return prepared(model).decode, {"output": "sample", **inputs}


def _kl(latent_channels):
    from diffusers import AutoencoderKL

    return _decoding(AutoencoderKL(**_TINY_KL, **_TWO_BLOCKS, latent_channels=latent_channels))


def _tiny(act_fn):
    from diffusers import AutoencoderTiny

    channels, blocks = (8, 8), (1, 1)
    model = AutoencoderTiny(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks,
        act_fn=act_fn,
        latent_channels=2,
    )
    return _decoding(model)


def _deep_compression(block, act_fn):
    from diffusers import AutoencoderDC

    model = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types=block,
        decoder_block_types=block,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        decoder_conv_act_fn=act_fn,
    )
    return InFullPrecision(prepared(model), "decode"), {"output": "sample"}


def _vq(norm_type, width=8):
    from diffusers import VQModel

    model = VQModel(
        **_TINY_KL | {"block_out_channels": (width, width)},
        **_TWO_BLOCKS,
        latent_channels=2,
        norm_type=norm_type,
        num_vq_embeddings=8,
    )
    return _decoding(model, force_not_quantize=True)


def _oobleck():
    from diffusers import AutoencoderOobleck

    model = AutoencoderOobleck(
        encoder_hidden_size=4,
        decoder_channels=4,
        decoder_input_channels=2,
        downsampling_ratios=[2, 2],
        channel_multiples=[1, 2],
        audio_channels=1,
    )
    return _decoding(model)


_case = partial(Case, "diffusers", "diffusers")
CASES = (
    _case("AutoencoderKL", (2, 2, 2), partial(_kl, 2)),
    _case("AutoencoderKL, four channels", (4, 2, 2), partial(_kl, 4)),
    _case("AutoencoderTiny, act_fn='silu' (and ReLU)", (2, 2, 2), partial(_tiny, "silu"),
          has_kinks=True),
    _case("AutoencoderTiny (ReLU)", (2, 2, 2), partial(_tiny, "relu"), has_kinks=True),
    _case("AutoencoderDC, decoder_conv_act_fn='silu'", (4, 2, 2),
          partial(_deep_compression, "ResBlock", "silu")),
    _case("AutoencoderDC (ReLU)", (4, 2, 2), partial(_deep_compression, "ResBlock", "relu"),
          has_kinks=True),
    _case("AutoencoderDC, EfficientViTBlock (ReLU)", (4, 2, 2),
          partial(_deep_compression, "EfficientViTBlock", "silu"), has_kinks=True),
    _case("VQModel", (2, 2, 2), partial(_vq, "group")),
    _case("VQModel, norm_type='spatial'", (2, 2, 2), partial(_vq, "spatial", width=32)),
    _case("AutoencoderOobleck", (2, 4), _oobleck),
)  # fmt: skip
