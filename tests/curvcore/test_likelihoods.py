"""Fisher and Rao's metric: its definition, closed forms, parameters that leave their range."""

import math

import pytest
import torch
from torch import distributions, nn

import curvcore

D = torch.float64
EPS = torch.finfo(D).eps
DISPERSION = torch.tensor([0.7, 2.5, 11.0], dtype=D)
ROUTES = [(f, p) for f in ("gauss", "intrinsic") for p in ("fused", "autodiff")]


class Parameters(nn.Module):
    """R^2 -> the parameters of three distributions of a kind."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(5)
        self.kind = kind
        self.net = nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 6)).to(D)

    def forward(self, z):
        one, other = self.net(z).chunk(2, 1)
        positive = torch.exp(other)
        return {
            "bernoulli": lambda: one,
            "categorical": lambda: torch.stack([one, other], 1),
            "poisson": lambda: positive,
            "gaussian": lambda: (one, positive),
            "negative_binomial": lambda: {"mean": positive, "dispersion": DISPERSION},
            "zero_inflated_negative_binomial": lambda: (positive, DISPERSION, one),
        }[self.kind]()


def log_of_counts(mean, x):
    """log p(x) of negative binomial counts, (n, 3)."""
    shape, x = DISPERSION, x[:, None]
    failure = shape / (shape + mean)
    binomial = torch.lgamma(x + shape) - torch.lgamma(shape) - torch.lgamma(x + 1)
    return binomial + shape * torch.log(failure) + x * torch.log1p(-failure)


def log_probabilities(kind, parts, x):
    """log p(x) of each of three distributions at numbers x, (n, 3)."""
    if kind == "bernoulli":
        return distributions.Bernoulli(logits=parts).log_prob(x[:, None])
    if kind == "categorical":
        return torch.log_softmax(parts, -1).mT
    if kind == "poisson":
        return x[:, None] * torch.log(parts) - parts - torch.lgamma(x[:, None] + 1)
    if kind == "negative_binomial":
        return log_of_counts(parts["mean"], x)
    mean, _, zero_logits = parts
    zeros, logarithms = torch.sigmoid(zero_logits), log_of_counts(mean, x)
    others = torch.log(1 - zeros) + logarithms[1:]
    return torch.cat([torch.log(zeros + (1 - zeros) * logarithms[:1].exp()), others])


def numbers(kind):
    """What a distribution may give, as far as it matters."""
    if kind in ("bernoulli", "categorical"):
        return torch.arange(2 if kind == "bernoulli" else 3, dtype=D)
    return torch.arange(600, dtype=D)


def fisher_metric(kind, decoder, z):
    """E[∂_i log p ∂_j log p] at a point (2,), by its definition."""
    x = numbers(kind)

    def logarithms(z):
        parts = decoder(z[None])
        if isinstance(parts, dict):
            parts = {name: part.flatten() for name, part in parts.items()}
        elif isinstance(parts, tuple):
            parts = tuple(part.flatten() for part in parts)
        else:
            parts = parts[0]
        return log_probabilities(kind, parts, x)

    scores, weights = torch.func.jacfwd(logarithms)(z), logarithms(z).exp()
    return torch.einsum("xni,xnj,xn->ij", scores, scores, weights)


def points(count=4):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(3), dtype=D)


@pytest.mark.parametrize(
    "kind",
    ["bernoulli", "categorical", "poisson", "negative_binomial", "zero_inflated_negative_binomial"],
)
def test_the_definition_of_the_fisher_metric(kind):
    decoder, z = Parameters(kind), points()
    found = curvcore.metric(decoder, z, likelihood=kind)
    expected = torch.stack([fisher_metric(kind, decoder, row) for row in z.detach()])
    # Counts above 600 have probabilities below eps; lgamma(600) rounds to 1e3 eps.
    assert (found - expected).norm() < 1e5 * EPS * expected.norm()


def test_the_fisher_metric_of_gaussians():
    """dμ²/σ² + 2 dσ²/σ²."""
    decoder, z = Parameters("gaussian"), points()
    mean, scale = torch.func.vmap(
        torch.func.jacfwd(lambda row: tuple(x[0] for x in decoder(row[None])))
    )(z)
    weight = decoder(z)[1] ** -2
    expected = torch.einsum("bai,baj,ba->bij", mean, mean, weight)
    expected = expected + 2 * torch.einsum("bai,baj,ba->bij", scale, scale, weight)
    found = curvcore.metric(decoder, z, likelihood="gaussian")
    assert (found - expected).norm() < 1e3 * EPS * expected.norm()


@pytest.mark.grid
@pytest.mark.parametrize("kind", curvcore.likelihoods.LIKELIHOODS)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_both_formulas_agree(kind, derivatives):
    decoder, z = Parameters(kind), points()
    gauss, intrinsic = (
        curvcore.scalar_curvature(
            decoder, z, likelihood=kind, formula=formula, derivatives=derivatives
        )
        for formula in ("gauss", "intrinsic")
    )
    assert (gauss - intrinsic).norm() < 1e6 * EPS * intrinsic.norm()
    assert gauss.abs().max() > 1e-3


CLOSED_FORMS = {
    "gaussian": (lambda z: (z[:, :1], z[:, 1:]), 2, -1),
    "categorical": (lambda z: torch.cat([z, 0 * z[:, :1]], 1), 3, 6 / 4),
    "zero_inflated_negative_binomial": (
        lambda z: (z[:, :1], DISPERSION[1:2], z[:, 1:]),
        2,
        1 / 2,
    ),
    "poisson": (lambda z: z, 3, 0),
    "bernoulli": (lambda z: z, 3, 0),
    "negative_binomial": (lambda z: (z, DISPERSION), 3, 0),
}


@pytest.mark.grid
@pytest.mark.parametrize("kind", CLOSED_FORMS)
@pytest.mark.parametrize(("formula", "derivatives"), ROUTES)
def test_curvature_of_families(kind, formula, derivatives):
    """Hyperbolic, spheres of radius two, and flat.

    Zero-inflated counts of one kind are a sphere of radius two as well: q = sin²(α/2) and the
    length s of counts that are not zero give dα² + cos²(α/2) ds².
    """
    decoder, d, expected = CLOSED_FORMS[kind]
    z = 0.3 + torch.rand(5, d, generator=torch.Generator().manual_seed(1), dtype=D)
    options = {"formula": formula, "derivatives": derivatives, "likelihood": kind}
    found = curvcore.scalar_curvature(lambda z: decoder(1 * z), z, **options)
    # ∂²G of zero-inflated counts loses eps/μ³, μ > 0.3.
    assert (found - expected).abs().max() < 1e5 * EPS


ANY = {"validate_args": False}  # torch 2.6 validates by branches, which no transform can follow
DISTRIBUTIONS = {
    "bernoulli": lambda x: distributions.Bernoulli(logits=x, **ANY),
    "categorical": lambda x: distributions.Categorical(logits=x.unflatten(1, (2, 3)), **ANY),
    "poisson": lambda x: distributions.Poisson(x.exp(), **ANY),
    "gaussian": lambda x: distributions.Normal(x[:, :3], x[:, 3:].exp(), **ANY),
    "negative_binomial": lambda x: distributions.NegativeBinomial(
        torch.full_like(x, 2.5), logits=x, **ANY
    ),
}
PLAIN = {
    "bernoulli": lambda x: x,
    "categorical": lambda x: {"logits": x.unflatten(1, (2, 3))},
    "poisson": lambda x: [x.exp()],
    "gaussian": lambda x: {"scale": x[:, 3:].exp(), "mean": x[:, :3]},
    "negative_binomial": lambda x: (2.5 * x.exp(), torch.tensor([2.5], dtype=D)),
}


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_torch_distributions(kind, derivatives):
    net, z = Parameters(kind).net, points()
    options = {"likelihood": kind, "derivatives": derivatives}
    expected = curvcore.metric(lambda z: PLAIN[kind](net(z)), z, **options)
    for output in (None, lambda p: distributions.Independent(p, 1, **ANY)):
        found = curvcore.metric(lambda z: DISTRIBUTIONS[kind](net(z)), z, output=output, **options)
        assert (found - expected).norm() < 1e3 * EPS * expected.norm()


def test_a_part_of_an_output():
    net, z = Parameters("poisson").net, points()
    decoder = curvcore.bind(
        lambda z: {"px_rate": net(z).exp(), "px": 1}, output="px_rate", likelihood="poisson"
    )
    expected = curvcore.metric(lambda z: 2 * torch.exp(net(z) / 2), z)
    assert (curvcore.metric(decoder, z) - expected).norm() < 1e3 * EPS * expected.norm()


@pytest.mark.parametrize(
    ("kind", "decoder", "message"),
    [
        ("gaussian", lambda z: (z, z - 1), r"scale must be positive; it is not at 4 of 4 points"),
        ("poisson", lambda z: -z, r"rate must be positive; it is not at 4 of 4 points"),
        ("bernoulli", lambda z: z / 0, r"logits must be finite; it is not at 4 of 4 points"),
        ("negative_binomial", lambda z: (z, z + 1), r"dispersion depends on z\. Bind"),
        ("zero_inflated_negative_binomial", lambda z: (z, z + 1, z), r"dispersion depends on z"),
        ("gaussian", lambda z: z, r"needs mean, scale: a dict .* got Tensor"),
        ("gaussian", lambda z: {"mean": z}, r"needs mean, scale: a dict .* got a dict"),
        ("poisson", lambda z: distributions.Normal(z, z), r"needs rate: .* got Normal"),
        ("poisson", lambda z: (z, z), r"needs rate: .* got a tuple"),
        ("poison", lambda z: z, r"likelihood must be one of 'bernoulli', .*; got 'poison'"),
    ],
)
def test_errors(kind, decoder, message):
    z = 0.1 + 0.5 * torch.rand(4, 2, dtype=D)
    with pytest.raises((curvcore.InputError, curvcore.DecoderError), match=message):
        curvcore.scalar_curvature(decoder, z, likelihood=kind)


def test_a_dispersion_that_is_a_parameter():
    """It needs a gradient, though not in z."""
    net, dispersion = Parameters("poisson").net, nn.Parameter(torch.zeros(6, dtype=D))
    found = curvcore.metric(
        lambda z: (net(z).exp(), dispersion.exp()), points(), likelihood="negative_binomial"
    )
    found.sum().backward()
    assert dispersion.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["expected", "ensemble"])
def test_expected_metrics(name):
    """E[JᵀJ] is the pullback metric of stacked outputs."""
    z, generator = points(), torch.Generator().manual_seed(0)
    if name == "expected":
        decoder = Parameters("gaussian")
        stacked = curvcore.bind(decoder, output=lambda parts: torch.cat(parts, 1))
        noise = torch.randn(200_000, 3, generator=generator, dtype=D)
        mean, scale = torch.func.vmap(
            torch.func.jacfwd(lambda row: tuple(x[0] for x in decoder(row[None])))
        )(z)
        expected = mean.mT @ mean + scale.mT @ (noise.square().mean(0)[:, None] * scale)
        tolerance = 5 * (2 / len(noise)) ** 0.5  # standard errors of the mean of noise²
    else:
        decoders = [Parameters("bernoulli").net for _ in range(3)]
        for seed, decoder in enumerate(decoders):
            torch.manual_seed(seed)
            for layer in (decoder[0], decoder[2]):
                layer.reset_parameters()
        stacked = curvcore.Ensemble(decoders, [0.2, 0.3, 0.5])
        pairs = zip([0.2, 0.3, 0.5], decoders, strict=True)
        expected = sum(weight * curvcore.metric(decoder, z) for weight, decoder in pairs)
        tolerance = 100 * EPS
    assert (curvcore.metric(stacked, z) - expected).norm() < tolerance * expected.norm()
    both = [curvcore.scalar_curvature(stacked, z, formula=f) for f in ("gauss", "intrinsic")]
    assert (both[0] - both[1]).norm() < 1e5 * EPS * both[1].norm()


def test_points_outside_the_range_may_be_nan():
    z = torch.tensor([[0.5, 0.5], [0.5, -0.5]], dtype=D)
    options = {"likelihood": "gaussian", "on_degenerate": "nan"}
    geometry = curvcore.pullback(lambda z: (1 * z[:, :1], 1 * z[:, 1:]), z, **options)
    assert geometry.scalar.isnan().tolist() == [False, True]
    assert curvcore.scalar_curvature(
        lambda z: (1 * z[:, :1], 1 * z[:, 1:]), z, **options
    ).isnan().tolist() == [False, True]


@pytest.mark.parametrize("mean", [1e3, 1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("zeros", [-1.0, 5.0])
def test_zero_inflated_counts_that_are_hardly_ever_above_zero(mean, zeros):
    """With one dispersion g = dα² + sin²(α/2) ds²: R = ½, to eps κ/α², polar coordinates."""

    def decoder(z):
        return mean * torch.exp(z[:, :1]), torch.full((1,), 2.0, dtype=D), z[:, 1:] + zeros

    z = torch.tensor([[0.1, 0.2], [0.3, -0.1]], dtype=D)
    found = curvcore.pullback(decoder, z, likelihood="zero_inflated_negative_binomial")
    assert (
        (found.scalar - 0.5).abs() <= 100 * EPS * found.condition_number * max(1, math.exp(zeros))
    ).all()


@pytest.mark.parametrize(("dtype", "ahead"), [(torch.float32, 15), (D, 40)])
def test_a_class_that_has_nearly_all(dtype, ahead):
    """R = ½ of all three, on the sphere, where the others have e⁻¹⁵, or e⁻⁴⁰.

    By the Gauss equation: from g alone it cannot be known, whose curvature is e¹⁵, cancelling.
    """
    z = torch.tensor([[1.0, -0.4], [0.5, 0.3], [0.2, 0.9]], dtype=dtype)

    def logits(z):
        return torch.stack([z[:, 0] + ahead, z[:, 1], z[:, 0] * z[:, 1]], 1)

    geometry = curvcore.pullback(logits, z, likelihood="categorical")
    off = (geometry.scalar - 0.5).abs()
    assert (off < 100 * torch.finfo(dtype).eps * geometry.condition_number).all()


@pytest.mark.parametrize(("dtype", "dispersion"), [(torch.float32, 50), (D, 1e3)])
def test_zero_inflated_counts_that_are_large(dtype, dispersion):
    """e^E leaves the range of the dtype; R = ½ and its gradient, which vanishes, do not."""
    z = torch.tensor([[0.1, 0.2], [0.3, -0.1]], dtype=dtype, requires_grad=True)

    def decoder(z):
        return 1e5 * torch.exp(z[:, :1]), torch.full((1,), dispersion, dtype=dtype), z[:, 1:]

    scalar = curvcore.scalar_curvature(decoder, z, likelihood="zero_inflated_negative_binomial")
    (gradient,) = torch.autograd.grad(scalar.sum(), z)
    assert (scalar - 0.5).abs().max() < 1e3 * torch.finfo(dtype).eps
    assert gradient.abs().max() < 1e4 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    ("log_mean", "zeros", "dispersion"),
    [(-3, -30, 1e-3), (0.3, -30, 1e-3), (-3, 30, 50), (-8, 30, 0.3), (2, 0.2, 2)],
)
def test_what_zero_inflation_costs_is_told(log_mean, zeros, dispersion):
    """One gene's family, of which R = 1/2, where its coordinates hardly depend on one latent."""
    z = torch.tensor([[log_mean, zeros]], dtype=D)

    def decoder(z):
        return z[:, :1].exp(), torch.full_like(z[:, :1], dispersion), z[:, 1:]

    geometry = curvcore.pullback(decoder, z, likelihood="zero_inflated_negative_binomial")
    assert (geometry.scalar - 0.5).abs() <= 10 * geometry.scalar_error + 1e-14


@pytest.mark.parametrize("at", [0.0, 0.7])
@pytest.mark.parametrize(
    "dispersion",
    [
        lambda z: torch.stack([1 + torch.sigmoid(z[:, 0]), 2 - torch.sigmoid(z[:, 0])], 1),
        lambda z: torch.exp(z.square().sum(1, keepdim=True)).expand(-1, 2),
    ],
    ids=["of which the sum stays", "of no slope at 0"],
)
def test_a_dispersion_that_hides_that_it_moves(dispersion, at):
    z = torch.full((3, 2), at, dtype=D)
    with pytest.raises(curvcore.InputError, match="dispersion depends on z"):
        curvcore.metric(lambda z: (torch.exp(z), dispersion(z)), z, likelihood="negative_binomial")


def test_the_error_names_what_an_autoencoder_returns():
    with pytest.raises(
        curvcore.DecoderError,
        match=r"\(output\['mean'\], \(output\['logvar'\] / 2\)\.exp\(\)\)",
    ):
        curvcore.metric(lambda z: {"mean": z, "logvar": z}, torch.ones(2, 2), likelihood="gaussian")


@pytest.mark.parametrize(
    ("likelihood", "at", "dtype"),
    [
        ("negative_binomial", [-20.0, -19.0], D),
        ("zero_inflated_negative_binomial", [15.0, 0.2], torch.float32),
    ],
)
def test_derivatives_that_are_nothing_but_rounding(likelihood, at, dtype):
    """Coordinates that are all but linear in z: two ways to their last derivative disagree."""
    z = torch.tensor([at], dtype=dtype)

    def decoder(z):
        if likelihood == "negative_binomial":
            mean = torch.stack([z[:, 0], z[:, 1], z[:, 0] * z[:, 1] / 10], 1).exp()
            return mean, torch.ones(3, dtype=z.dtype)
        return z[:, :1].exp(), torch.full_like(z[:, :1], 50.0), z[:, 1:]

    for formula in ("gauss", "intrinsic"):
        geometry = curvcore.pullback(decoder, z, likelihood=likelihood, formula=formula)
        assert geometry.scalar.isfinite().all()


@pytest.mark.parametrize(
    ("likelihood", "wrong", "right"),
    [
        ("bernoulli", torch.sigmoid, lambda y: torch.logit(torch.sigmoid(y))),
        ("categorical", lambda y: y.softmax(-1), lambda y: y.softmax(-1).log()),
    ],
)
def test_probabilities_taken_for_logits_are_told(likelihood, wrong, right):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    z = torch.randn(6, 2, dtype=D)
    known = curvcore.scalar_curvature(decoder, z, likelihood=likelihood)
    with pytest.warns(UserWarning, match="takes logits"):
        curvcore.scalar_curvature(decoder, z, likelihood=likelihood, output=wrong)
    found = curvcore.scalar_curvature(decoder, z, likelihood=likelihood, output=right)
    torch.testing.assert_close(found, known)
