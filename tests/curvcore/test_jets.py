"""Jets: derivatives of Ψ against finite differences, and by the order of Taylor remainders."""

import pytest
import torch
from torch.testing import assert_close as assert_torch_close

import curvcore
from tests.support.decoders import CASES, jet
from tests.support.parametrisation import cases_named, every_case, every_provider
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close, eps

SMALL = 1e-2  # finite differences that estimate a larger error of their own say nothing


@pytest.mark.grid
@every_provider
@every_case
def test_value_is_the_decoder(case, provider):
    expected = case.decoder()(case.points()).flatten(1)
    assert_close(jet(case, provider).value, expected)


@pytest.mark.grid
@every_provider
@pytest.mark.parametrize("case", [case for case in CASES if case.d <= 3], ids=str)  # 9^d points
@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivative_is_that_of_finite_differences(case, provider, order):
    actual = jet(case, provider).arrays()[order]
    expected, error = finite_differences_with_error(case.decoder(), case.points(), order)
    assert error <= SMALL * (1 + expected.abs().max())
    assert_close(actual, expected, scale=error / eps(actual.dtype), factor=1)


@pytest.mark.grid
@every_provider
@every_case
def test_derivatives_are_symmetric(case, provider):
    _, _, hessian, third = jet(case, provider).arrays()
    assert_close(hessian.transpose(2, 3), hessian, scale=1 + hessian.abs().max())
    for i, j in ((2, 3), (3, 4), (2, 4)):
        assert_close(third.transpose(i, j), third, scale=1 + third.abs().max())


@pytest.mark.grid
@every_provider
@every_case
@pytest.mark.parametrize("order", [1, 2, 3])
def test_taylor_remainder_has_slope_order_plus_one(case, provider, order):
    z = case.points()
    direction = torch.linspace(0.6, 1.0, case.d, dtype=z.dtype)
    step = 2.0 ** -{1: 8, 2: 7, 3: 6}[order]  # small, yet the remainder stands above rounding
    steps = torch.tensor([step, step / 2], dtype=z.dtype)
    remainders = torch.stack(
        [_taylor_remainder(case, provider, order, h * direction) for h in steps]
    )
    rounding = 10 * eps(z.dtype) * (1 + jet(case, provider).value.abs().max())
    seen = remainders[1] > 20 * rounding  # a polynomial has no remainder to measure
    slopes = torch.log2(remainders[0] / remainders[1])[seen]
    # The next term of the series changes a ratio by about h·|Ψ^(k+2)|/|Ψ^(k+1)|.
    assert ((slopes - (order + 1)).abs() < 0.3).all(), slopes
    assert seen.any() or (remainders < rounding).all()


def _taylor_remainder(case, provider, order, step):
    """|Ψ(z + s) − Σ_{m ≤ order} ∇^m Ψ(z) s^m / m!| at each point."""
    decoder, z = case.decoder(), case.points()
    remainder = decoder(z + step).flatten(1)
    factorial = 1
    for m, derivative in enumerate(jet(case, provider).arrays()[: order + 1]):
        factorial *= max(m, 1)
        for _ in range(m):
            derivative = derivative @ step
        remainder = remainder - derivative / factorial
    return remainder.detach().norm(dim=1)


@pytest.mark.grid
@every_provider
@every_case
def test_jet_of_a_batch_is_the_jet_of_each_point(case, provider):
    decoder = case.decoder()
    together = jet(case, provider)
    for i, z in enumerate(case.points()):
        alone = curvcore.jet(decoder, z[None], 3, derivatives=provider)
        for one, all_points in zip(alone.arrays(), together.arrays(), strict=True):
            assert_close(one[0], all_points[i], scale=1 + all_points.abs().max())


@every_provider
def test_wrongly_batched_operation_is_not_believed(provider):
    """torch 2.13: lu_solve under vmap∘jacfwd is wrong at every point but the first."""

    def decoder(z):
        matrix = torch.eye(2, dtype=z.dtype) * 3 + z[:, :, None] * z[:, None, :].sin()
        factors = torch.linalg.lu_factor(matrix)
        return torch.cat([z, torch.linalg.lu_solve(*factors, z[:, :, None].cos())[..., 0]], 1)

    z = torch.tensor([[0.2, 0.7], [1.1, -0.4], [-0.6, 0.9]], dtype=torch.float64)
    expected = [
        curvcore.jet(decoder, point[None], 1, derivatives="autodiff").jacobian for point in z
    ]
    try:
        jacobian = curvcore.jet(decoder, z, 1, derivatives=provider).jacobian
    except curvcore.UnsupportedOperationError:
        return
    assert_close(jacobian, torch.cat(expected))


@every_provider
@cases_named("layer_norm", "image_conv_transpose")
def test_lower_orders_do_not_depend_on_the_order_asked_for(case, provider):
    third = jet(case, provider)
    for order in (1, 2):
        lower = curvcore.jet(case.decoder(), case.points(), order, derivatives=provider)
        assert lower.order == order
        assert len(lower.arrays()) == order + 1
        for low, high in zip(lower.arrays(), third.arrays(), strict=False):
            assert_close(low, high)


def test_jet_shapes_orders_and_dimensions():
    jet_ = curvcore.jet(lambda z: torch.cat([z, z.sin()], 1), torch.zeros(4, 3), 3)
    assert [tuple(a.shape) for a in jet_.arrays()] == [
        (4, 6),
        (4, 6, 3),
        (4, 6, 3, 3),
        (4, 6, 3, 3, 3),
    ]
    assert (jet_.order, jet_.dimension, jet_.ambient_dimension) == (3, 3, 6)
    named = (jet_.value, jet_.jacobian, jet_.hessian, jet_.third)
    assert all(map(torch.equal, jet_.arrays(), named))


def test_jet_is_immutable():
    jet_ = curvcore.Jet(torch.zeros(1, 2), torch.zeros(1, 2, 1))
    with pytest.raises(AttributeError):
        jet_.value = torch.ones(1, 2)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (((1, 3), (1, 2, 2)), r"Jet.jacobian must have shape \(1, 3, 2\); got \(1, 2, 2\)"),
        (((1, 3), (1, 3, 2), (1, 3, 2)), r"Jet.hessian must have shape \(1, 3, 2, 2\)"),
        (((1, 3), (1, 3, 2), None, (1, 3, 2, 2, 2)), r"Jet.hessian must .* got nothing"),
    ],
)
def test_jet_refuses_arrays_that_do_not_belong_together(arrays, message):
    tensors = [None if shape is None else torch.zeros(shape) for shape in arrays]
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.Jet(*tensors)


def test_jet_of_a_linear_map_has_no_higher_derivatives():
    weight = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.5, 6.0]])
    jet_ = curvcore.jet(lambda z: z @ weight.T, torch.rand(2, 2), 3)
    assert_torch_close(jet_.jacobian, weight.expand(2, 3, 2), rtol=0, atol=0)
    assert not jet_.hessian.any()
    assert not jet_.third.any()
