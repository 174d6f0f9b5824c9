"""The fused provider: rules, the registration of new ones, the fall back, the Gram short cut."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import curvcore
from curvcore.providers.fused import JetTensor, MissingRuleError, fused_jet
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import is_jet
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


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_to_third_order(name):
    decoder = stack(["tanh", name, "sigmoid"], False, 2, 1)
    z = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)
    expected = curvcore.jet(decoder, z, 3, derivatives="autodiff").third
    actual = curvcore.jet(decoder, z, 3, derivatives="fused").third
    assert_close(actual, expected, scale=1 + expected.abs().max(), factor=1e4)


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
    "product": lambda x: x.prod(1, keepdim=True),
    "logit": lambda x: torch.logit(torch.sigmoid(x) / 2 + 0.2),
    "complex": lambda x: torch.fft.irfft(torch.fft.rfft(x) ** 2, n=4),
}


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


# --- rules of one's own, and none -----------------------------------------------------------------


def custom(x):
    if torch.overrides.has_torch_function_unary(x):
        return torch.overrides.handle_torch_function(custom, (x,), x)
    return x.sin()


@pytest.fixture
def registered():
    @curvcore.rules.elementwise(custom)
    def _(x, y):
        yield torch.cos(x)
        yield -y
        yield -torch.cos(x)

    yield
    del RULES[custom]


def graph(function):
    return lambda z: torch.cat([z, function(z)], 1)


def test_a_registered_rule_is_used(registered):
    z = torch.rand(3, 2, dtype=torch.float64)
    actual = curvcore.jet(graph(custom), z, 3, derivatives="fused")
    expected = curvcore.jet(graph(torch.sin), z, 3, derivatives="fused")
    assert_close(actual.third, expected.third)


def test_a_wrong_rule_is_found_out():
    @curvcore.rules.elementwise(custom)
    def _(x, y):
        yield torch.cos(x)
        yield y
        yield y

    try:
        with pytest.raises(curvcore.UnsupportedOperationError, match="differ"):
            curvcore.jet(graph(custom), torch.rand(3, 2), 2, derivatives="fused")
    finally:
        del RULES[custom]


def test_an_unknown_operation_is_named_with_the_way_out():
    with pytest.raises(MissingRuleError, match=r"no rule for .*bessel_j0.*curvcore\.rules"):
        curvcore.jet(graph(torch.special.bessel_j0), torch.rand(3, 2), derivatives="fused")


def test_auto_falls_back_with_a_warning():
    decoder = graph(lambda z: torch.linalg.inv(torch.eye(2) * 3 + z[:, None])[:, 0])
    z = torch.rand(3, 2)
    with pytest.warns(curvcore.FallbackWarning, match=r"no rule for .*inv.*slower") as seen:
        scalar = curvcore.scalar_curvature(decoder, z)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert torch.equal(scalar, curvcore.scalar_curvature(decoder, z, derivatives="autodiff"))


@pytest.mark.parametrize("layer", [nn.Hardtanh, nn.ReLU6, nn.Hardswish])
def test_piecewise_linear_activations_are_refused_with_the_reason(layer):
    decoder = nn.Sequential(nn.Linear(2, 4), layer(), nn.Linear(4, 3))
    with pytest.raises(MissingRuleError, match=r"piecewise linear.*smooth activation"):
        curvcore.jet(decoder, torch.rand(3, 2), derivatives="fused")


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


def test_a_last_layer_of_low_rank_goes_without_the_short_cut():
    decoder, z = short_cut_decoder()
    decoder[2].weight.data[:, 3:] = 0
    assert fused_jet(decoder, z, 2).isometric_derivatives().ambient_dimension == 200
    geometry = curvcore.PullbackGeometry(curvcore.jet(decoder, z))
    assert_close(curvcore.scalar_curvature(decoder, z), geometry.scalar)


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


def test_einsum_of_too_many_jets_says_what_to_do():
    decoder = graph(lambda z: torch.einsum("bi,bi,bi->bi", z, z.sin(), z.cos()))
    with pytest.raises(MissingRuleError, match=r"at most two operands.*has 3\. Split it"):
        curvcore.jet(decoder, torch.rand(3, 2), derivatives="fused")


# --- what users' decoders do ----------------------------------------------------------------------


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


def test_rules_may_give_numbers():
    def twice(x):
        return torch.overrides.handle_torch_function(twice, (x,), x) if is_jet(x) else 2 * x

    @curvcore.rules.elementwise(twice)
    def _(x, y):
        yield 2
        yield torch.tensor(0.0)

    layer, z = nn.Linear(2, 4), torch.randn(5, 2)
    jet = curvcore.jet(lambda z: torch.sin(twice(layer(z))), z, derivatives="fused")
    expected = curvcore.jet(lambda z: torch.sin(2 * layer(z)), z, derivatives="fused")
    assert_close(jet.hessian, expected.hessian, scale=4)
    RULES.pop(twice)


def test_geometries_can_be_copied_and_pickled():
    decoder, z = short_cut_decoder()
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
