"""The fused provider: rules, the registration of new ones, the fall back."""

import copy
import itertools
import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import curvcore
from curvcore.providers.fused import MissingRuleError
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import is_jet
from tests.support.immersions import graph
from tests.support.tolerance import assert_close

LAYERS = {
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU, "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"), "softplus": lambda: nn.Softplus(beta=2), "elu": nn.ELU,
    "celu": lambda: nn.CELU(0.7), "selu": nn.SELU, "mish": nn.Mish, "softsign": nn.Softsign,
    "logsigmoid": nn.LogSigmoid, "tanhshrink": nn.Tanhshrink, "softmax": lambda: nn.Softmax(-1),
    "layer_norm": lambda: nn.LayerNorm(12), "group_norm": lambda: nn.GroupNorm(3, 12),
    "rms_norm": lambda: nn.RMSNorm(12), "batch_norm": lambda: nn.BatchNorm1d(12),
    "linear": lambda: nn.Linear(12, 12),
    "conv": lambda: Reshaped((3, 2, 2), nn.Conv2d(3, 3, 3, padding=1)),
    "conv_transpose": lambda: Reshaped((3, 2, 2), nn.ConvTranspose2d(3, 3, 3, padding=1)),
    "upsample": lambda: Reshaped((3, 4), nn.Upsample(scale_factor=2), nn.AvgPool1d(2)),
    "pixel_shuffle": lambda: Reshaped((12, 1, 1), nn.PixelShuffle(2)),
    "attention": lambda: Reshaped((3, 4), Attention()),
}  # fmt: skip


class Reshaped(nn.Module):
    def __init__(self, shape, *layers):
        super().__init__()
        self.shape, self.layers = shape, nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x.reshape(-1, *self.shape)).flatten(1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return x + self.attention(x, x, x, need_weights=False)[0]


class Residual(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


def stack(names, residual, d, seed):
    """Linear, then the named layers, then Linear, in float64 and eval mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        layers = [Residual(LAYERS[n]()) if residual else LAYERS[n]() for n in names]
        return nn.Sequential(nn.Linear(d, 12), *layers, nn.Linear(12, 7)).double().eval()


def test_activations_keep_the_shape_of_what_they_act_on():
    """Also where a layer's image was reshaped before it was computed."""
    torch.manual_seed(0)
    layers = nn.Linear(2, 12), nn.Unflatten(1, (3, 4)), nn.Tanh(), nn.Linear(4, 4), nn.Tanh()
    decoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 7)).double()
    z = torch.randn(4, 2, dtype=torch.float64)
    expected = curvcore.jet(decoder, z, derivatives="autodiff")
    found = curvcore.jet(decoder, z, derivatives="fused")
    for one, other in zip(found.arrays(), expected.arrays(), strict=True):
        assert_close(one, other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # selu
@given(
    names=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=4),
    residual=st.booleans(),
    d=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_fused_is_autodiff_on_random_architectures(names, residual, d, seed):
    decoder = stack(names, residual, d, seed)
    z = torch.randn(3, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = curvcore.jet(decoder, z, 3, derivatives="autodiff")
    actual = curvcore.jet(decoder, z, 3, derivatives="fused")
    for one, other in zip(actual.arrays(), expected.arrays(), strict=True):
        assert_close(one, other, scale=1 + other.abs().max(), factor=1e4)


@pytest.mark.grid
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # selu
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_to_third_order(name):
    decoder = stack(["tanh", name, "sigmoid"], False, 2, 1)
    z = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)
    expected = curvcore.jet(decoder, z, 3, derivatives="autodiff").third
    actual = curvcore.jet(decoder, z, 3, derivatives="fused").third
    assert_close(actual, expected, scale=1 + expected.abs().max(), factor=1e4)


MATRIX = torch.arange(16.0).reshape(4, 4)
with torch.random.fork_rng(devices=()):
    torch.manual_seed(0)
    ATTENTION = nn.MultiheadAttention(4, 2, batch_first=True).double().eval()
FUNCTIONS = {
    "powers": lambda x: (x**2 + 1) ** 1.5 / (x**2 + 2),
    "quotient": lambda x: x / (3 + x.roll(1, -1)),
    "reciprocal": lambda x: 2 / (x + 3),
    "exponent": lambda x: 2.0**x + (x + 3) ** x,
    "difference": lambda x: 1 - x + torch.rsub(x, 2),
    "matmul": lambda x: (x[:, :, None] @ x[:, None, :]).flatten(1),
    "einsum": lambda x: torch.einsum("bi,bj->bij", x, x.sin()).flatten(1),
    "bilinear": lambda x: F.bilinear(x, x.cos(), torch.ones(2, 4, 4, dtype=x.dtype)),
    "cat": lambda x: torch.cat([x, x.exp(), torch.ones_like(x)], 1),
    "stack": lambda x: torch.stack([x, x.sin()], 1).flatten(1),
    "split": lambda x: torch.mul(*x.chunk(2, 1)),
    "where": lambda x: torch.where(x > 0, x.sin(), x**2),
    "pad": lambda x: F.pad(x, (1, 2), value=3.0) ** 2,
    "index": lambda x: x[:, [0, 2]] * x[..., 1:2],
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "variance": lambda x: x.var(1, keepdim=True) * x.std(1, keepdim=True),
    "norm": lambda x: F.normalize(x, dim=1),
    "attention": lambda x: F.scaled_dot_product_attention(
        *3 * [x.reshape(-1, 2, 2)], is_causal=True
    ).flatten(1),
    "addcmul": lambda x: torch.addcmul(x, x, x.sin(), value=0.5),
    "lerp": lambda x: torch.lerp(x, x.exp(), 0.3),
    "other_functions": lambda x: x.expm1() + x.sinh() * x.cosh() + (x + 4).log() + x.atan(),
    "converted_constant": lambda x: x @ torch.eye(4).to(x) + torch.ones(4).type_as(x),
    "more_functions": lambda x: torch.erf(x) + torch.asinh(x) + torch.tan(x / 3) + (x + 4).log1p(),
    "roots": lambda x: (x + 4).sqrt() * (x + 4).rsqrt() ** 3 + torch.log1p(x**2),
    "softplus": lambda x: F.softplus(3 * x, beta=2, threshold=1),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "celu": lambda x: F.celu(x, 0.7),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2) * x,
    "clamps": lambda x: x.clamp_max(0.1).exp() + x.clamp_min(-0.1).sin(),
    "matrix on the left": lambda x: (MATRIX.to(x) @ x[:, :, None]).flatten(1),
    "batch_norm": lambda x: F.batch_norm(
        x, MATRIX[1].to(x), MATRIX[2].to(x), None, MATRIX[3].to(x)
    ),
    "cross": lambda x: torch.linalg.cross(MATRIX[:1, :3].to(x), x[:, :3].sin()),
    "addmm": lambda x: torch.addmm(x.sin(), x, MATRIX.to(x), beta=0.5, alpha=2),
    "attention_weights": lambda x: ATTENTION(*3 * [torch.stack([x, x.sin()], 1)])[1].flatten(1),
    "quotient of both": lambda x: x.sin() / (3 + x.cos()),
    "product": lambda x: x.prod(1, keepdim=True),
    "products": lambda x: x.cumprod(1) * x.prod(-1, True, dtype=x.dtype),
    "empty product": lambda x: x * x[:, :0].prod(1, keepdim=True),
    "norms": lambda x: (
        torch.linalg.matrix_norm(x.reshape(-1, 2, 2)) + torch.linalg.norm(input=x, dim=1)
    )[:, None],
    "deviations": lambda x: torch.stack(torch.std_mean(x, 1, False), 1) * x.var(1, False, True),
    "deviation by default": lambda x: torch.std(x, dim=1, correction=None, keepdim=True),
    "cosine": lambda x: F.cosine_similarity(x1=x, x2=MATRIX[1].to(x), dim=1)[:, None],
    "names": lambda x: (
        torch.prod(input=x, axis=1, keepdims=True) * torch.softmax(input=x, dim=1, dtype=x.dtype)
    ),
    "names of where": lambda x: torch.where(condition=x > 0, input=x.sin(), other=x**2),
    "renorm": lambda x: x.renorm(2, 0, 0.5),
    "logit": lambda x: torch.logit(torch.sigmoid(x) / 2 + 0.2),
    "complex": lambda x: torch.fft.irfft(torch.fft.rfft(x) ** 2, n=4),
    "nan_to_num": lambda x: torch.nan_to_num(x.sin() / (x * x)) + (x / 0).nan_to_num(1, 2, 3),
    "prelu": lambda x: (
        F.prelu(x, MATRIX[0].to(x)) * x
        + F.prelu(-x, MATRIX[0].to(x)).exp()
        + F.prelu(torch.stack([x, -x], 1), MATRIX[0, :1].to(x)).exp().sum(1)
    ),
    "prelu of channels": lambda x: (
        F.prelu(torch.stack([x, x, -x, -x], 1).unflatten(2, (2, 2)), MATRIX[0].to(x)).exp()
    ).flatten(1),
    "a detached shift": lambda x: own_softmax(x, x.detach().amax(1, keepdim=True)),
    "what is equal": lambda x: x.sin() if torch.equal(x, x) else x,
}


def own_softmax(x, shift):
    exponential = torch.exp(x - shift)
    return exponential / exponential.sum(1, keepdim=True)


@pytest.mark.grid
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rules_of_functions(name):
    layer = stack(["tanh"], False, 2, 2)[:2]
    lift = nn.Linear(12, 4).double()
    decoder = lambda z: torch.cat([z, FUNCTIONS[name](lift(layer(z)))], 1)  # noqa: E731
    z = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)
    expected = curvcore.jet(decoder, z, 3, derivatives="autodiff")
    actual = curvcore.jet(decoder, z, 3, derivatives="fused")
    for one, other in zip(actual.arrays(), expected.arrays(), strict=True):
        assert_close(one, other, scale=1 + other.abs().max(), factor=1e4)


def test_an_affine_part_and_another_are_added():
    """The affine one has no second derivatives, and its first are the same at all points."""
    straight, bent = nn.Linear(2, 4).double(), nn.Linear(2, 4).double()
    z = torch.randn(3, 2, dtype=torch.float64)
    for decoder in (
        lambda z: straight(z) + bent(z).tanh(),
        lambda z: bent(z).tanh() - straight(z),
    ):
        expected = curvcore.jet(decoder, z, 2, derivatives="autodiff")
        actual = curvcore.jet(decoder, z, 2, derivatives="fused")
        for one, other in zip(actual.arrays(), expected.arrays(), strict=True):
            assert_close(one, other, scale=10)


# --- what users' decoders do ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # SELU
@pytest.mark.parametrize("layer", [nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Mish])
def test_activations_in_place(layer):
    first, last = nn.Linear(2, 5).double(), nn.Linear(5, 4).double()
    z = torch.randn(6, 2).double()
    one, other = (
        curvcore.jet(nn.Sequential(first, layer(inplace=flag), last), z, 3, derivatives="fused")
        for flag in (True, False)
    )
    for a, b in zip(one.arrays(), other.arrays(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # where
@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.where(h > 0, h * h, 0.1),
        lambda h: 0.1**h,
        lambda h: h / torch.tensor(7),
        lambda h: np.sqrt(2.0) * h + np.float64(1.5),
        lambda h: F.softplus(h, threshold=0.5),
        lambda h: F.linear(h, torch.ones(4, dtype=h.dtype))[:, None] * h,
    ],
)
def test_constants_keep_the_precision_of_the_decoder(function):
    """torch's default dtype is float32; a float64 decoder's constants must not pass through it."""
    layer, z = nn.Linear(2, 4).double(), torch.randn(5, 2).double()

    def decoder(z):
        return function(torch.sin(layer(z)))

    one, other = (curvcore.jet(decoder, z, 3, derivatives=d) for d in ("fused", "autodiff"))
    for a, b in zip(one.arrays(), other.arrays(), strict=True):
        assert_close(a, b, scale=10 * (1 + b.abs().max()))


def test_division_that_rounds_is_refused():
    decoder = graph(lambda z: torch.div(z, 2.0, rounding_mode="floor"))
    with pytest.raises(MissingRuleError, match="rounding_mode='floor'"):
        curvcore.jet(decoder, torch.rand(3, 2), derivatives="fused")


@pytest.mark.parametrize(
    "number", [float, torch.tensor, partial(torch.tensor, dtype=torch.float64)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rules_may_give_numbers(dtype, number):
    """Tensors of another dtype, too."""

    def twice(x):
        return torch.overrides.handle_torch_function(twice, (x,), x) if is_jet(x) else 2 * x

    @curvcore.rules.elementwise(twice)
    def _(x, y):
        yield number(2.0)
        yield number(0.0)

    layer, z = nn.Linear(2, 4).to(dtype), torch.randn(5, 2, dtype=dtype)
    jet = curvcore.jet(lambda z: twice(layer(z).sin()), z, derivatives="fused")
    expected = curvcore.jet(lambda z: 2 * layer(z).sin(), z, derivatives="fused")
    RULES.pop(twice)
    assert jet.hessian.dtype == dtype
    assert_close(jet.hessian, expected.hessian, scale=4)


def test_geometries_can_be_copied_and_pickled():
    decoder, z = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 9)), torch.randn(5, 2)
    with torch.no_grad():
        geometry = curvcore.pullback(decoder, z)
    for copied in (copy.deepcopy(geometry), pickle.loads(pickle.dumps(geometry))):
        assert torch.equal(copied.scalar, geometry.scalar)


@pytest.mark.parametrize("layer", [nn.Tanh, nn.Sigmoid, nn.SiLU])
def test_second_derivatives_of_curvature_by_every_nesting(layer):
    decoder = nn.Sequential(nn.Linear(2, 6), layer(), nn.Linear(6, 5), layer(), nn.Linear(5, 4))
    decoder, z = decoder.double(), torch.randn(1, 2).double()

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, derivatives="fused", on_degenerate="nan").sum()

    expected = torch.autograd.functional.hessian(scalar, z)
    forward, reverse = torch.func.jacfwd, torch.func.jacrev
    for outer, inner in itertools.product((forward, reverse), repeat=2):
        assert_close(outer(inner(scalar))(z), expected, scale=1e3 * expected.abs().max())
