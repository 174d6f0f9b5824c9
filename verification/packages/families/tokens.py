"""Transformers of transformers and timm: latents are tokens, or are made tokens of."""

from functools import partial

import torch
from torch import nn

from verification.packages.case import POINTS, Case, prepared
from verification.packages.full_precision import InFullPrecision

_TOKENS, _WIDTH = 4, 8


def _vit_mae():
    from transformers import ViTMAEConfig
    from transformers.models.vit_mae.modeling_vit_mae import ViTMAEDecoder

    config = ViTMAEConfig(
        hidden_size=3,
        num_attention_heads=1,
        image_size=8,
        patch_size=4,
        decoder_num_attention_heads=2,
        decoder_hidden_size=_WIDTH,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=16,
    )
    decoder = InFullPrecision(prepared(ViTMAEDecoder(config, num_patches=4)))
    order = torch.stack([torch.randperm(4) for _ in range(POINTS)])
    return decoder, {"output": "logits", "ids_restore": order}


class _Prompted(nn.Module):
    """A language model as a map of latents that are made the embeddings of its tokens."""

    def __init__(self, model):
        super().__init__()
        self.embed, self.model = nn.Linear(2, _TOKENS * model.config.hidden_size), model

    def forward(self, z):
        embeddings = self.embed(z).unflatten(1, (_TOKENS, -1))
        return self.model(inputs_embeds=embeddings, use_cache=False)


def _gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=6, n_positions=_TOKENS, n_embd=8, n_layer=1, n_head=2,
                        bos_token_id=0, eos_token_id=0)  # fmt: skip
    return prepared(_Prompted(GPT2LMHeadModel(config))), {"output": "logits"}


def _llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=6,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
    )
    return InFullPrecision(prepared(_Prompted(LlamaForCausalLM(config)))), {"output": "logits"}


def _dac():
    from transformers import DacConfig
    from transformers.models.dac.modeling_dac import DacDecoder

    config = DacConfig(
        encoder_hidden_size=2, decoder_hidden_size=8, upsampling_ratios=[2, 2], hidden_size=2
    )
    return prepared(DacDecoder(config)), {}


def _encodec():
    from transformers import EncodecConfig
    from transformers.models.encodec.modeling_encodec import EncodecDecoder

    config = EncodecConfig(
        num_filters=2, hidden_size=2, upsampling_ratios=[2, 2], num_lstm_layers=1, kernel_size=3,
        num_residual_layers=1, last_kernel_size=3,
    )  # fmt: skip
    return prepared(EncodecDecoder(config)), {}


def _through(block, arranged):
    """z (B, 2) -> linear layer -> what the block takes -> block."""
    return prepared(nn.Sequential(nn.Linear(2, _TOKENS * _WIDTH), arranged, block)), {}


def _timm_tokens(name, **options):
    from timm.models import mlp_mixer, vision_transformer

    module = vision_transformer if hasattr(vision_transformer, name) else mlp_mixer
    block = getattr(module, name)(_WIDTH, **options)
    return _through(block, nn.Unflatten(1, (_TOKENS, _WIDTH)))


def _convnext():
    from timm.models.convnext import ConvNeXtBlock

    return _through(ConvNeXtBlock(_WIDTH), nn.Unflatten(1, (_WIDTH, 2, 2)))


def _swiglu():
    from timm.layers import SwiGLU

    return _through(SwiGLU(_WIDTH, 16), nn.Unflatten(1, (_TOKENS, _WIDTH)))


_transformers_case = partial(Case, "transformers", "transformers")
_timm_case = partial(Case, "timm", "timm")
CASES = (
    _transformers_case("ViTMAEDecoder", (3, 3), _vit_mae),
    _transformers_case("GPT2LMHeadModel", (2,), _gpt2),
    _transformers_case("LlamaForCausalLM", (2,), _llama),
    _transformers_case("DacDecoder", (2, 3), _dac),
    _transformers_case("EncodecDecoder (LSTM, ELU)", (2, 4), _encodec),
    _timm_case("Block of a ViT", (2,), partial(_timm_tokens, "Block", num_heads=2)),
    _timm_case("Block, qk_norm, LayerScale", (2,),
               partial(_timm_tokens, "Block", num_heads=2, qk_norm=True, init_values=0.1)),
    _timm_case("MixerBlock", (2,), partial(_timm_tokens, "MixerBlock", seq_len=_TOKENS)),
    _timm_case("ConvNeXtBlock", (2,), _convnext),
    _timm_case("SwiGLU", (2,), _swiglu),
)  # fmt: skip
