"""The comparison of a Jacobian with finite differences: right ones pass, wrong ones are named."""

import math

import pytest
import torch

from curvcore import UnsupportedOperationError
from curvcore.providers.differences import check_jacobian, fixed_random

DTYPES = [torch.float32, torch.float64]


def jacobian_of(decoder, z):
    """(B, D, d), by autograd."""
    with torch.enable_grad():
        return torch.func.vmap(torch.func.jacrev(lambda p: decoder(p[None])[0]))(z)


def points(d, dtype, count=3):
    generator = torch.Generator().manual_seed(d)
    return torch.randn(count, d, generator=generator, dtype=torch.float64).to(dtype)


def assert_refused(decoder, z, wrong, named=""):
    with pytest.raises(UnsupportedOperationError, match=f"finite differences.*{named}"):
        check_jacobian(decoder, z, wrong)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [0, 0.5, 1.2, -1, 1e10])
def test_one_wrong_column_of_many_is_found(factor, dtype):
    """The one that least shows in a random combination of all."""
    d = 64
    z = points(d, dtype)
    column = int(fixed_random(d, z).abs().argmin())
    mix = points(d, dtype, d) / 8

    def decoder(z):
        return torch.sin(z @ mix)

    right = jacobian_of(decoder, z)
    check_jacobian(decoder, z, right)
    wrong = right.clone()
    wrong[:, :, column] *= factor
    assert_refused(decoder, z, wrong, rf"z_{column} is")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [-12, -6, 0, 6, 12])
def test_a_wrong_column_is_found_in_any_unit(exponent, dtype):
    """z_1 in a unit of its own; of both columns, also where a derivative is said to be zero."""
    unit = 10.0**exponent
    z = points(2, dtype) * torch.tensor([1, unit], dtype=dtype)

    def decoder(z):
        u, v = z[:, 0], z[:, 1] / unit
        return torch.stack([u * v, u + v.sin(), u.cos() - v], 1)

    right = jacobian_of(decoder, z)
    check_jacobian(decoder, z, right)
    for column in range(2):
        for factor in (0, 1.2):
            wrong = right.clone()
            wrong[:, :, column] *= factor
            assert_refused(decoder, z, wrong, f"z_{column} is")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_derivative_where_nothing_moves_is_found(dtype):
    z = points(2, dtype)

    def decoder(z):
        return torch.stack([z[:, 0], 2 * z[:, 0]], 1)

    right = jacobian_of(decoder, z)
    check_jacobian(decoder, z, right)
    wrong = right.clone()
    wrong[:, 0, 1] = 1.0
    assert_refused(decoder, z, wrong, "z_1 is")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_coordinate_in_which_nothing_can_be_told_hides_no_other(dtype):
    """At z_1 = 0 there is a jump: no step is short enough. Column 0 is wrong by 4 %."""
    z = points(2, dtype) * torch.tensor([1, 0], dtype=dtype)

    def decoder(z):
        return torch.stack([z[:, 0], (z[:, 1] >= 0).to(z), z[:, 0].sin()], 1)

    right = jacobian_of(decoder, z)
    check_jacobian(decoder, z, right)
    assert_refused(decoder, z, 1.04 * right)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_of_z_is_rounding_of_the_image(dtype):
    """Points far from the origin: Ψ moves by much over the last digit of z."""
    z = 1 + points(2, dtype) / 8
    steep = 2e-5 / torch.finfo(dtype).eps

    def decoder(z):
        return torch.cat([torch.sin(steep * (z - 1)), torch.cos(steep * (z - 1))], 1)

    right = jacobian_of(decoder, z)
    check_jacobian(decoder, z, right)
    assert_refused(decoder, z, 2 * right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("waves", [10, 30, 100, 300, 1000])
def test_small_waves_on_a_large_value_are_no_error(waves, dtype):
    """Curved over the steps that rounding allows: then nothing is said."""
    z = points(2, dtype)
    size = 8 * torch.finfo(dtype).eps ** (2 / 3)

    def decoder(z):
        return 1 + size * torch.cat([torch.sin(waves * z), torch.cos(math.pi * waves * z)], 1)

    check_jacobian(decoder, z, jacobian_of(decoder, z))


def beside_ones(z):
    """Small itself, of far larger numbers: it moves in leaps, of their rounding."""
    x, y = z.unbind(1)
    return torch.stack([x, (1 + x) * (2 + y) - 2, (3 + x - y) ** 2 - 9], 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "point", [[0.0, 0.0], [1e-9, -2e-9], [1e-30, 1e-25], [0.0, 0.3], [[0.0, 0.0], [0.3, 0.2]]]
)
def test_leaps_beside_larger_numbers_are_rounding(point, dtype):
    z = torch.tensor(point, dtype=dtype).reshape(-1, 2)
    right = jacobian_of(beside_ones, z)
    check_jacobian(beside_ones, z, right)
    for a, i, factor in ((1, 0, 0), (1, 0, -1), (1, 1, 0), (1, 1, -1), (2, 1, 1.2)):
        wrong = right.clone()
        wrong[:, a, i] *= factor
        assert_refused(beside_ones, z, wrong)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("unit", "offset"), [(1, 0), (1e-4, 0), (1e6, 0), (1, 1e-6)])
def test_a_rounding_in_the_decoder_is_no_leap(unit, offset, dtype):
    """Rounding passed by, as by a straight-through estimator, in whatever units z is."""
    offset = offset / torch.finfo(dtype).eps

    def decoder(z):
        y = (z - torch.tensor([offset, 0.0], dtype=dtype)) / unit
        rounded = y[:, 1:] + (y[:, 1:].round() - y[:, 1:]).detach()
        return torch.cat([y, rounded], 1)

    z = torch.tensor([[offset + 0.3 * unit, 0.4 * unit]], dtype=dtype)
    assert_refused(decoder, z, jacobian_of(decoder, z), r"At point 0 ∂Ψ_2/∂z_1 is \S+, and 0 by")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_in_range(dtype):
    z = points(2, dtype)
    layer = points(2, dtype, 6)

    def decoder(z):
        return torch.nn.functional.layer_norm(z @ layer.mT, (6,))

    check_jacobian(decoder, z, jacobian_of(lambda z: decoder(z.double().to(z)), z))
