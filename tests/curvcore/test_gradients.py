"""Gradients of curvature in z and in every parameter, against differences in float64."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import curvcore
from tests.support.decoders import FORMULAS
from tests.support.immersions import RandomImmersion, random_points, stereographic_sphere
from tests.support.parametrisation import cases_named, every_case, every_formula, every_provider
from tests.support.tolerance import assert_close

QUANTITIES = ["volume_density", "christoffel", "riemann", "mean_curvature", "scalar"]


def random_direction(tensor, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)


def along_a_line(case, function):
    """(s, t) -> function(decoder with parameters θ + sθ̇, points z + tż)."""
    decoder, z = case.decoder(), case.points()
    parameters = {name: p.detach() for name, p in decoder.named_parameters()}
    slopes = {name: random_direction(p, i) for i, (name, p) in enumerate(parameters.items())}
    slope = random_direction(z, 99)

    def moving(s, t):
        moved = {name: p + s * slopes[name] for name, p in parameters.items()}

        def moved_decoder(z):
            return functional_call(decoder, moved, (z,))

        return function(moved_decoder, z + t * slope)

    return moving


def gradcheck_from_zero(function):
    """Against differences with step 1e-6, which err by eps/1e-6 times the terms: some 1e-8."""
    start = [torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2)]
    return gradcheck(function, start, eps=1e-6, atol=1e-5, rtol=1e-4, check_undefined_grad=False)


@pytest.mark.grid
@every_provider
@every_formula
@every_case
def test_gradient_of_scalar_curvature(case, formula, provider):
    """Along a random line through all parameters, and through all points."""
    options = {"formula": formula, "derivatives": provider}
    assert gradcheck_from_zero(
        along_a_line(case, lambda f, z: curvcore.scalar_curvature(f, z, **options))
    )


@pytest.mark.slow
@every_provider
@every_case
def test_gradient_of_the_third_derivative(case, provider):
    def size(decoder, z):
        return curvcore.jet(decoder, z, 3, derivatives=provider).third.square().mean()

    assert gradcheck_from_zero(along_a_line(case, size))


@pytest.mark.slow
@every_provider
@every_formula
@cases_named("layer_norm", "group_norm", "deep_residual")
def test_gradient_in_each_parameter_and_point(case, formula, provider):
    """Entry by entry where torch's own nested transforms are known to go wrong."""
    decoder, z = case.decoder(), case.points(batch=1).requires_grad_()
    names, tensors = zip(*decoder.named_parameters(), strict=True)

    def scalar(z, *parameters):
        values = dict(zip(names, parameters, strict=True))
        return curvcore.scalar_curvature(
            lambda z: functional_call(decoder, values, (z,)),
            z,
            formula=formula,
            derivatives=provider,
        )

    assert gradcheck(scalar, (z, *tensors), eps=1e-6, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("quantity", QUANTITIES)
@every_formula
def test_every_quantity_is_differentiable(quantity, formula):
    decoder, z = RandomImmersion(3, 2, 4), random_points(3, 2, 1).requires_grad_()

    def compute(z):
        return getattr(curvcore.pullback(decoder, z, formula=formula), quantity)

    assert gradcheck(compute, (z,), atol=1e-6)


@pytest.mark.parametrize("d", [1, 3, 4])
def test_metric_and_volume_are_differentiable_in_every_dimension(d):
    decoder, z = RandomImmersion(3, d, d + 1), random_points(3, d, 1).requires_grad_()
    assert gradcheck(lambda z: curvcore.metric(decoder, z), (z,))
    assert gradcheck(lambda z: curvcore.pullback(decoder, z).volume_density, (z,))
    assert gradcheck(lambda z: curvcore.pullback(decoder, z).inverse_metric, (z,))


@pytest.mark.parametrize("formula", FORMULAS)
def test_scalar_curvature_is_twice_differentiable(formula):
    decoder, z = RandomImmersion(5, 2, 3), random_points(5, 2, 1).requires_grad_()

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, formula=formula)

    assert gradgradcheck(scalar, (z,), atol=1e-5)


@every_formula
def test_gradient_of_a_constant_curvature_vanishes_except_in_the_radius(formula):
    """R = d(d−1)/r²: ∂R/∂z = 0, ∂R/∂r = −2d(d−1)/r³."""
    radius = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    z = random_points(0, 3, 2).requires_grad_()
    total = curvcore.scalar_curvature(stereographic_sphere(radius), z, formula=formula).sum()
    in_z, in_radius = torch.autograd.grad(total, (z, radius))
    assert_close(in_z, 0, scale=10.0, factor=1000)
    assert_close(in_radius, -2 * 2 * 6 / radius.detach() ** 3, factor=1000)


@every_formula
def test_chunks_have_the_same_gradient(formula):
    decoder, gradients = RandomImmersion(3, 2, 4, activation="layer_norm_silu"), []
    parameters = list(decoder.parameters())
    for chunk_size in (None, 2):
        z = random_points(3, 2, 5).requires_grad_()
        scalar = curvcore.scalar_curvature(decoder, z, formula=formula, chunk_size=chunk_size)
        gradients.append(
            torch.autograd.grad(scalar.square().sum(), (z, *parameters), materialize_grads=True)
        )
    for whole, pieces in zip(*gradients, strict=True):
        assert_close(pieces, whole, scale=1 + whole.abs().max(), factor=1000)


def test_a_training_step_lowers_curvature():
    """R reaches every parameter that it depends on, by plain .backward()."""
    decoder, z = RandomImmersion(3, 2, 4, activation="layer_norm_silu"), random_points(3, 2, 8)
    optimiser = torch.optim.SGD(decoder.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = curvcore.scalar_curvature(decoder, z).square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        assert all(p.grad is not None for p in list(decoder.parameters())[:-1])
        optimiser.step()
    assert sorted(losses, reverse=True) == losses
