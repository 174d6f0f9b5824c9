"""Metrics on the data space: closed forms, both formulas, gradients, and who does not know them."""

import pytest
import sympy
import torch

import curvcore
from tests.support.ambient import Immersion, ball, half_space, points

D = torch.float64
EPS = torch.finfo(D).eps
ROUTES = [(f, p) for f in ("gauss", "intrinsic") for p in ("fused", "autodiff")]


def stereographic(x):
    return (2 / (1 + x.square().sum(1))) ** 2


def diagonal(metric):
    return lambda x: metric(x)[:, None].expand(x.shape)


def dense(metric):
    return lambda x: torch.diag_embed(diagonal(metric)(x))


KINDS = {"factor": lambda metric: metric, "diagonal": diagonal, "dense": dense}
SPACE_FORMS = {"half-space": (half_space, -1), "ball": (ball, -1), "sphere": (stereographic, 1)}


def inside(count, d):
    """Points with |x| < 0.9 and x_d > 0.1."""
    x = torch.rand(count, d, generator=torch.Generator().manual_seed(d), dtype=D)
    return 0.1 + x * (0.8 / d**0.5 - 0.1)


@pytest.mark.grid
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPACE_FORMS)
@pytest.mark.parametrize(("formula", "derivatives"), ROUTES)
def test_scalar_curvature_of_space_forms(name, kind, d, formula, derivatives):
    metric, curvature = SPACE_FORMS[name]
    options = {"formula": formula, "derivatives": derivatives, "ambient": KINDS[kind](metric)}
    found = curvcore.scalar_curvature(lambda z: 1 * z, inside(6, d), **options)
    # Terms that cancel are of the size of |∇²G|/G² < 100.
    assert (found - d * (d - 1) * curvature).abs().max() < 1e4 * EPS


@pytest.mark.parametrize("kind", ["factor", "diagonal", "dense"])
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_both_formulas_agree(kind, derivatives):
    decoder = Immersion()
    options = {"ambient": decoder.metric(kind), "derivatives": derivatives}
    gauss, intrinsic = (
        curvcore.pullback(decoder, points(), formula=formula, **options)
        for formula in ("gauss", "intrinsic")
    )
    names = ("metric", "christoffel", "riemann", "ricci", "scalar", "second_fundamental_form")
    for name in (*names, "mean_curvature", "volume_density"):
        one, other = getattr(gauss, name), getattr(intrinsic, name)
        assert (one - other).norm() < 1e4 * EPS * other.norm(), name


@pytest.mark.parametrize("kind", ["factor", "diagonal", "dense"])
def test_the_metric_is_that_of_its_definition(kind):
    decoder, z = Immersion(), points()
    field = decoder.metric(kind)(decoder(z))
    if kind != "dense":
        field = torch.diag_embed(field[:, None].expand(-1, 6) if kind == "factor" else field)
    first = torch.func.vmap(torch.func.jacfwd(lambda row: decoder(row[None])[0]))(z)
    expected = first.mT @ field @ first
    found = curvcore.metric(decoder, z, ambient=decoder.metric(kind))
    assert (found - expected).norm() < 100 * EPS * expected.norm()


def test_a_constant_metric_is_a_linear_map():
    decoder, z = Immersion(), points()
    lower = torch.tril(torch.randn(6, 6, dtype=D)) + 3 * torch.eye(6, dtype=D)
    constant = lower @ lower.mT
    found = curvcore.scalar_curvature(
        decoder, z, ambient=lambda x: constant.expand(len(x), -1, -1) + 0 * x[:, :1, None]
    )
    expected = curvcore.scalar_curvature(lambda z: decoder(z) @ lower, z)
    assert (found - expected).norm() < 1e4 * EPS * expected.norm()


def test_mean_curvature_of_a_horosphere():
    """x_d = c in the half-space is flat, with |H| = d − 1, away from its hyperplane at infinity."""
    z = inside(5, 2)
    geometry = curvcore.pullback(
        lambda z: torch.cat([z, torch.full_like(z[:, :1], 0.7)], 1), z, ambient=half_space
    )
    assert geometry.scalar.abs().max() < 1e3 * EPS
    assert (geometry.mean_curvature.norm(dim=1) - 2).abs().max() < 1e3 * EPS


@pytest.mark.parametrize("kind", ["factor", "dense"])
@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
def test_gradients_against_differences(kind, formula):
    decoder, z = Immersion(), points(3).requires_grad_()
    options = {"ambient": decoder.metric(kind), "formula": formula}
    weight = decoder.net[0].weight

    def total():
        return curvcore.scalar_curvature(decoder, z, **options).sum()

    to_z, to_weight = torch.autograd.grad(total(), [z, weight])
    for tensor, gradient in ((z, to_z), (weight, to_weight)):
        direction = torch.randn(tensor.shape, dtype=D, generator=torch.Generator().manual_seed(1))
        step, values = 1e-4, []
        for sign in (1, -1):
            with torch.no_grad():
                tensor.add_(sign * step * direction)
                values.append(total())
                tensor.sub_(sign * step * direction)
        slope = (values[0] - values[1]) / (2 * step)
        # Differences of order two err by step² R''' and eps R/step.
        assert abs(slope - (gradient * direction).sum()) < 1e-4 * (1 + gradient.norm())


def test_chunks_inference_and_single_precision():
    decoder, z = Immersion(), points(7)
    bound = curvcore.bind(decoder, ambient=decoder.diagonal)
    expected = curvcore.scalar_curvature(bound, z)
    for chunk in (1, 3):
        for found in (
            curvcore.scalar_curvature(bound, z, chunk_size=chunk),
            curvcore.pullback(bound, z, chunk_size=chunk).scalar,
        ):
            assert (found - expected).norm() < 1e4 * EPS * expected.norm()
    with torch.inference_mode():
        assert (curvcore.scalar_curvature(bound, z) - expected).norm() < 1e4 * EPS * expected.norm()
    single = Immersion().float()
    single.mixing = single.mixing.float()
    found = curvcore.scalar_curvature(single, z.float(), ambient=single.diagonal)
    assert (found - expected).norm() < 1e4 * 6e-8 * expected.norm()
    assert curvcore.scalar_curvature(bound, z[:0]).shape == (0,)


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_inputs_of_rows(derivatives):
    decoder, z, scale = Immersion(), points(4), torch.tensor([1.0, 2, 3, 4], dtype=D)
    found = curvcore.scalar_curvature(
        lambda z, scale: decoder(z) * scale[:, None], z, scale=scale, ambient=decoder.diagonal,
        derivatives=derivatives,
    )  # fmt: skip
    for row, factor in enumerate(scale):
        alone = curvcore.scalar_curvature(
            lambda z, factor=factor: decoder(z) * factor, z[row : row + 1], ambient=decoder.diagonal
        )
        assert (found[row] - alone).abs() < 1e4 * EPS * alone.abs()


@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
def test_degenerate_points(formula):
    decoder, z = Immersion(2), points(3, 2)
    z[1] = 0  # where this is no immersion
    options = {"ambient": decoder.factor, "formula": formula}

    def folded(z):
        return decoder(torch.stack([z[:, 0], z[:, 1] ** 3], 1))

    with pytest.raises(curvcore.DegenerateMetricError):
        curvcore.scalar_curvature(folded, z, **options)
    found = curvcore.scalar_curvature(folded, z, on_degenerate="nan", **options)
    assert found.isnan().tolist() == [False, True, False]
    flat = curvcore.pullback(folded, z, on_degenerate="flat", **options)
    assert flat.scalar[1] == 0
    assert torch.equal(flat.metric[1], torch.eye(2, dtype=D))
    assert torch.allclose(flat.scalar[[0, 2]], found[[0, 2]], rtol=1e4 * EPS)


@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
def test_expressions(formula):
    x, y = sympy.symbols("x y", positive=True)
    geometry = curvcore.pullback([x, y], (x, y), ambient=lambda v: v[1] ** -2, formula=formula)
    assert sympy.simplify(geometry.scalar + 2) == 0
    sphere = curvcore.pullback(
        [x, y], (x, y), ambient=lambda v: [1, sympy.sin(v[0]) ** 2], formula=formula
    )
    assert sympy.simplify(sphere.scalar - 2) == 0
    assert sympy.simplify(sphere.christoffel[0, 1, 1] + sympy.sin(x) * sympy.cos(x)) == 0
    with pytest.raises(curvcore.InputError, match=r"a factor or D = 2 of them; got 3"):
        curvcore.pullback([x, y], (x, y), ambient=lambda v: [1, 2, 3])


@pytest.mark.parametrize(
    ("ambient", "message"),
    [
        (lambda x: x[:, :1], r"D = 2; of \(1, 2\) it made \(1, 1\)"),
        (lambda x: x.sum(), r"D = 2; of \(1, 2\) it made Tensor"),
        (lambda x: None, r"it made NoneType"),
        (lambda x: -(x**2).sum(1), r"not positive at Ψ\(z\) of 4 of 4 points: 0, 1, 2, 3"),
        (lambda x: torch.diag_embed(x) - 1, r"not positive at Ψ\(z\) of 4 of 4 points"),
        (lambda x: torch.ones(len(x), 2, 2, dtype=D).triu(), r"4 of 4 points.*, or not symmetric"),
        (torch.eye(2), "ambient must be a function of x"),
    ],
)
def test_what_is_no_metric(ambient, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.metric(lambda z: 1 * z, inside(4, 2), ambient=ambient)


def test_a_metric_and_a_likelihood():
    with pytest.raises(curvcore.InputError, match=r"ambient, a metric of data, or likelihood"):
        curvcore.bind(lambda z: z, ambient=ball, likelihood="poisson")
    bound = curvcore.bind(lambda z: 1 * z, ambient=ball)
    with pytest.raises(curvcore.InputError, match=r"has its output chosen"):
        curvcore.bind(bound, output=0)
    sphere = curvcore.bind(bound, ambient=stereographic)
    assert (curvcore.scalar_curvature(sphere, inside(2, 2)) - 2).abs().max() < 1e3 * EPS


@pytest.mark.parametrize(
    "function",
    [
        curvcore.mean_curvature,
        curvcore.ricci_curvature,
        lambda decoder, z: curvcore.sectional_curvature(decoder, z, z, z.flip(1)),
        lambda decoder, z: curvcore.scalar_curvature(decoder, z, block_size=3),
        lambda decoder, z: curvcore.scalar_curvature(decoder, z, estimator=curvcore.Hutchinson(4)),
        lambda decoder, z: curvcore.estimate_scalar_curvature(decoder, z, curvcore.Hutchinson(4)),
        lambda decoder, z: curvcore.estimated_geometry(decoder, z, curvcore.Hutchinson(4)).metric,
        lambda decoder, z: curvcore.curvature_map(decoder, ((0, 1), (0, 1)), 4),
        lambda decoder, z: decoder(z),
    ],
)
def test_functions_of_euclidean_space_refuse(function):
    bound = curvcore.bind(lambda z: 1 * z, ambient=ball)
    with pytest.raises(curvcore.InputError, match="takes the data space to be Euclidean"):
        function(bound, inside(4, 2))


def test_no_estimate_of_rounding_by_the_intrinsic_formula():
    geometry = curvcore.pullback(lambda z: 1 * z, inside(4, 2), ambient=ball, formula="intrinsic")
    with pytest.raises(curvcore.InputError, match="formula='gauss' alone"):
        _ = geometry.scalar_error


def _stretched(z):
    """R^3, of which one coordinate in the ball hardly moves."""
    return torch.stack([z[:, 0], 0.3 * torch.sin(z[:, 0]) + 1e-4 * z[:, 1], 0.2 * z[:, 2]], 1)


def _bent(x):
    """A metric of R^3 that is not diagonal."""
    one = torch.eye(3, dtype=x.dtype)
    return one * (1 + x.square().sum(1))[:, None, None] + 0.3 * torch.sin(x[:, :1, None])


@pytest.mark.parametrize("ambient", [ball, _bent], ids=["factor", "full"])
@pytest.mark.parametrize("map", [_stretched, lambda z: 0.5 * torch.tanh(z)], ids=["skew", "tanh"])
def test_the_estimate_of_rounding(map, ambient):
    """Of single precision against double: the estimate is no bound, but near one."""
    z = inside(40, 3).float()
    single = curvcore.pullback(map, z, ambient=ambient)
    double = curvcore.pullback(map, z.double(), ambient=ambient)
    error = (single.scalar.double() - double.scalar).abs()
    assert (error <= 10 * single.scalar_error).all()
    assert error.max() >= single.scalar_error.median() / 300
    assert (double.scalar_relative_error < 1e-6).all()


def test_the_estimate_of_rounding_in_euclidean_space():
    """It is that of an immersion without ambient metric."""
    z = inside(40, 2)

    def bowl(z):
        return torch.cat([z, (z * torch.tensor([3.0, 0.2], dtype=D)).square()], 1)

    ambient = lambda x: torch.ones_like(x) + 0 * x.square()  # noqa: E731
    jets = curvcore.jet(bowl, z, ambient=ambient), curvcore.jet(bowl, z)
    curved, flat = (curvcore.PullbackGeometry(jet) for jet in jets)
    torch.testing.assert_close(curved.scalar_error, flat.scalar_error, rtol=1e-6, atol=0)


def test_where_the_ambient_metric_is_none():
    """An error, or NaN if degenerate points may be that."""
    z = torch.tensor([[0.5, 0.5], [2.0, 0.5]], dtype=D)

    def cut(x):
        return 1 - x.square().sum(1)

    with pytest.raises(curvcore.InputError, match=r"not positive at Ψ\(z\) of 1 of 2 points: 1"):
        curvcore.pullback(lambda z: 1 * z, z, ambient=cut)
    geometry = curvcore.pullback(lambda z: 1 * z, z, ambient=cut, on_degenerate="nan")
    assert geometry.scalar.isnan().tolist() == [False, True]
    scalar = curvcore.scalar_curvature(lambda z: 1 * z, z, ambient=cut, on_degenerate="flat")
    assert scalar[1] == 0
