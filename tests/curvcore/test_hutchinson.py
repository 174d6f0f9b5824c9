"""Estimates of R from random directions: unbiased in value and gradient, with their errors."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore.hutchinson import estimate_of
from tests.support.immersions import stereographic_sphere

REPEATS = 2000
# A mean of many independent estimates is further from R than this in one run of 15 000.
STANDARD_ERRORS = 4


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def decoder_of(d, ambient=40):
    torch.manual_seed(d)
    layers = nn.Linear(d, 24), nn.SiLU(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, ambient)
    return nn.Sequential(*layers).double()


def point(d):
    return torch.randn(1, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def estimates(decoder, z, probes, generator, distribution="rademacher", repeats=REPEATS):
    estimator = curvcore.Hutchinson(probes, distribution, generator)
    return curvcore.estimate_scalar_curvature(decoder, z.expand(repeats, -1), estimator)


def assert_mean(samples, expected):
    """Samples (n, ...) of this mean, within standard errors of their own."""
    error = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - expected).abs() <= STANDARD_ERRORS * error).all()


@pytest.mark.grid
@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
@pytest.mark.parametrize("probes", [2, 5, 8])
@pytest.mark.parametrize("d", [2, 10])
def test_unbiased(d, probes, distribution, generator):
    decoder, z = decoder_of(d), point(d)
    scalar = curvcore.scalar_curvature(decoder, z)
    found = estimates(decoder, z, probes, generator, distribution)
    assert_mean(found.value.detach(), scalar.detach())
    if probes > 3:
        assert_mean(found.square.detach(), scalar.detach() ** 2)


@pytest.mark.parametrize("way", ["fused", "autodiff"])
def test_every_provider(way, generator):
    decoder, z = decoder_of(4), point(4)
    estimator = curvcore.Hutchinson(6, generator=generator)
    found = curvcore.scalar_curvature(
        decoder, z.expand(300, -1), estimator=estimator, derivatives=way
    )
    assert_mean(found.detach(), curvcore.scalar_curvature(decoder, z).detach())


@pytest.mark.parametrize("what", ["value", "square"])
def test_unbiased_gradients(what, generator):
    """In points, and so through the frame that probes have their components in."""
    decoder, z = decoder_of(3), point(3)
    many = z.expand(REPEATS, -1).clone().requires_grad_()
    found = getattr(estimates(decoder, many, 4, generator), what)
    gradient = torch.autograd.grad(found.sum(), many)[0]
    z.requires_grad_()
    scalar = curvcore.scalar_curvature(decoder, z)
    scalar = scalar if what == "value" else scalar.square()
    assert_mean(gradient, torch.autograd.grad(scalar.sum(), z)[0])


def test_gradient_in_parameters():
    """That of one draw is the derivative of the estimate, the probes' components held."""
    decoder, z = decoder_of(3), point(3).expand(5, -1)

    def estimate():
        return estimates(decoder, z, 4, torch.Generator().manual_seed(3), repeats=5).value.sum()

    weight, step = decoder[2].weight, 1e-5
    slope = torch.autograd.grad(estimate(), weight)[0][0, 1]
    with torch.no_grad():
        moved = []
        for sign in (1, -1):
            weight[0, 1] += sign * step
            moved.append(estimate())
            weight[0, 1] -= sign * step
    # Central differences: step² of a third derivative, and eps/step of the value.
    assert float(moved[0] - moved[1]) / (2 * step) == pytest.approx(float(slope), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("probes", [4, 9])
def test_variance(probes, generator):
    """Of normal probes 8 |Ric|²/k + 6 |Riem|²/(k(k − 1)); its estimate has no bias."""
    decoder, z = decoder_of(3), point(3)
    geometry = curvcore.pullback(decoder, z)
    raise_ = geometry.inverse_metric[0]
    ricci, riemann = geometry.ricci[0], geometry.riemann[0]
    of_ricci = torch.einsum("ij,kl,ik,jl->", ricci, ricci, raise_, raise_)
    raised = torch.einsum("ijkl,ia,jb,kc,ld->abcd", riemann, *[raise_] * 4)
    k = probes
    variance = 8 * of_ricci / k + 6 * (riemann * raised).sum() / (k * (k - 1))
    found = estimates(decoder, z, k, generator, "gaussian", 20 * REPEATS)
    value = found.value.detach()
    assert_mean(
        (value - curvcore.scalar_curvature(decoder, z)).square().detach(), variance.detach()
    )
    # From above, if by little: the part of Ric(u, u) is not let below zero.
    squared_error = found.standard_error.square()
    spread = squared_error.std() / len(value) ** 0.5
    assert squared_error.mean() >= variance - STANDARD_ERRORS * spread
    assert squared_error.mean() <= 1.2 * variance


def test_spheres_are_easy(generator):
    """Where Ric is a multiple of g, random signs leave 4 Var h/(2 k (k − 1)) alone."""
    d, k = 12, 8
    z = torch.full((1, d), 0.1, dtype=torch.float64)
    found = estimates(stereographic_sphere(2.0), z, k, generator)
    scalar = d * (d - 1) / 4
    assert_mean(found.value, torch.tensor(scalar, dtype=torch.float64))
    # h = (d² − ⟨ξ, η⟩²)/r⁴ of signs, of which ⟨ξ, η⟩ has variance d and fourth moment 3d² − 2d.
    variance = 2 * (2 * d**2 - 2 * d) / 2**4 / (k * (k - 1))
    assert found.value.var() == pytest.approx(variance, rel=4 * (3 / REPEATS) ** 0.5)


def test_draws(generator):
    """The generator alone decides, and not the size of chunks."""
    decoder, z = decoder_of(10), torch.randn(7, 10, generator=generator, dtype=torch.float64)
    first, second, chunked = (
        curvcore.scalar_curvature(
            decoder,
            z,
            estimator=curvcore.Hutchinson(4, generator=torch.Generator().manual_seed(5)),
            chunk_size=size,
        )
        for size in (None, None, 2)
    )
    assert torch.equal(first, second)
    assert (chunked - first).norm() <= 1e-12 * first.norm()


def test_few_probes_have_no_error(generator):
    found = estimates(decoder_of(3), point(3), 3, generator, repeats=2)
    assert found.value.isfinite().all()
    assert found.standard_error.isnan().all()
    assert found.square.isnan().all()


def test_square_from_disjoint_pairs():
    """The closed form is the mean of h_ij h_kl over all distinct i, j, k, l."""
    k = 5
    normal = torch.randn(2, k * (k + 1) // 2, 3, dtype=torch.float64)
    first, second = torch.triu_indices(k, k)
    form = normal.new_zeros(2, k, k, 3)
    form[:, first, second] = form[:, second, first] = normal
    h = torch.einsum("biin,bjjn->bij", form, form) - form.square().sum(-1)
    terms = [
        h[:, i, j] * h[:, m, n]
        for i, j, m, n in torch.cartesian_prod(*[torch.arange(k)] * 4).tolist()
        if len({i, j, m, n}) == 4
    ]
    expected = torch.stack(terms).mean(0)
    assert (estimate_of(normal, k).square - expected).abs().max() < 1e-12 * h.abs().max() ** 2


def test_degenerate_points(generator):
    decoder = decoder_of(3)
    z = torch.ones(3, 3, dtype=torch.float64)
    z[1, 2] = 0

    def squared(z):
        return decoder(torch.cat([z[:, :2], z[:, 2:] ** 2], 1))

    estimator = curvcore.Hutchinson(4, generator=generator)
    with pytest.raises(curvcore.DegenerateMetricError) as error:
        curvcore.scalar_curvature(squared, z, estimator=estimator)
    assert error.value.points.tolist() == [1]
    for fill, check in (("nan", torch.isnan), ("flat", lambda x: x == 0)):
        found = curvcore.estimate_scalar_curvature(squared, z, estimator, on_degenerate=fill)
        for numbers in (found.value, found.standard_error, found.square):
            assert check(numbers).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probes": 1}, "from 2 on, R needs a plane; got 1"),
        ({"probes": 2.0}, "got 2.0"),
        ({"probes": True}, "got True"),
        ({"distribution": "uniform"}, "'rademacher', 'gaussian'"),
        ({"generator": 3}, "torch.Generator; got int"),
    ],
)
def test_bad_estimators(arguments, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.Hutchinson(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "hutchinson"}, "must be a curvcore.Hutchinson; got str"),
        ({"estimator": curvcore.Hutchinson(), "formula": "intrinsic"}, "formula='gauss'"),
        ({"estimator": curvcore.Hutchinson(), "block_size": 9}, "without block_size"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.scalar_curvature(decoder_of(3), point(3), **options)


def test_no_points():
    z = torch.empty(0, 3, dtype=torch.float64)
    found = curvcore.estimate_scalar_curvature(decoder_of(3), z, curvcore.Hutchinson())
    assert found.value.shape == found.standard_error.shape == found.square.shape == (0,)


def test_half_precision_is_refused():
    decoder, z = decoder_of(3).bfloat16(), point(3).bfloat16()
    with pytest.raises(curvcore.InputError, match=r"float32 and float64.*bfloat16"):
        curvcore.estimate_scalar_curvature(decoder, z, curvcore.Hutchinson())


def test_generator_elsewhere():
    class Elsewhere(torch.Generator):
        device = torch.device("meta")

    with pytest.raises(curvcore.InputError, match="generator is on meta and z on cpu"):
        curvcore.Hutchinson(generator=Elsewhere()).draw(point(3))
