"""Enclosures on boxes: of arithmetic, elementary functions, curvature, and its integrals."""

import math

import flint
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from verification import CertificationError, certify_region
from verification.regions import cells, elementary, intervals, models
from verification.regions.isometric import isometric_factor
from verification.regions.models import TaylorModels
from verification.regions.monomials import monomials
from verification.regions.numbers import Models

D = torch.float64
TORUS = torch.tensor([[0.0, 2 * math.pi], [0.0, 2 * math.pi]], dtype=D)
RATIONAL = np.vectorize(lambda x: flint.fmpq(*x.as_integer_ratio()), otypes=[object])


def torus(z):
    u, v = z.unbind(1)
    width = 2 + torch.cos(v)
    return torch.stack([width * torch.cos(u), width * torch.sin(u), torch.sin(v)], 1)


def sphere(z):
    u, v = z.unbind(1)
    return torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], 1)


def some_models(shape, size, middle, degree=3, d=2, seed=0):
    """Random Taylor models of radius 0, with values near ``middle``."""
    basis, generator = monomials(d, degree), torch.Generator().manual_seed(seed)
    coefficients = torch.randn(len(basis), *shape, dtype=D, generator=generator) * size
    coefficients[0] += middle
    return TaylorModels(basis, coefficients, torch.zeros(shape, dtype=D))


def exactly(model, x, n):
    """The polynomial of entry n of a vector of models at a point, exact to 60 digits."""
    total = flint.arb(0)
    exponents = model.basis.exponents[: len(model.coefficients)].tolist()
    for powers, c in zip(exponents, model.coefficients[:, n].tolist(), strict=True):
        term = flint.arb(c)
        for base, power in zip(x, powers, strict=True):
            term *= flint.arb(base) ** power
        total += term
    return total


def is_enclosed(result, truth, operands, points=20, seed=1):
    """Whether truth(operands at x) is within the radius of ``result``, at random x in the box."""
    generator = torch.Generator().manual_seed(seed)
    d = result.basis.d
    xs = torch.rand(points, d, dtype=D, generator=generator) * 2 - 1
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=D)] * d).reshape(-1, d)
    with flint.ctx.workprec(400):
        for x in torch.cat([xs, corners]).tolist():
            for n in range(len(result)):
                true = truth(*(exactly(operand, x, n) for operand in operands))
                off = abs(true - exactly(result, x, n))
                if not off <= flint.arb(result.radius[n].item()):
                    return False
    return True


OPERATIONS = {
    "sum": (lambda a, b: a + b, lambda a, b: a + b),
    "difference": (lambda a, b: 1 - a - b, lambda a, b: 1 - a - b),
    "product": (lambda a, b: a * b, lambda a, b: a * b),
    "quotient": (lambda a, b: a / b, lambda a, b: a / b),
    "scaled": (lambda a, b: a * 0.1 + b / 3, lambda a, b: a * flint.arb(0.1) + b / 3),
    "power": (lambda a, b: a**5 - b**-2, lambda a, b: a**5 - b**-2),
    "total": (lambda a, b: (a * b)[None].sum(0) + b, lambda a, b: a * b + b),
}


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_arithmetic_is_enclosed(name, degree):
    operation, truth = OPERATIONS[name]
    operands = some_models((4,), 0.02, 1.7, degree), some_models((4,), 0.02, -1.2, degree, seed=2)
    assert is_enclosed(operation(*operands), truth, operands)


def _sigmoid(x):
    return 1 / (1 + (-x).exp())


TRUTHS = {
    name: (lambda x, name=name: getattr(x, name)())
    for name in ("exp", "log", "sqrt", "tanh", "sinh", "cosh", "erf", "erfc", "sin", "cos")
} | {"sigmoid": _sigmoid, "reciprocal": lambda x: 1 / x}


@pytest.mark.parametrize("size", [1e-14, 1e-3, 0.02])
@pytest.mark.parametrize("degree", [0, 2, 4])
@pytest.mark.parametrize("name", elementary.SERIES)
def test_elementary_functions_are_enclosed(name, degree, size):
    operand = some_models((3,), size, torch.tensor([0.6, 1.9, 7.1], dtype=D), degree)
    assert is_enclosed(operand.elementary(name), TRUTHS[name], [operand], points=8)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "sigmoid", "erf"])
def test_functions_of_floats_err_by_less_than_they_say(name):
    """And by little: to 1e-12 of themselves, or of one."""
    x = torch.cat([torch.randn(200, dtype=D) * 3, torch.tensor([0.0, 1e-9, -8, 20, -40, 300.0])])
    x = x.abs()[x != 0] if name in ("log", "sqrt") else x
    constants = TaylorModels.constant(monomials(1, 0), x)
    found = getattr(intervals, name)(constants)
    assert is_enclosed(found, TRUTHS[name], [constants], points=1)
    assert (found.radius <= 1e-12 * found.middle.abs().clamp(min=1)).all()


@pytest.mark.parametrize("name", ["reciprocal", "log", "sqrt"])
def test_out_of_the_domain_nothing_is_said(name):
    around = some_models((2,), 0.02, torch.tensor([0.01, 3.0], dtype=D))
    assert around.elementary(name).is_finite().tolist() == [False, True]


def test_sums_that_cancel():
    numbers = TaylorModels.constant(monomials(1, 0), [1e16, 1.0, -1e16, 1.0])
    total = numbers.sum()
    assert abs(total.middle.item() - 2) <= total.radius.item() <= 100


@pytest.mark.parametrize("equation", ["ai,aj->ij", "...ak,...aij->...kij", "ia,a->i"])
def test_contractions_are_enclosed(equation):
    """Against rational arithmetic: all terms of a sum nearly cancel."""
    left, right = equation.split("->")[0].split(",")
    size = {"a": 40, "i": 2, "j": 2, "k": 2}
    arrays = []
    for letters, seed in ((left, 3), (right, 4)):
        shape = [size[letter] for letter in letters.replace("...", "")]
        generator = torch.Generator().manual_seed(seed)
        arrays.append(torch.randn(shape, dtype=D, generator=generator) * 1e8)
    found = np.einsum(equation, *(TaylorModels.constant(monomials(1, 0), x) for x in arrays))
    exact = [RATIONAL(x.numpy()) for x in arrays]
    truth = np.einsum(equation, *exact)
    for index in np.ndindex(*found.shape):
        off = abs(flint.arb(truth[index]) - flint.arb(found.middle[index].item()))
        assert off <= flint.arb(found.radius[index].item())


def test_the_factor_of_a_last_layer_has_its_inner_products():
    weight = torch.randn(30, 6, dtype=D, generator=torch.Generator().manual_seed(0))
    factor = isometric_factor(weight, monomials(2, 0))
    products = np.einsum("ai,aj->ij", factor, factor)
    truth = np.einsum("ai,aj->ij", *[RATIONAL(weight.numpy())] * 2)
    assert factor.radius.max() < 1e-12
    for index in np.ndindex(6, 6):
        off = abs(flint.arb(truth[index]) - flint.arb(products.middle[index].item()))
        assert off <= flint.arb(products.radius[index].item())
    dependent = torch.cat([weight, weight[:, :1]], 1)
    assert isometric_factor(dependent, monomials(2, 0)) is None
    assert isometric_factor(weight[:6], monomials(2, 0)) is None


@pytest.mark.parametrize("radii", [(0.0, 0.3), (0.3, 0.0), (0.2, 0.1)])
@pytest.mark.parametrize("name", [*OPERATIONS, "where"])
def test_what_operands_are_off_by_is_carried_on(name, radii):
    """Of operands that are off by all of their radius, either way."""
    numbers = Models(monomials(2, 2))
    unknown = TaylorModels(
        numbers.basis, torch.full((1, 4), 0.5, dtype=D), torch.full((4,), 0.5, dtype=D)
    )
    chosen = {"where": lambda a, b: numbers.where(unknown, a, b)} | {
        key: operation for key, (operation, _) in OPERATIONS.items()
    }
    exact = some_models((4,), 0.02, 1.7, 2), some_models((4,), 0.02, -1.2, 2, seed=2)
    wide = [
        TaylorModels(x.basis, x.coefficients, torch.full((4,), radius, dtype=D))
        for x, radius in zip(exact, radii, strict=True)
    ]
    result = chosen[name](*wide)
    truths = OPERATIONS[name][1:] if name in OPERATIONS else (lambda a, b: a, lambda a, b: b)
    for one, other in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        shifts = [flint.arb(sign * r) for sign, r in zip((one, other), radii, strict=True)]
        for truth in truths:
            moved = lambda a, b: truth(a + shifts[0], b + shifts[1])  # noqa: B023, E731
            assert is_enclosed(result, moved, exact, points=5)


def test_angles_beyond_reach():
    for function in ("sin", "cos"):
        found = TaylorModels.constant(monomials(1, 0), [1e18, -3e7]).elementary(function)
        low, high = found.bounds()
        assert (low <= -1).all()
        assert (high >= 1).all()
        assert (high - low < 3).all()


def test_writing_reaches_what_it_is_a_view_of():
    numbers = Models(monomials(2, 2))
    whole, part = numbers.full((2, 3), 0), some_models((3,), 0.1, 1.0, 2)
    whole[0][...] = part
    assert torch.equal(whole.coefficients[:, 0], part.coefficients)
    with pytest.raises(ValueError, match="cannot be written to a constant"):
        TaylorModels.constant(monomials(2, 2), torch.zeros(3))[...] = part
    weight = torch.ones(3, dtype=D)
    TaylorModels.constant(monomials(2, 2), weight)[0] = 7.0
    assert weight.tolist() == [1, 1, 1]


@pytest.mark.parametrize("letters", ["iij->", "iijk->kj"])
def test_contractions_that_are_not_known(letters):
    x = some_models((2,) * (letters.index("-")), 0.1, 1.0, 2)
    with pytest.raises(NotImplementedError):
        np.einsum(letters, x)


def test_contractions_of_shapes_that_do_not_fit():
    one, other = some_models((3, 2), 0.1, 1.0), some_models((1, 2), 0.1, 1.0)
    with pytest.raises(ValueError, match="shapes"):
        np.einsum("ai,aj->ij", one, other)


# --- each bound is needed -------------------------------------------------------------------------


def _without_rounding(monkeypatch):
    monkeypatch.setattr(models, "U", 0.0)
    monkeypatch.setattr(models, "up", lambda radius, terms: radius)


def _without_excess(monkeypatch):
    truncated = TaylorModels._truncated
    monkeypatch.setattr(
        TaylorModels, "_truncated", lambda self, *args: (truncated(self, *args)[0], 0)
    )


@pytest.mark.parametrize(("broken", "degree"), [(_without_rounding, 0), (_without_excess, 3)])
def test_what_is_left_out_is_noticed(broken, degree, monkeypatch):
    operands = some_models((4,), 0.05, 1.7, degree), some_models((4,), 0.05, -1.2, degree, seed=2)
    broken(monkeypatch)
    assert not is_enclosed(operands[0] * operands[1], lambda a, b: a * b, operands)


@pytest.mark.parametrize("name", elementary.SERIES)
def test_a_lost_remainder_is_noticed(name, monkeypatch):
    """Of models of degree one, of which nothing else is left out."""
    operand = some_models((3,), 0.05, 1.9, degree=1)
    monkeypatch.setattr(TaylorModels, "spread", lambda self: 0 * self.radius)
    assert not is_enclosed(operand.elementary(name), TRUTHS[name], [operand], points=8)


# --- decoders -------------------------------------------------------------------------------------


def network(activation, d=2, norm=False):
    torch.manual_seed(3)
    layers = [nn.Linear(d, 8), activation(), nn.Linear(8, 8)]
    layers += [nn.LayerNorm(8)] * norm
    return nn.Sequential(*layers, activation(), nn.Linear(8, 12)).to(D)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


DECODERS = {
    "tanh": lambda: network(nn.Tanh),
    "silu": lambda: network(nn.SiLU),
    "gelu": lambda: network(nn.GELU),
    "softplus": lambda: network(nn.Softplus),
    "sigmoid outputs": lambda: nn.Sequential(network(nn.Tanh), nn.Sigmoid()),
    "sine": lambda: network(Sine),
    "layer norm": lambda: network(nn.Tanh, norm=True),
    "d = 1": lambda: network(nn.Tanh, d=1),
    "d = 3": lambda: network(nn.Tanh, d=3),
    "float32": lambda: network(nn.SiLU).float(),
}


@pytest.mark.parametrize("name", DECODERS)
def test_curvature_on_boxes_holds_that_of_points(name):
    """Of dense samples of each box, R and √det g, beside what rounding does to them."""
    decoder = DECODERS[name]().double()
    d = int(name[-1]) if name.startswith("d =") else 2
    box = torch.tensor([[-0.1, 0.1] if d == 3 else [-0.3, 0.4]] * d, dtype=D)
    found = cells.examined(decoder, box, 3, *cells.whole(d, 64))
    assert found.are_regular.all()
    generator = torch.Generator().manual_seed(0)
    for n in range(0, len(found), 7):
        inside = torch.rand(40, d, dtype=D, generator=generator) * 2 - 1
        x = torch.from_numpy(found.centres[n]) + torch.from_numpy(found.halves[n]) * inside
        z = box.mean(1) + (box[:, 1] - box[:, 0]) / 2 * x
        geometry = curvcore.pullback(decoder, z)
        for bounds, values, slack in (
            (found.scalar[n], geometry.scalar, 100 * geometry.scalar_error + 1e-14),
            (found.density[n], geometry.volume_density, 1e-12 * geometry.volume_density),
        ):
            assert (bounds[0] <= values + slack).all()
            assert (values - slack <= bounds[1]).all()


def _tokens(z):
    """A last linear layer of width one, on tokens."""
    tokens = torch.stack([z[:, 0], z[:, 0].sin(), z[:, 0] ** 2], 1)[:, :, None]
    return F.linear(tokens, torch.tensor([[1.5], [-0.3], [0.8]], dtype=D))


def _constants(z):
    """Twice z, by a product of constants that floats would cancel."""
    ones, large = torch.ones(1, 3, dtype=D), torch.tensor([[1.0, 1e16, -1e16]], dtype=D)
    zero = torch.ones(1, dtype=D) * 2
    return z.sin() * (1 + F.linear(large, ones, zero - zero)[0])


def test_a_last_layer_on_tokens():
    box = torch.tensor([[0.5, 0.6]], dtype=D)
    low, high = certify_region(_tokens, box, goal="volume", seconds=5).volume_density
    z = torch.linspace(0.5, 0.6, 50, dtype=D)[:, None]
    known = curvcore.pullback(_tokens, z).volume_density
    assert low <= known.min() <= known.max() <= high
    assert high < 1.1 * low


def test_nothing_of_constants_is_rounded():
    """What torch makes of them is half of what they are; intervals cannot tell, and say so."""
    box = torch.tensor([[0.5, 0.6]], dtype=D)
    low, high = certify_region(_constants, box, goal="volume", seconds=0).volume_density
    assert low < 2 * math.cos(0.6) < 2 * math.cos(0.5) < high


def test_a_torus():
    """Closed forms, and Gauss and Bonnet's theorem: ∫R dμ = 0 but for what 2π is rounded by."""
    region = certify_region(torus, TORUS, relative=1e-3)
    assert region.reached
    assert region.is_immersion
    low, high = region.total_squared_curvature
    assert low < 48.85865966204012 < high < low + 2e-3 * 48.9
    low, high = region.volume
    assert low < 8 * math.pi**2 < high
    low, high = region.total_curvature
    assert low < 0 < high < 4 * math.pi  # of a sphere it would be 8π
    assert region.volume_density[0] > 0.9


def test_bounds_of_curvature_close_in():
    region = certify_region(torus, TORUS, goal="scalar", relative=3e-3)
    low, high = region.scalar
    assert -2.01 < low < -2
    assert 2 / 3 < high < 2 / 3 + 0.01


def test_a_piece_of_a_sphere():
    box = torch.tensor([[0.5, 1.0], [0.0, 1.0]], dtype=D)
    region = certify_region(sphere, box, goal="volume", relative=1e-6)
    area = math.cos(0.5) - math.cos(1.0)
    assert region.volume[0] < area < region.volume[1] < region.volume[0] * (1 + 3e-6)
    assert region.scalar[0] < 2 < region.scalar[1]
    assert region.total_squared_curvature[0] < 4 * area < region.total_squared_curvature[1]


def test_a_degenerate_point_is_found():
    def folded(z):
        return torch.stack([z[:, 0], z[:, 0] * z[:, 1], z[:, 1] ** 2], 1)

    box = torch.tensor([[-0.7, 1.0], [-0.9, 1.0]], dtype=D)
    region = certify_region(folded, box, goal="immersion", seconds=3)
    assert not region.is_immersion
    assert not region.reached
    assert region.scalar == (-math.inf, math.inf)
    holds = (region.doubtful[..., 0] <= 0) & (region.doubtful[..., 1] >= 0)
    assert holds.all(1).any()
    assert region.doubtful.abs().amax() < 0.1


def test_work_goes_on_from_a_file(tmp_path):
    file = tmp_path / "torus.npz"
    first = certify_region(torus, TORUS, relative=1e-3, seconds=0, state=file)
    assert not first.reached
    assert first.examined == first.boxes == 64
    second = certify_region(torus, TORUS, relative=1e-3, state=file)
    whole = certify_region(torus, TORUS, relative=1e-3)
    assert second.total_squared_curvature == whole.total_squared_curvature
    assert second.examined == whole.examined
    third = certify_region(torus, TORUS, relative=1e-3, seconds=0, state=file)
    assert third.reached
    assert third.examined == second.examined

    def wavy(z):
        """Which is the torus at the middle and the ends of the box."""
        return torus(z) + 0.1 * torch.sin(z[:, :1]) ** 2

    for other in (lambda z: 2 * torus(z), wavy):
        with pytest.raises(CertificationError, match="another decoder"):
            certify_region(other, TORUS, state=file)
    file.write_text("nothing")
    with pytest.raises(CertificationError, match="is not a state"):
        certify_region(torus, TORUS, state=file)


@pytest.mark.slow
def test_processes_find_the_same():
    decoder, box = network(nn.Tanh), torch.tensor([[-1.0, 1.0]] * 2, dtype=D)
    one, two = (certify_region(decoder, box, goal="volume", jobs=jobs) for jobs in (1, 2))
    assert one.volume == two.volume


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": torch.ones(2)}, r"must be \(d, 2\)"),
        ({"box": TORUS.flip(1)}, "low < high"),
        ({"goal": "area"}, "goal must be one of volume"),
        ({"relative": 2}, "relative must be"),
        ({"degree": 0}, "degree must be"),
        ({"jobs": 2, "decoder": lambda z: torus(z)}, "jobs=2 takes a decoder that can be pickled"),
        ({"decoder": lambda z: torch.special.i0(z)}, "no exact version of"),
        ({"decoder": curvcore.bind(torus, ambient=lambda x: x)}, "Euclidean space"),
    ],
)
def test_errors(change, message):
    arguments = {"decoder": torus, "box": TORUS, **change}
    with pytest.raises(curvcore.CurvatureError, match=message):
        certify_region(**arguments)


# --- python -m verification.regions ---------------------------------------------------------------


def command(*arguments):
    from typer.testing import CliRunner

    from verification.regions.command import app

    return CliRunner().invoke(app, [*arguments, "--jobs", "1"], env={"COLUMNS": "200"})


@pytest.fixture
def of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_bowl.py").write_text(
        "import torch\n\ndef build():\n"
        "    return lambda z: torch.cat([z, (z * z).sum(1, keepdim=True)], 1)\n"
    )
    np.save("points.npy", np.array([[0.0, -1.0], [1.0, 1.0]]))
    return "--decoder", "my_bowl:build", "--points", "points.npy"


def test_ones_own_decoder(of_ones_own):
    result = command(*of_ones_own, "--goal", "scalar")
    assert result.exit_code == 0, result.output
    assert "my_bowl:build" in result.output
    assert "to 8." in result.output  # R = 8/(1 + 4|z|²)²


def test_a_goal_that_is_not_reached(of_ones_own):
    result = command(*of_ones_own, "--relative", "1e-9", "--seconds", "0")
    assert result.exit_code == 1
    assert "Not all goals were reached" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--decoder", "my_bowl:build"), "go together"), (("--goal", "area"), "goal must be one of")],
)
def test_bad_usage(of_ones_own, arguments, message):
    result = command(*(of_ones_own if arguments[0] == "--goal" else ()), *arguments)
    assert result.exit_code == 2
    assert message in result.output
