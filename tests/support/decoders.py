"""The case table: a decoder of every kind that users bring, and its latent points."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from tests.support import modules as m

PROVIDERS = ["autodiff", "fused"]  # a new provider is one more entry
FORMULAS = ["gauss", "intrinsic"]


@dataclass(frozen=True)
class Case:
    """A decoder for the tests.

    Attributes:
        name: test id.
        build: () -> nn.Module, (B, d) -> (B, ...).
        d: latent dimension.
        plain: whether torch's bare jacfwd∘jacfwd∘jacfwd is right on it (the textbook referee).
    """

    name: str
    build: Callable
    d: int = 2
    plain: bool = True

    def __str__(self):
        return self.name

    def decoder(self, dtype=torch.float64):
        """The decoder in eval mode, its parameters drawn from a seed of its own."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(sum(map(ord, self.name)))
            decoder = self.build()
            for tensor in (*decoder.parameters(), *decoder.buffers()):
                if tensor.is_floating_point():  # affine weights of 1, biases of 0: not the defaults
                    tensor.data.add_(0.2 * torch.rand_like(tensor))
        return decoder.eval().to(dtype)

    def points(self, batch=3, dtype=torch.float64):
        """Latent points (batch, d) in [−1, 1]^d."""
        generator = torch.Generator().manual_seed(len(self.name))
        z = 2 * torch.rand(batch, self.d, generator=generator, dtype=torch.float64) - 1
        return z.to(dtype)


def _mlp(*middle, d=2, width=8, ambient=6):
    return lambda: nn.Sequential(
        nn.Linear(d, width), *(layer() for layer in middle), nn.Linear(width, ambient)
    )


def _graph(function, **options):
    return lambda: m.Graph(function, **options)


_ACTIVATIONS = {
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "gelu_erf": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "mish": nn.Mish,
    "sine": lambda: m.Function(torch.sin),
}

_NORMALISATIONS = {
    "layer_norm": (lambda: nn.LayerNorm(8), False),
    "layer_norm_plain": (lambda: nn.LayerNorm(8, elementwise_affine=False), False),
    "layer_norm_2d": (lambda: m.Reshaped(nn.LayerNorm((2, 4)), (2, 4)), False),
    "group_norm": (lambda: nn.GroupNorm(2, 8), True),
    "instance_norm": (lambda: m.Reshaped(nn.InstanceNorm1d(2, affine=True), (2, 4)), False),
    "rms_norm": (lambda: nn.RMSNorm(8), True),
    "batch_norm_eval": (lambda: nn.BatchNorm1d(8), True),
    "hand_written_norm": (lambda: m.Function(m.standardise), True),
    "normalize": (lambda: m.Function(F.normalize), True),
    "by_norm": (lambda: m.Function(lambda x: x / x.norm(dim=-1, keepdim=True)), True),
    "by_deviation": (lambda: m.Function(lambda x: x / x.std(-1, keepdim=True)), True),
}

# Functions of a latent-dependent symmetric positive definite matrix A(z).
_MATRIX_FUNCTIONS = {
    "det": (torch.linalg.det, False),
    "slogdet": (lambda a: torch.linalg.slogdet(a).logabsdet, False),
    "logdet": (torch.logdet, False),
    "solve": (lambda a: torch.linalg.solve(a, a[:, 0].sin()), False),
    "solve_columns": (lambda a: torch.linalg.solve(a, a[:, :, :2].sin()), False),
    "solve_right": (lambda a: torch.linalg.solve(a, a[:, :2].sin(), left=False), False),
    "inv": (torch.linalg.inv, True),
    "cholesky": (torch.linalg.cholesky, True),
    "cholesky_inverse": (lambda a: torch.cholesky_inverse(torch.linalg.cholesky(a)), False),
    "cholesky_solve": (
        lambda a: torch.cholesky_solve(a[:, :, :1].sin(), torch.linalg.cholesky(a)),
        True,
    ),
}

_ELEMENTWISE = {
    "softmax": (lambda h: h.softmax(-1), True),
    "log_softmax": (lambda h: h.log_softmax(-1), True),
    "glu": (F.glu, False),
    "logit": (lambda h: torch.logit(h.sigmoid() / 2 + 0.25), True),
    "logit_clamped": (lambda h: torch.logit(h.sigmoid() / 2 + 0.25, eps=1e-6), True),
    "distances": (lambda h: torch.cdist(h[:, None], 4 * torch.eye(3, 8).to(h)), False),
    "fourier": (lambda h: torch.fft.irfft(torch.fft.rfft(h, n=8) ** 2, n=8), True),
}

CASES = [
    *(Case(name, _mlp(layer)) for name, layer in _ACTIVATIONS.items()),
    *(Case(name, _mlp(layer, nn.SiLU), plain=p) for name, (layer, p) in _NORMALISATIONS.items()),
    *(Case(name, _graph(m.OfMatrix(f)), plain=p) for name, (f, p) in _MATRIX_FUNCTIONS.items()),
    *(Case(name, _graph(f), plain=p) for name, (f, p) in _ELEMENTWISE.items()),
    Case("curve", _mlp(nn.Tanh, d=1), d=1),
    Case("three_dimensional", _mlp(nn.Tanh, d=3), d=3),
    Case("four_dimensional", _mlp(nn.Tanh, d=4, width=12, ambient=7), d=4),
    Case("deep_residual", m.residual),
    Case("weight_norm", m.weight_normalised),
    Case("spectral_norm_eval", m.spectrally_normalised),
    Case("image_conv_transpose", m.image_decoder, plain=False),
    Case("image_upsample", m.upsampling_decoder),
    Case("attention", m.Attention, plain=False),
    Case("transformer_layer", m.Transformer, plain=False),
    Case("gru", m.Recurrent),
]

BY_NAME = {case.name: case for case in CASES}


@cache
def geometry(case, formula, provider, dtype=torch.float64):
    """The geometry of a case at its points, computed once for all tests that look at it."""
    return curvcore.pullback(
        case.decoder(dtype), case.points(dtype=dtype), formula=formula, derivatives=provider
    )


@cache
def jet(case, provider, dtype=torch.float64):
    """The jet of order 3 of a case at its points."""
    return curvcore.jet(case.decoder(dtype), case.points(dtype=dtype), 3, derivatives=provider)
