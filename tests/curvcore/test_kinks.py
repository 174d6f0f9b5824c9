"""Kinks are noticed however they are written, and what has none is left in peace."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from curvcore import PiecewiseLinearWarning, UnsupportedOperationError
from curvcore.providers.jumps import has_jumps
from curvcore.providers.kinks import kinks_of
from curvcore.providers.switches import operations_of
from tests.support.kinks import AWAY, KINKS, SINGULAR_IN_FLOAT32, SMOOTH, Clamped

GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(8, 2, generator=GENERATOR, dtype=torch.float64)
BIAS = torch.randn(8, generator=GENERATOR, dtype=torch.float64) / 2
Z = torch.randn(4, 2, generator=GENERATOR, dtype=torch.float64)


def graph(function):
    """z ↦ (z, |z|²/4, f(W z + b)): no Hessian vanishes everywhere."""

    def decoder(z):
        square = z.square().sum(1, keepdim=True) / 4
        return torch.cat([z, square, function(z @ WEIGHT.to(z).T + BIAS.to(z))], 1)

    return decoder


def warned(decoder, z=Z, **options):
    """The texts of the warnings of kinks."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        curvcore.jet(decoder, z, **options)
    return [str(w.message) for w in seen if w.category is PiecewiseLinearWarning]


def has_forward_mode(function):
    """Whether torch has: 2.6 has none for aminmax."""
    h = torch.rand(3, 8, dtype=torch.float64)
    try:
        torch.func.jvp(function, (h,), (h,))
    except NotImplementedError:
        return False
    return True


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize("function", KINKS.values(), ids=KINKS)
def test_every_way_to_write_a_kink_is_noticed(function, derivatives):
    if not has_forward_mode(function):
        with pytest.raises(UnsupportedOperationError, match="forward AD"):
            curvcore.jet(graph(function), Z, derivatives=derivatives)
        return
    assert len(warned(graph(function), derivatives=derivatives)) == 1


@pytest.mark.grid
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize("function", SMOOTH.values(), ids=SMOOTH)
def test_guards_and_formulas_that_fit_together_are_no_kinks(function, derivatives):
    assert not warned(graph(function), derivatives=derivatives)


@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
def test_a_distance_that_vanishes_is_a_kink(derivatives):
    """Of which torch has no forward mode of its own."""
    decoder = graph(lambda h: torch.cdist(h[..., None], h.new_zeros(1, 1))[..., 0])
    assert "(cdist)" in warned(decoder, derivatives=derivatives)[0]


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
def test_a_kink_in_torchscript_is_noticed(derivatives):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()).double())
    assert "(relu)" in warned(graph(scripted), derivatives=derivatives)[0]


@pytest.mark.parametrize("layer", ["relu", "gelu"])
def test_an_activation_inside_a_fused_layer_of_torch_is_noticed(layer):
    """Outside autograd torch runs the whole layer as one operation."""
    layer_of_torch = nn.TransformerEncoderLayer(4, 2, 8, activation=layer, batch_first=True)
    encoder = layer_of_torch.double().eval().requires_grad_(False)
    decoder = graph(lambda h: encoder(h.reshape(-1, 2, 4)).flatten(1))
    for derivatives in ("auto", "autodiff"):
        assert len(warned(decoder, derivatives=derivatives)) == (layer == "relu")


@pytest.mark.parametrize(
    ("name", "named"),
    [("where", "gt"), ("clip_", "clamp"), ("hardtanh", "hardtanh"), ("sort", "sort"),
     ("selu", "selu"), ("custom operation", "curvcore_tests::positive")],
)  # fmt: skip
def test_the_operation_is_named(name, named):
    assert f"({named}" in warned(graph(KINKS[name]))[0]


def test_a_kink_near_a_single_point_is_noticed():
    """Of a single unit, which does not switch at the point itself."""
    z = torch.ones(1, 2, dtype=torch.float64)
    (message,) = warned(lambda z: torch.cat([z.sin(), (z[:, :1] - 1.1).clamp(min=0)], 1), z)
    assert "clamp" in message


def relu_in_numpy(h):
    return torch.from_numpy(np.maximum(h.detach().numpy(), 0))


def relu_of_a_capsule(h):
    """It shares the memory of h, and torch cannot know."""
    return torch.from_dlpack(torch.utils.dlpack.to_dlpack(h.detach())).clamp(min=0)


def hidden(function):
    """A custom function that is ReLU."""

    class Hidden(Clamped):
        generate_vmap_rule = False
        forward = staticmethod(function)

        @staticmethod
        def vmap(info, in_dims, h):
            return Hidden.apply(h), in_dims[0]

    return Hidden.apply


@pytest.mark.parametrize("function", [relu_in_numpy, relu_of_a_capsule])
def test_a_kink_outside_torch_is_noticed(function):
    relu = hidden(function)
    (message,) = warned(lambda z: relu(z @ WEIGHT.T + BIAS), derivatives="autodiff")
    assert "code outside torch" in message


def test_a_kink_beside_what_torch_sees_is_noticed():
    (message,) = warned(graph(hidden(relu_in_numpy)), derivatives="autodiff")
    assert "code outside torch" in message


def test_a_guard_that_is_met_is_a_kink():
    decoder = graph(lambda h: h.sin().clamp_min(-0.2))
    assert warned(decoder)
    assert not warned(graph(lambda h: h.sin().clamp_min(-1.2)))


@pytest.mark.parametrize("name", ["clamp_min", "where", "times comparison", "masked_fill"])
def test_one_point_is_enough(name):
    """Others near it are looked at."""
    for derivatives in ("auto", "autodiff"):
        assert warned(graph(KINKS[name]), Z[:1], derivatives=derivatives)


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize(
    "name", ["where", "maximum", "sort", "little of it", *sorted(SINGULAR_IN_FLOAT32)]
)
def test_kinks_are_noticed_in_float32(name, derivatives):
    assert warned(graph(KINKS[name]), Z.float(), derivatives=derivatives)


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize("name", SMOOTH)
def test_float32_gives_no_false_alarm(name, derivatives):
    assert not warned(graph(SMOOTH[name]), Z.float(), order=1, derivatives=derivatives)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("function", AWAY.values(), ids=AWAY)
def test_what_keeps_away_from_its_singularities_is_not_measured(function, dtype):
    assert not operations_of(graph(function), Z.to(dtype)).switching


@pytest.mark.parametrize("width", [64, 512])
def test_one_kink_of_many_units_is_noticed(width):
    """Between smooth layers no Hessian vanishes, and one unit is a small part of the whole."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        first, last = nn.Linear(2, width), nn.Sequential(nn.Tanh(), nn.Linear(width, 5))
    unit = torch.arange(width) == 3

    def decoder(z):
        return last(first(z).sin() + unit * torch.where(z[:, :1] > 0.1, z[:, :1] - 0.1, 0))

    assert "(gt)" in warned(decoder, Z.float())[0]


def test_kinks_are_noticed_under_transforms():
    decoder = graph(torch.relu)

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, on_degenerate="nan").sum()

    with pytest.warns(PiecewiseLinearWarning, match=r"\(relu\)"):
        torch.func.grad(scalar)(Z)


@pytest.mark.parametrize(("function", "linear"), [(torch.sin, False), (torch.relu, True)])
def test_where_one_cannot_look_the_numbers_tell(function, linear):
    """A decoder may refuse other points than these."""

    def refusing(z):
        raise ValueError("unknown points")

    with pytest.warns() if linear else warnings.catch_warnings():
        jet = curvcore.jet(lambda z: torch.cat([z, function(z)], 1), Z)
    assert len(kinks_of(refusing, Z, jet, refusing)) == linear


# --- jumps, measured ------------------------------------------------------------------------------


def along(function):
    """z ↦ (z, f(z_1)) with its derivative, for float64 points."""

    def derive(points):
        points = points.clone().requires_grad_()
        value = function(points[:, :1])
        (slope,) = torch.autograd.grad(value.sum(), points)
        eye = torch.eye(2, dtype=points.dtype).expand(len(points), 2, 2)
        return torch.cat([points, value], 1).detach(), torch.cat([eye, slope[:, None]], 1)

    return derive


CORNERS = torch.tensor([[-0.9, 0.3], [1.0, 0.5], [0.4, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("function", "jumps"),
    [
        (torch.sin, False),
        (torch.abs, True),
        (lambda x: x.sin() + 1e-3 * x.abs(), True),
        (lambda x: x + 1e-2 * (x > 0.2), True),
        (lambda x: x * x.abs(), False),
        (lambda x: x.abs() ** 1.5, False),
        (lambda x: torch.sigmoid(1e5 * x), False),
        (lambda x: torch.sin(1e4 * x), False),
        (lambda x: torch.where(x > 0, x.abs().sqrt(), 0 * x), False),
        (lambda x: torch.where(x > 0, x, torch.nan * x), False),
        (lambda x: x * 1e-12 + 1e6 * x.floor().detach(), True),
        (lambda x: x.reciprocal().atan(), True),
        (lambda x: x.square().log(), False),
    ],
)
def test_jumps_are_told_from_what_is_steep_or_singular(function, jumps):
    assert has_jumps(along(function), CORNERS) == jumps


@pytest.mark.slow
@pytest.mark.parametrize("pole", [torch.reciprocal, lambda x: x**-2])
def test_poles_are_no_jumps_wherever_they_lie(pole):
    """Close to a corner of an interval they stay what they are for some halvings."""
    shifts = torch.linspace(-0.8, 0.8, 100, dtype=torch.float64)
    assert not [s for s in shifts if has_jumps(along(lambda x, s=s: pole(x - s)), CORNERS)]


def test_no_line_has_no_jump():
    assert not has_jumps(along(torch.abs), CORNERS[[0, 0]])
