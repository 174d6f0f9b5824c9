"""Points where Ψ is no immersion: an error that names them, or NaN there and nowhere else."""

import pytest
import sympy
import torch

import curvcore
from tests.support.parametrisation import every_formula, every_provider
from tests.support.tolerance import assert_close, eps

NEEDS_INVERSE = [
    "inverse_metric",
    "volume_density",
    "christoffel",
    "second_fundamental_form",
    "mean_curvature",
    "riemann",
    "ricci",
    "scalar",
]


def fold(z):
    """(x, y) ↦ (x², y, xy): degenerate exactly where x = y = 0."""
    x, y = z[:, :1], z[:, 1:]
    return torch.cat([x**2, y, x * y], 1)


def leaning(reciprocal_condition, D):
    """A plane of this 1/κ: axes at an angle of cosine c have (1 − c)/(1 + c)."""
    cosine = (1 - reciprocal_condition) / (1 + reciprocal_condition)
    slope = (1 / cosine**2 - 1) ** 0.5

    def decoder(z):
        x, y = z[:, :1], z[:, 1:]
        return torch.cat([x + y, slope * y, torch.zeros_like(x).expand(-1, D - 2)], 1)

    return decoder


def points(*bad, batch=6, dtype=torch.float64):
    z = 1 + torch.arange(2 * batch, dtype=dtype).reshape(batch, 2) / 10
    z[list(bad)] = 0
    return z


def routes(test):
    """Formula × provider."""
    return every_formula(every_provider(test))


@pytest.mark.grid
@routes
@pytest.mark.parametrize("quantity", NEEDS_INVERSE)
def test_every_quantity_that_needs_the_inverse_raises(quantity, formula, provider):
    geometry = curvcore.pullback(fold, points(1, 4), formula=formula, derivatives=provider)
    assert torch.isfinite(geometry.metric).all()  # g itself exists everywhere
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        getattr(geometry, quantity)
    assert caught.value.points.tolist() == [1, 4]
    assert caught.value.condition.tolist() == [torch.inf] * 2


def test_sectional_and_operators_raise():
    geometry = curvcore.pullback(fold, points(1))
    u, v = torch.eye(2, dtype=torch.float64)
    df, d2f = torch.ones(6, 2).double(), torch.ones(6, 2, 2).double()
    for compute in (
        lambda: geometry.sectional(u, v),
        lambda: geometry.gradient_norm_squared(df),
        lambda: geometry.covariant_hessian(df, d2f),
        lambda: geometry.laplacian(df, d2f),
    ):
        with pytest.raises(curvcore.DegenerateMetricError):
            compute()


def test_the_error_says_where_and_what_to_do():
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        curvcore.scalar_curvature(fold, points(2))
    message = str(caught.value)
    for phrase in ("1 point", ": 2 (condition number", "on_degenerate='nan'", "√ε z", "float64"):
        assert phrase in message


def test_the_error_lists_a_few_of_many_points():
    with pytest.raises(curvcore.DegenerateMetricError, match=r"at 20 points: .*, \.\.\.") as caught:
        curvcore.scalar_curvature(fold, points(*range(20), batch=30))
    assert caught.value.points.tolist() == list(range(20))


@pytest.mark.parametrize("chunk_size", [1, 2, 4, 6])
@pytest.mark.parametrize("bad", [(0,), (5,), (3,), (4, 5)])
def test_indices_count_through_the_chunks(chunk_size, bad):
    z = points(*bad)
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        curvcore.scalar_curvature(fold, z, chunk_size=chunk_size)
    found = caught.value.points.tolist()
    assert found
    assert set(found) <= set(bad)
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        _ = curvcore.pullback(fold, z, chunk_size=chunk_size).scalar
    assert caught.value.points.tolist() == list(bad)


@pytest.mark.grid
@routes
@pytest.mark.parametrize("quantity", NEEDS_INVERSE)
def test_nan_there_and_only_there(quantity, formula, provider):
    z, bad, good = points(1, 4), [1, 4], [0, 2, 3, 5]
    options = {"formula": formula, "derivatives": provider}
    masked = curvcore.pullback(fold, z, on_degenerate="nan", **options)
    clean = curvcore.pullback(fold, z[good], **options)
    array = getattr(masked, quantity)
    assert array[bad].isnan().all()
    expected = getattr(clean, quantity)
    assert_close(array[good], expected, scale=1 + expected.abs().max())


@pytest.mark.parametrize(
    ("dtype", "D", "smallest"),
    [
        (torch.float64, 3, 100 * eps(torch.float64)),
        (torch.float32, 3, 100 * eps(torch.float32)),
        (torch.float32, 40_000, 200 * eps(torch.float32)),
        (torch.float16, 3, 100 * eps(torch.float16)),
        (torch.bfloat16, 3, 1 / 8),
    ],
)
def test_a_metric_is_degenerate_where_too_few_digits_are_left(dtype, D, smallest):
    z = torch.tensor([[0.25, 0.5], [1.0, 0.75]], dtype=dtype)

    def is_degenerate(reciprocal_condition):
        decoder = leaning(reciprocal_condition, D)
        return curvcore.pullback(decoder, z, on_degenerate="nan").is_degenerate

    assert is_degenerate(smallest / 2).all()
    assert not is_degenerate(2 * smallest).any()


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_points_without_finite_derivatives_are_degenerate(order, number):
    arrays = list(curvcore.jet(fold, points(), 2).arrays())
    arrays[order] = arrays[order].clone()
    arrays[order][3] = number
    geometry = curvcore.PullbackGeometry(curvcore.Jet(*arrays), on_degenerate="nan")
    assert geometry.is_degenerate.nonzero().tolist() == [[3]]


def test_points_whose_sums_leave_half_precision_are_regular():
    value, *derivatives = (array.half() for array in curvcore.jet(fold, points(), 2).arrays())
    jet = curvcore.Jet(torch.full_like(value, 3e4), *derivatives)  # three make more than 65504
    assert not curvcore.PullbackGeometry(jet).is_degenerate.any()


@pytest.mark.grid
@routes
@pytest.mark.parametrize("quantity", NEEDS_INVERSE)
def test_nan_where_the_inverse_exists_but_has_no_digits(quantity, formula, provider):
    decoder = leaning(eps(torch.float64) * 50, D=3)
    options = {"formula": formula, "derivatives": provider, "on_degenerate": "nan"}
    assert getattr(curvcore.pullback(decoder, points(), **options), quantity).isnan().all()


def test_value_metric_and_condition_exist_at_degenerate_points():
    geometry = curvcore.pullback(fold, points(1), on_degenerate="nan")
    for name in ("value", "jacobian", "hessian", "metric"):
        assert torch.isfinite(getattr(geometry, name)).all(), name
    assert geometry.condition_number[1].isinf()


@pytest.mark.grid
@routes
@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("on_degenerate", ["nan", "flat"])
def test_masked_points_pass_no_gradient(formula, provider, chunk_size, on_degenerate):
    """The loss over the other points has the gradient that it has without the bad ones."""
    z, good = points(1, 4), [0, 2, 3, 5]
    gradients = []
    for kept in (z, z[good]):
        scale = torch.ones(3, dtype=torch.float64, requires_grad=True)
        latent = kept.clone().requires_grad_()
        scalar = curvcore.scalar_curvature(
            lambda z, scale=scale: scale * fold(z),
            latent,
            formula=formula,
            derivatives=provider,
            on_degenerate=on_degenerate,
            chunk_size=chunk_size,
        )
        loss = (scalar if on_degenerate == "flat" else scalar.nan_to_num()).sum()
        gradients.append(torch.autograd.grad(loss, (scale, latent)))
    (in_scale, in_z), (expected_scale, expected_z) = gradients
    assert_close(in_scale, expected_scale)
    assert_close(in_z[good], expected_z)
    assert not in_z[[1, 4]].any()


FLAT = {
    "metric": torch.eye(2),
    "inverse_metric": torch.eye(2),
    "volume_density": torch.ones(()),
    "christoffel": torch.zeros(2, 2, 2),
    "second_fundamental_form": torch.zeros(3, 2, 2),
    "mean_curvature": torch.zeros(3),
    "riemann": torch.zeros(2, 2, 2, 2),
    "ricci": torch.zeros(2, 2),
    "scalar": torch.zeros(()),
}


@pytest.mark.grid
@routes
@pytest.mark.parametrize("quantity", FLAT)
def test_flat_at_degenerate_points(quantity, formula, provider):
    """There those of a plane, to the bit; at the other points what they are by themselves."""
    z, good = points(1, 4), [0, 2, 3, 5]
    options = {"formula": formula, "derivatives": provider}
    geometry = curvcore.pullback(fold, z, on_degenerate="flat", **options)
    found = getattr(geometry, quantity)
    assert (found[[1, 4]] == FLAT[quantity].double()).all()
    assert_close(found[good], getattr(curvcore.pullback(fold, z[good], **options), quantity))
    assert geometry.is_degenerate.nonzero()[:, 0].tolist() == [1, 4]
    assert geometry.condition_number[[1, 4]].isinf().all()


@routes
def test_flat_geometry_is_finite_whatever_the_derivatives(formula, provider):
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)

    def cusp(z):
        return torch.cat([z[:, :1].sqrt(), z], 1)

    options = {"formula": formula, "derivatives": provider, "on_degenerate": "flat"}
    geometry = curvcore.pullback(cusp, z, **options)
    for quantity, flat in FLAT.items():
        assert (getattr(geometry, quantity)[0] == flat.double()).all(), quantity
    assert geometry.scalar_relative_error[0].isnan()


@routes
def test_no_points_are_flat_too(formula, provider):
    options = {"formula": formula, "derivatives": provider, "on_degenerate": "flat"}
    geometry = curvcore.pullback(fold, points()[:0], **options)
    for quantity, flat in FLAT.items():
        assert getattr(geometry, quantity).shape == (0, *flat.shape), quantity


def test_expressions_are_nowhere_flat():
    x, y = sympy.symbols("x y")
    assert curvcore.pullback([x, y, x * y], (x, y), on_degenerate="flat").metric[0, 1] == x * y


@routes
def test_non_finite_derivatives_are_degenerate(formula, provider):
    """sqrt has an infinite slope at 0."""
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)

    def cusp(z):
        return torch.cat([z[:, :1].sqrt(), z], 1)

    options = {"formula": formula, "derivatives": provider}
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        curvcore.scalar_curvature(cusp, z, **options)
    assert caught.value.points.tolist() == [0]
    scalar = curvcore.scalar_curvature(cusp, z, on_degenerate="nan", **options)
    assert scalar.isnan().tolist() == [True, False]


# --- the limit: condition number 0.01/eps ---------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("rank", "d"), [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4)])
def test_a_map_of_too_low_rank_never_gets_a_number(dtype, d, rank):
    """Ψ factors through R^rank: curved or not, no point has a curvature, whatever its rounding."""
    generator = torch.Generator().manual_seed(d)
    z = torch.randn(200, d, generator=generator, dtype=torch.float64).to(dtype)
    narrow = torch.randn(d, rank, generator=generator, dtype=torch.float64).to(dtype)
    wide = torch.randn(rank, 6, generator=generator, dtype=torch.float64).to(dtype)
    scalar = curvcore.scalar_curvature(
        lambda z: torch.tanh(z @ narrow @ wide / 3), z, on_degenerate="nan"
    )
    assert scalar[~scalar.isnan()].tolist() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_limit_follows_the_precision(dtype):
    """A shear of the plane with condition number κ: accepted well below 0.01/eps, not above."""
    z = torch.zeros(1, 2, dtype=dtype)

    def nearly_folded(angle):
        return lambda z: torch.cat([z[:, :1] + z[:, 1:], angle * z[:, 1:]], 1)

    accepted = (1e4 * eps(dtype)) ** 0.5
    assert torch.isfinite(curvcore.scalar_curvature(nearly_folded(accepted), z)).all()
    with pytest.raises(curvcore.DegenerateMetricError):
        curvcore.scalar_curvature(nearly_folded((4 * eps(dtype)) ** 0.5), z)


def test_a_tiny_but_round_metric_is_regular():
    """Degenerate means ill-conditioned, not small."""
    z = torch.rand(2, 3, dtype=torch.float64)
    scalar = curvcore.scalar_curvature(lambda z: 1e-12 * z * torch.tensor([1.0, 1e5, 1e-5]), z)
    assert_close(scalar, 0, scale=1.0)


@routes
def test_regularising_the_metric_is_explicit(formula, provider):
    """(Ψ, √ε z) has metric g + εI, also where g is degenerate."""
    z, epsilon = points(1), 0.01
    options = {"formula": formula, "derivatives": provider}
    regular = curvcore.pullback(lambda z: torch.cat([fold(z), epsilon**0.5 * z], 1), z, **options)
    plain = curvcore.pullback(fold, z, **options)
    assert_close(regular.metric, plain.metric + epsilon * torch.eye(2, dtype=z.dtype))
    assert torch.isfinite(regular.scalar).all()


def lower(z):
    """((1 + x, 0), (y, y)), singular where y = 0."""
    x, y = z.unbind(1)
    return torch.stack([1 + x, 0 * x, y, y], 1).reshape(-1, 2, 2)


@pytest.mark.grid
@pytest.mark.filterwarnings("ignore::curvcore.FallbackWarning")
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: torch.cholesky_inverse(lower(z)).flatten(1),
        lambda z: torch.linalg.solve(lower(z), z.square() + 1),
    ],
)
@pytest.mark.parametrize("singular", [0, 2])
def test_a_singular_matrix_is_a_degenerate_point(function, singular, derivatives):
    """For which torch ends the whole batch."""

    def decoder(z):
        return torch.cat([z, function(z)], 1)

    options = {"derivatives": derivatives, "on_degenerate": "nan"}
    z = points(singular).requires_grad_()
    scalar = curvcore.scalar_curvature(decoder, z, **options)
    (gradient,) = torch.autograd.grad(scalar.nansum(), z)
    assert scalar.isnan().nonzero().tolist() == [[singular]]
    others = torch.arange(len(z)) != singular
    alone = curvcore.scalar_curvature(decoder, z[others], **options)
    assert_close(scalar[others], alone, factor=1e4)
    assert gradient[others].isfinite().all()
    with pytest.raises(curvcore.DegenerateMetricError) as caught:
        curvcore.scalar_curvature(decoder, z, derivatives=derivatives)
    assert caught.value.points.tolist() == [singular]
