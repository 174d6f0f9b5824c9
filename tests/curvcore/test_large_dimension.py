"""R at large d: every way to it against the table of products of pairs, and what it costs."""

from itertools import pairwise

import pytest
import torch
from torch import nn

import curvcore
from curvcore import large_dimension
from curvcore.formulas import Formulas
from curvcore.hidden_units import cost_of_units
from curvcore.providers.fused.recorder import recorded_stack

EPS = torch.finfo(torch.float64).eps
# Every way loses some hundred eps to the jet, times the condition of g, here below 100.
TOLERANCE = 2e4 * EPS


class Skip(nn.Module):
    """A decoder that is no stack of layers."""

    def __init__(self, inner, d, ambient):
        super().__init__()
        self.inner, self.beside = inner, nn.Linear(d, ambient)

    def forward(self, z):
        return self.inner(z) + self.beside(z)


class Squared(nn.Module):
    """Degenerate where the last coordinate vanishes."""

    def forward(self, z):
        return torch.cat([z[:, :-1], z[:, -1:] ** 2], 1)


def stack(d, *widths, ambient, activation=nn.SiLU):
    torch.manual_seed(d)
    sizes = [d, *widths]
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], ambient)).double()


def points(d, count=4):
    return torch.randn(count, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_table(decoder, z):
    """R as at small d, through all ⟨II_ij, II_kl⟩."""
    jet = curvcore.jet(decoder, z, derivatives="autodiff")
    return Formulas(jet.derivatives(), "gauss").scalar


def assert_equal(found, expected, tolerance=TOLERANCE):
    assert (found - expected).norm() <= tolerance * expected.norm()


STACKS = {
    "one layer": lambda: stack(10, 24, ambient=20),
    "two layers": lambda: stack(10, 20, 24, ambient=40, activation=nn.Tanh),
    "three layers": lambda: stack(9, 16, 22, 18, ambient=15, activation=nn.Softplus),
    "no last layer": lambda: stack(9, 16, ambient=20).append(nn.Sigmoid()),
    "images": lambda: stack(9, 16, ambient=24).append(nn.Unflatten(1, (2, 3, 4))),
}
OTHERS = {
    "a skip": lambda: Skip(stack(10, 20, 24, ambient=40), 10, 40).double(),
    "layer norm": lambda: stack(9, 16, 16, ambient=20).insert(1, nn.LayerNorm(16).double()),
}


@pytest.mark.parametrize("name", STACKS)
def test_moments_of_hidden_units(name, monkeypatch):
    monkeypatch.setattr(large_dimension, "cost_of_units", lambda *sizes: 0)
    monkeypatch.setattr(large_dimension, "_by_frame", None)  # not asked
    decoder = STACKS[name]()
    z = points(decoder[0].in_features)
    assert_equal(curvcore.scalar_curvature(decoder, z), by_table(decoder, z))


@pytest.mark.grid
@pytest.mark.parametrize("name", [*STACKS, *OTHERS])
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_along_a_frame(name, derivatives, monkeypatch):
    monkeypatch.setattr(large_dimension, "cost_of_units", lambda *sizes: float("inf"))
    decoder = (STACKS | OTHERS)[name]()
    z = points(next(decoder.parameters()).shape[1])
    found = curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
    assert_equal(found, by_table(decoder, z))


@pytest.mark.parametrize("block_size", [3, 10, 30, 10**6])
def test_blocks_of_pairs(block_size):
    decoder = OTHERS["a skip"]()
    z = points(10)
    found = curvcore.scalar_curvature(decoder, z, block_size=block_size)
    assert_equal(found, by_table(decoder, z))


def test_blocks_at_small_d():
    decoder = stack(2, 16, ambient=5)
    z = points(2)
    found = curvcore.scalar_curvature(decoder, z, block_size=3)
    assert_equal(found, curvcore.scalar_curvature(decoder, z))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["units", "frame", "blocks"])
def test_pieces_give_the_same(way, monkeypatch):
    """Of points and of moments: what each holds does not depend on the others."""
    options = {"block_size": 10} if way == "blocks" else {}
    decoder = STACKS["two layers"]() if way == "units" else OTHERS["a skip"]()
    z = points(10, 7)
    whole = curvcore.scalar_curvature(decoder, z, **options)
    for size in (2, 3):
        pieces = curvcore.scalar_curvature(decoder, z, chunk_size=size, **options)
        assert_equal(pieces, whole)
    monkeypatch.setattr(large_dimension, "_DERIVATIVES_AT_ONCE", 1)
    monkeypatch.setattr(large_dimension, "_MOMENTS_AT_ONCE", 1)
    assert_equal(curvcore.scalar_curvature(decoder, z, **options), whole)


@pytest.mark.grid
@pytest.mark.parametrize("name", ["two layers", "three layers", "no last layer", "a skip"])
@pytest.mark.parametrize("options", [{}, {"block_size": 12}])
def test_gradients(name, options):
    """First ones in points and parameters; second ones in points."""
    decoder = (STACKS | OTHERS)[name]()
    z = points(next(decoder.parameters()).shape[1], 2).requires_grad_()
    # The last bias moves the image as a whole.
    parameters = [p for p in decoder.parameters() if p.ndim == 2]
    found, expected = (
        torch.autograd.grad(scalar.square().sum(), [z, *parameters])
        for scalar in (curvcore.scalar_curvature(decoder, z, **options), by_table(decoder, z))
    )
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other, 100 * TOLERANCE)
    found, expected = (
        torch.autograd.functional.hessian(lambda z, f=f: f(decoder, z).sum(), z[:1].detach())
        for f in (lambda *a: curvcore.scalar_curvature(*a, **options), by_table)
    )
    assert_equal(found, expected, 1e4 * TOLERANCE)


def test_geometry_without_the_table():
    """``pullback(...).scalar`` goes by sums too, and agrees with the Riemann tensor."""
    decoder = OTHERS["a skip"]()
    geometry = curvcore.pullback(decoder, points(10))
    scalar = geometry.scalar
    assert "_in_frame" not in {name for name, _ in geometry._cache}
    inverse = geometry.inverse_metric
    contracted = torch.einsum("bik,bjl,bijkl->b", inverse, inverse, geometry.riemann)
    assert_equal(scalar, contracted)


@pytest.mark.parametrize("fill", ["raise", "nan", "flat"])
def test_ricci_and_planes_without_the_table(fill):
    decoder, z = OTHERS["a skip"](), points(10)
    geometry = curvcore.pullback(decoder, z, on_degenerate=fill)
    u, v = points(10), points(10).flip(0)
    ricci, sectional = geometry.ricci, geometry.sectional(u, v)
    assert "_in_frame" not in {name for name, _ in geometry._cache}
    inverse, riemann = geometry.inverse_metric, geometry.riemann
    assert_equal(ricci, torch.einsum("bik,bijkl->bjl", inverse, riemann))
    numerator = torch.einsum("bijkl,bi,bj,bk,bl->b", riemann, u, v, u, v)
    products = [
        torch.einsum("bij,bi,bj->b", geometry.metric, a, b) for a, b in ((u, u), (v, v), (u, v))
    ]
    area_squared = products[0] * products[1] - products[2] ** 2
    assert_equal(sectional, numerator / area_squared)
    assert geometry.sectional(u, 2 * u).isnan().all()
    assert_equal(geometry.sectional(1e200 * u[0], v[0])[:1], geometry.sectional(u[0], v[0])[:1])


def test_ricci_at_degenerate_points():
    inner, z = stack(10, 20, ambient=40), points(10).abs() + 0.5
    z[1, 8] = 0

    def decoder(z):
        return inner(torch.cat([z[:, :8], z[:, 8:] ** 2], 1))

    u, v = points(10), points(10).flip(0)
    for fill, value in (("nan", torch.isnan), ("flat", lambda x: x == 0)):
        geometry = curvcore.pullback(decoder, z, on_degenerate=fill)
        for found in (geometry.ricci, geometry.sectional(u, v)):
            is_filled = value(found).flatten(1).all(1) if found.ndim > 1 else value(found)
            assert is_filled.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", [*STACKS, *OTHERS])
def test_what_is_a_stack(name):
    decoder = (STACKS | OTHERS)[name]()
    z = points(next(decoder.parameters()).shape[1])
    found = recorded_stack(decoder, z)
    assert (found is None) == (name in OTHERS)
    if found is not None:
        assert_equal(found.value(z), decoder(z).flatten(1))


def test_a_stack_whose_forward_hides_something_is_none():
    """A forward hook that scales, a switch that a Recorder does not see."""
    decoder = stack(10, 20, ambient=30)
    z = points(10)
    with decoder[2].register_forward_hook(lambda module, inputs, output: output.detach() * 2):
        assert recorded_stack(decoder, z) is None

    class Switching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = decoder

        def forward(self, z):
            y = self.inner(z)
            return y * 3 if isinstance(z, torch.Tensor) else y

    assert recorded_stack(Switching(), z) is None


def test_moments_are_taken_where_they_pay():
    widths = [256, 256]
    costs = [large_dimension._cost_of_frame(d, widths, 784) for d in (10, 64)]
    assert costs[0] < cost_of_units(10, widths) < cost_of_units(64, widths) < costs[1]


@pytest.mark.parametrize("block_size", [None, 10])
def test_degenerate_points(block_size):
    """z ↦ Ψ(z_1, …, z_8, z_9², z_10²) has no metric where z_9 = 0."""
    inner = stack(10, 20, ambient=40)

    def decoder(z):
        return inner(torch.cat([z[:, :8], z[:, 8:] ** 2], 1))

    z = points(10).abs() + 0.5
    z[1, 8] = 0
    with pytest.raises(curvcore.DegenerateMetricError) as error:
        curvcore.scalar_curvature(decoder, z, block_size=block_size)
    assert error.value.points.tolist() == [1]
    masked = curvcore.scalar_curvature(decoder, z, block_size=block_size, on_degenerate="nan")
    assert masked.isnan().tolist() == [False, True, False, False]
    flat = curvcore.scalar_curvature(decoder, z, block_size=block_size, on_degenerate="flat")
    regular = torch.tensor([0, 2, 3])
    assert flat[1] == 0
    assert_equal(flat[regular], by_table(decoder, z[regular]))
    weight = inner[0].weight
    gradient = torch.autograd.grad(flat.sum(), weight)[0]
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 2}, "from 3 on; got 2"),
        ({"block_size": 4.0}, "integer from 3 on; got 4.0"),
        ({"block_size": True}, "got True"),
        ({"block_size": 9, "formula": "intrinsic"}, "needs formula='gauss'"),
    ],
)
def test_bad_block_sizes(options, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.scalar_curvature(stack(3, 8, ambient=6), points(3), **options)


def test_block_size_is_not_passed_over():
    decoder, z = stack(10, 20, ambient=30).bfloat16(), points(10).bfloat16()
    with pytest.raises(curvcore.InputError, match=r"float32 or float64.*bfloat16"):
        curvcore.scalar_curvature(decoder, z, block_size=9)


def estimated(decoder, z, **options):
    generator = torch.Generator().manual_seed(0)
    return curvcore.estimated_geometry(
        decoder, z, curvcore.Hutchinson(4, generator=generator), **options
    ).scalar


WAYS = {
    "units": curvcore.scalar_curvature,
    "frame": lambda decoder, z, **o: curvcore.scalar_curvature(lambda x: decoder(x) * 1, z, **o),
    "geometry": lambda *arguments, **options: curvcore.pullback(*arguments, **options).scalar,
    "estimate": estimated,
}


@pytest.mark.grid
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("unit", [10.0**k for k in range(-24, 25, 4)])
def test_units_in_float32_are_right_or_refused(way, unit):
    """R of unit·Ψ is R/unit², unless lengths, or R, leave the range of float32."""
    decoder, z = stack(10, 20, ambient=40).float(), points(10).float()
    expected = WAYS[way](decoder, z).detach().double() / unit**2
    if way != "estimate":
        assert_equal(expected * unit**2, by_table(decoder.double(), z.double()), 1e-3)
    decoder.float()[2].weight.data *= unit
    decoder[2].bias.data *= unit
    found = WAYS[way](decoder, z, on_degenerate="nan").double()
    if not found.isnan().any():
        assert_equal(found, expected, 1e-3)
    assert found.isnan().any() == (not 1e-17 < unit < 1e17)


@pytest.mark.parametrize("fill", ["nan", "flat"])
def test_volume_and_inverse_without_tables(fill):
    decoder, z = stack(10, 20, ambient=30), points(10)
    z[1, 9] = 0
    decoder = nn.Sequential(Squared(), decoder)
    options = {"derivatives": "autodiff", "on_degenerate": fill}
    geometry = curvcore.pullback(decoder, z, **options)
    first = curvcore.pullback(decoder, z, order=1, **options)
    for name in ("inverse_metric", "log_volume_density", "volume_density"):
        one, other = getattr(geometry, name), getattr(first, name)
        assert torch.allclose(one, other, rtol=1e-11, equal_nan=True), name


@pytest.mark.parametrize("bad", ["nan", "shape", "dtype"])
def test_bad_points(bad):
    decoder, z = stack(10, 20, ambient=30), points(10)
    z = {"nan": z * torch.nan, "shape": z[0], "dtype": z.float()}[bad]
    with pytest.raises(curvcore.CurvatureError):
        curvcore.scalar_curvature(decoder, z)


def test_kinks_are_told():
    decoder = stack(10, 20, ambient=30, activation=nn.ReLU)
    with pytest.warns(curvcore.PiecewiseLinearWarning):
        curvcore.scalar_curvature(decoder, points(10), on_degenerate="nan")


def test_a_wrong_rule_is_seen():
    """Layers that are recorded go by rules, which are compared with torch's derivatives."""
    rules = curvcore.rules
    before = rules.RULES[torch.nn.functional.softsign]
    try:

        @rules.elementwise(torch.nn.functional.softsign, closed=True)
        def _(x, y):
            yield 1 / (1 + x.abs())
            yield -x.sign() / (1 + x.abs()) ** 2
            yield x * 0

        decoder = stack(40, 20, ambient=60, activation=nn.Softsign)
        with pytest.raises(curvcore.UnsupportedOperationError):
            curvcore.scalar_curvature(decoder, points(40), on_degenerate="nan")
    finally:
        rules.RULES[torch.nn.functional.softsign] = before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_by_the_formulas(dtype):
    """No frame can be had there; nothing is an error, little of R is right."""
    decoder = stack(9, 12, ambient=20).to(dtype)
    found = curvcore.pullback(decoder, points(9).to(dtype), on_degenerate="nan")
    assert found.scalar.dtype == found.ricci.dtype == found.log_volume_density.dtype == dtype
