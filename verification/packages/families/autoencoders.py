"""Autoencoders of pythae and monai."""

from functools import partial

from verification.packages.case import Case, prepared

_IMAGE = (1, 8, 8)


def _pythae(name):
    from pythae import models

    config = getattr(models, f"{name}Config")(input_dim=_IMAGE, latent_dim=2)
    return prepared(getattr(models, name)(config)).decoder, {"output": "reconstruction"}


def _kl(**options):
    from monai.networks.nets import AutoencoderKL

    model = AutoencoderKL(
        spatial_dims=2,
        channels=(4, 4),
        num_res_blocks=1,
        attention_levels=(False, True),
        latent_channels=2,
        norm_num_groups=2,
        **options,
    )
    return prepared(model).decode, {}


def _variational(act):
    from monai.networks.nets import VarAutoEncoder

    model = VarAutoEncoder(
        spatial_dims=2,
        in_shape=_IMAGE,
        out_channels=1,
        latent_size=2,
        channels=(4, 4),
        strides=(1, 2),
        act=act,
    )
    return prepared(model).decode_forward, {}


def _vq(act):
    from monai.networks.nets import VQVAE

    model = VQVAE(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        channels=(8, 8),
        num_res_layers=1,
        num_res_channels=(8, 8),
        downsample_parameters=((2, 4, 1, 1),) * 2,
        upsample_parameters=((2, 4, 1, 1, 0),) * 2,
        embedding_dim=2,
        act=act,
    )
    return prepared(model).decode, {}


_pythae_case = partial(Case, "pythae", "pythae")
_monai_case = partial(Case, "monai", "monai")
CASES = (
    _pythae_case("VAE (ReLU)", (2,), partial(_pythae, "VAE"), has_kinks=True),
    _pythae_case("RHVAE (ReLU)", (2,), partial(_pythae, "RHVAE"), has_kinks=True),
    _monai_case("AutoencoderKL", (2, 2, 2), _kl),
    _monai_case("AutoencoderKL, use_checkpoint", (2, 2, 2), partial(_kl, use_checkpoint=True)),
    _monai_case("VarAutoEncoder (ReLU, PReLU)", (2,), partial(_variational, "PRELU"),
                has_kinks=True),
    _monai_case("VQVAE (ReLU)", (2, 2, 2), partial(_vq, "RELU"), has_kinks=True),
    _monai_case("VQVAE, act='SWISH' (and ReLU)", (2, 2, 2), partial(_vq, "SWISH"),
                has_kinks=True),
)  # fmt: skip
