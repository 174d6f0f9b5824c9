"""Taylor models enclose what they stand for: arithmetic, elementary functions, contractions."""

import flint
import numpy as np
import pytest
import torch

from curvcore.errors import UnsupportedOperationError
from verification.regions import elementary, intervals, models
from verification.regions.isometric import isometric_factor
from verification.regions.models import TaylorModels
from verification.regions.monomials import monomials
from verification.regions.numbers import Models

D = torch.float64
RATIONAL = np.vectorize(lambda x: flint.fmpq(*x.as_integer_ratio()), otypes=[object])


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


@pytest.mark.parametrize("letters", ["iij->", "ii->i", "iijj->"])
def test_contractions_that_are_not_known(letters):
    x = some_models((2,) * (letters.index("-")), 0.1, 1.0, 2)
    with pytest.raises(UnsupportedOperationError, match="no einsum"):
        np.einsum(letters, x)


def test_a_trace_with_axes_in_another_order():
    x = some_models((2, 2, 3, 4), 0.1, 1.0, 2)
    found = np.einsum("iijk->kj", x)
    truth = torch.einsum("Ziijk->Zkj", x.coefficients)
    assert found.shape == (4, 3)
    assert ((found.coefficients - truth).abs().sum(0) <= found.radius).all()


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
