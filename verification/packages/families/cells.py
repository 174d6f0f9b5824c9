"""Decoders of scvi-tools: gene expression with library sizes and batches of every cell."""

from functools import partial

import torch
from torch import nn

from verification.packages.case import POINTS, Case, prepared

_GENES, _BATCHES = 20, 3


class _WithLatentsFirst(nn.Module):
    """(dispersion, z, library, batch) -> a decoder of z."""

    def __init__(self, decoder, dispersion):
        super().__init__()
        self.decoder, self.dispersion = decoder, dispersion

    def forward(self, z, library, batch):
        return self.decoder(self.dispersion, z, library, batch)


def _library():
    return 3 + torch.rand(POINTS, 1, dtype=torch.float64)


def _batch():
    return torch.arange(POINTS)[:, None] % _BATCHES


def _scvi(part, dispersion="gene", **options):
    from scvi.nn import DecoderSCVI

    decoder = DecoderSCVI(2, _GENES, n_cat_list=[_BATCHES], n_hidden=16, **options)
    inputs = {"library": _library(), "batch": _batch()}
    return _WithLatentsFirst(prepared(decoder), dispersion), {"output": part, **inputs}


def _plain(part, **options):
    from scvi.nn import Decoder

    return prepared(Decoder(2, _GENES, n_hidden=16, **options)), {"output": part}


def _linear():
    from scvi.nn import LinearDecoderSCVI

    decoder = LinearDecoderSCVI(2, _GENES, n_cat_list=[_BATCHES])
    inputs = {"library": _library(), "batch": _batch()}
    return _WithLatentsFirst(prepared(decoder), "gene"), {"output": 2, **inputs}


_SMOOTH = {"activation_fn": nn.SiLU}
_case = partial(Case, "scvi-tools", "scvi")
CASES = (
    _case("DecoderSCVI, activation_fn=SiLU, rate", (2,), partial(_scvi, 2, **_SMOOTH)),
    _case("DecoderSCVI, softplus, layer norm, dispersion", (2,),
          partial(_scvi, 1, "gene-cell", **_SMOOTH, use_layer_norm=True,
                  scale_activation="softplus")),
    _case("DecoderSCVI, batch norm, dropout logits", (2,),
          partial(_scvi, 3, **_SMOOTH, use_batch_norm=True)),
    _case("DecoderSCVI (ReLU), rate", (2,), partial(_scvi, 2), has_kinks=True),
    _case("Decoder, activation_fn=SiLU, mean", (2,), partial(_plain, 0, **_SMOOTH)),
    _case("Decoder, activation_fn=SiLU, mean and variance", (2,),
          partial(_plain, partial(torch.cat, dim=1), **_SMOOTH)),
    _case("LinearDecoderSCVI, rate", (2,), _linear),
)  # fmt: skip
