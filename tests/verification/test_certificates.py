"""Enclosures by ball arithmetic: they contain the truth, are narrow, and refuse what rounds."""

from fractions import Fraction

import flint
import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.fused.jet_tensor import RULES
from curvcore.providers.fused.registry import elementwise
from verification import CertificationError, certify

POINTS = torch.tensor([[0.5, -0.25], [1.0, 0.75], [0.0, 2.0]])
ACTIVATIONS = (
    nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.Mish(),
    nn.ELU(), nn.CELU(), nn.SELU(), nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(),
)  # fmt: skip


def paraboloid(z):
    """(x, y, (x² + y²)/2): R = 2/(1 + x² + y²)², g = I + z zᵀ, det g = 1 + |z|²."""
    return torch.cat([z, torch.square(z).sum(1, keepdim=True) / 2], 1)


def sphere(z):
    u, v = z.unbind(1)
    return torch.stack([u.sin() * v.cos(), u.sin() * v.sin(), u.cos()], 1)


class Residual(nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.layer, self.activation = nn.Linear(width, width), activation

    def forward(self, x):
        return x + self.activation(self.layer(x))


def decoder_with(activation, width=16, components=12):
    return nn.Sequential(
        nn.Linear(2, width), activation, Residual(width, activation), nn.LayerNorm(width),
        activation, nn.Linear(width, components), nn.Unflatten(1, (3, -1)),
    )  # fmt: skip


def encloses(ball, fraction):
    with flint.ctx.workprec(1000):
        return (ball * fraction.denominator - fraction.numerator).contains(0)


@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
def test_enclosures_of_a_paraboloid_contain_its_curvature(formula):
    certificate = certify(paraboloid, POINTS, formula=formula)
    for n, (x, y) in enumerate(POINTS.tolist()):
        square = 1 + Fraction(x) ** 2 + Fraction(y) ** 2
        assert encloses(certificate.scalar[n], Fraction(2) / square**2)
        assert encloses(certificate.metric[n, 0, 1], Fraction(x) * Fraction(y))
        assert encloses(certificate.volume_density[n] ** 2, square)
        assert certificate.scalar[n].rad() <= 1e-20 * abs(certificate.scalar[n])


def test_enclosures_of_a_saddle_contain_its_curvature():
    """(x, y, xy): R = −2/(1 + x² + y²)²."""
    certificate = certify(lambda z: torch.cat([z, z.prod(1, keepdim=True)], 1), POINTS)
    for ball, (x, y) in zip(certificate.scalar, POINTS.tolist(), strict=True):
        assert encloses(ball, Fraction(-2) / (1 + Fraction(x) ** 2 + Fraction(y) ** 2) ** 2)


def test_enclosures_of_a_sphere_contain_two():
    assert all(ball.contains(2) for ball in certify(sphere, POINTS + 1).scalar)


def test_a_wrong_rule_leaves_the_truth_outside(monkeypatch):
    monkeypatch.setitem(RULES, torch.square, RULES[torch.square])

    @elementwise(torch.square)
    def _(x, y):
        yield 2 * x
        yield torch.full_like(x, 3)

    for n, ball in enumerate(certify(paraboloid, POINTS).scalar):
        square = 1 + POINTS[n].double().square().sum().item()
        assert not encloses(ball, 2 / Fraction(square) ** 2)


@pytest.mark.grid
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # SELU has two slopes
def test_float_results_of_every_activation_lie_near_the_enclosure(activation):
    decoder, z = decoder_with(activation), torch.randn(3, 2)
    gauss, intrinsic = (certify(decoder, z, formula=f) for f in ("gauss", "intrinsic"))
    assert all(map(flint.arb.overlaps, gauss.scalar, intrinsic.scalar))
    for dtype in (torch.float32, torch.float64):
        for derivatives in ("fused", "autodiff"):
            geometry = curvcore.pullback(decoder.to(dtype), z.to(dtype), derivatives=derivatives)
            error = torch.from_numpy(gauss.relative_error(geometry.scalar))
            assert (error <= 100 * geometry.scalar_relative_error.double()).all()


def test_floats_are_exact_numbers():
    decoder, z = decoder_with(nn.Tanh()), torch.randn(2, 2)
    single, double = certify(decoder, z), certify(decoder.double(), z.double())
    assert all(a.overlaps(b) for a, b in zip(single.scalar, double.scalar, strict=True))


def test_enclosures_are_as_narrow_as_asked():
    for relative, bits in ((1e-10, 128), (1e-100, 512)):
        certificate = certify(paraboloid, POINTS, relative=relative)
        assert certificate.bits == bits
        assert all(ball.rad() <= relative * abs(ball) for ball in certificate.scalar)


def test_relative_errors_are_upper_bounds():
    certificate = certify(paraboloid, POINTS[:1])
    truth = 2 / Fraction(1 + 0.25 + 0.0625) ** 2
    for x in (1.0, 1.16, float("nan"), float("inf")):
        (bound,) = certificate.relative_error(torch.tensor([x], dtype=torch.float64))
        if np.isfinite(x):
            error = float(abs(Fraction(x) - truth) / truth)
            assert error <= bound <= error * (1 + 1e-14)
        else:
            assert bound == np.inf


def test_flat_decoders_have_an_enclosure_of_zero():
    certificate = certify(nn.Linear(2, 5), POINTS)
    assert all(ball.contains(0) and ball.rad() < 1e-20 for ball in certificate.scalar)
    assert certificate.relative_error(torch.zeros(3)).tolist() == [0, 0, 0]


def test_structural_zeros_and_reshaped_outputs():
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (3, 4)))
    certificate = certify(decoder, torch.randn(2, 3))
    assert certificate.metric.shape == (2, 3, 3)


# --- what is refused ----------------------------------------------------------------------------


class Elementwise(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Elementwise(torch.special.i0), "i0"),
        (nn.utils.parametrizations.orthogonal(nn.Linear(8, 8)), "matrix_exp"),
    ],
)
def test_what_has_no_exact_version_is_named(layer, name):
    decoder = nn.Sequential(nn.Linear(2, 8), layer, nn.Linear(8, 5))
    with pytest.raises(curvcore.CurvatureError, match=name):
        certify(decoder, POINTS)


class Scaled(nn.Module):
    """By a number that is computed from a weight: 0.1 as torch has it, squared without rounding."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, z):
        return torch.cat([z, self.weight**2 * torch.square(z).sum(1, keepdim=True) / 2], 1)


def test_numbers_computed_from_weights_are_exact():
    """Of a paraboloid (x, y, c(x² + y²)/2): R = 2c²/(1 + c²|z|²)²."""
    decoder = Scaled()
    bend = Fraction(decoder.weight.item()) ** 2
    certificate = certify(decoder, POINTS)
    for ball, (x, y) in zip(certificate.scalar, POINTS.tolist(), strict=True):
        square = 1 + bend**2 * (Fraction(x) ** 2 + Fraction(y) ** 2)
        assert encloses(ball, 2 * bend**2 / square**2)


@pytest.mark.parametrize("layer", [nn.Softmax(1), nn.BatchNorm1d(8)], ids=["softmax", "batch norm"])
def test_of_rows_and_of_running_means(layer):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), layer, nn.Tanh(), nn.Linear(8, 5)).double()
    decoder(torch.randn(64, 2, dtype=torch.float64))  # running means
    points = POINTS.double()
    found = curvcore.scalar_curvature(decoder.eval(), points)
    assert certify(decoder, points).relative_error(found).max() < 1e-12


def noisy(z):
    return torch.cat([z, torch.square(z)], 1) * torch.randn(())


def coupled(z):
    return torch.cat([z, torch.square(z[[1, 2, 0]])], 1)


def aliased(z):
    return torch.cat([z, z + torch.nn.functional.silu(z, inplace=True)], 1)


def branching(z):
    return torch.cat([z, torch.square(z) if z[0, 0] > 0 else z], 1)


def by_name(z):
    return torch.cat([z, torch.square(z @ torch.mul(input=torch.ones(2, 2), other=0.1))], 1)


def in_place(z):
    return torch.cat([z, torch.square(z @ torch.ones(2, 2).mul_(0.1))], 1)


def fractional(z):
    return torch.cat([z, (z + 3) ** 0.3], 1)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (noisy, "something is random"),
        (coupled, "rows mix"),
        (branching, "may not branch"),
        (by_name, "cannot run on exact numbers: TypeError"),
        (in_place, "computes mul_ of numbers"),
        (fractional, "cannot run on exact numbers: TypeError"),
    ],
)
def test_what_would_not_be_exact_is_refused(decoder, message):
    with pytest.raises(curvcore.CurvatureError, match=message):
        certify(decoder, POINTS + 0.5)


def test_what_works_in_place_is_what_tensors_make_of_it():
    z = (POINTS + 0.5).double()
    expected = curvcore.scalar_curvature(aliased, z)
    for ball, scalar in zip(certify(aliased, z).scalar, expected.tolist(), strict=True):
        assert abs(float(ball.mid()) - scalar) < 1e-9 * (1 + abs(scalar))


def test_no_points_are_refused():
    with pytest.raises(CertificationError, match="no points"):
        certify(paraboloid, POINTS[:0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constants_of_the_dtype_are_those_of_the_decoder(dtype):
    """The eps of RMSNorm, which is that of z's dtype where none is given."""
    decoder = nn.Sequential(
        nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.RMSNorm(8), nn.SiLU(), nn.Linear(8, 5)
    ).to(dtype)
    with torch.no_grad():
        decoder[2].weight.mul_(1e-3)
        decoder[2].bias.mul_(1e-3)
    z = torch.randn(3, 2, dtype=dtype)
    geometry = curvcore.pullback(decoder, z)
    error = certify(decoder, z).relative_error(geometry.scalar)
    assert error.max() < 1e4 * torch.finfo(dtype).eps


def test_balls_that_overlap_are_not_compared():
    """log exp z is 1e-60, of which 128 bits do not show the sign."""
    z = torch.tensor([[1e-60, 0.5]], dtype=torch.float64)

    def decoder(z):
        return torch.cat([z, torch.nn.functional.elu(torch.log(torch.exp(z))) + z**2], 1)

    assert certify(decoder, z).bits > 128


@pytest.mark.parametrize("activation", [torch.expm1, nn.SiLU(), torch.sigmoid])
def test_derivatives_far_to_the_left_keep_their_digits(activation):
    def decoder(z):
        return torch.cat([z, 1e6 * activation(torch.square(z).sum(1, keepdim=True) - 20)], 1)

    geometry = curvcore.pullback(decoder, POINTS.double(), derivatives="fused")
    error = certify(decoder, POINTS.double()).relative_error(geometry.scalar.detach())
    assert error.max() < 1e-12


def test_a_singular_metric_has_no_certificate():
    def folded(z):
        return torch.cat([torch.square(z), z[:, :1] * z[:, 1:]], 1)

    with pytest.raises(CertificationError, match=r"At point 1 .* singular"):
        certify(folded, torch.tensor([[1.0, 0.5], [0.0, 0.0]]))


@pytest.mark.parametrize("relative", [0, 1, -1e-3])
def test_a_width_that_makes_no_sense_is_refused(relative):
    with pytest.raises(CertificationError, match="between 0 and 1"):
        certify(paraboloid, POINTS, relative=relative)


def test_bad_points_are_refused_as_curvcore_does():
    with pytest.raises(curvcore.CurvatureError, match=r"z must be \(B, d\)"):
        certify(paraboloid, POINTS[0])


def test_an_output_of_several_parts_is_told():
    z = torch.randn(2, 2, dtype=torch.float64)
    with pytest.raises(curvcore.DecoderError, match="got dict"):
        certify(lambda z: {"mean": torch.tanh(z), "scale": z}, z)


def test_other_points_are_told():
    z = torch.randn(3, 2, dtype=torch.float64)
    found = certify(lambda z: torch.cat([z, torch.tanh(z)], 1), z)
    with pytest.raises(CertificationError, match=r"must be \(3,\), .* got \(2,\)"):
        found.relative_error(torch.zeros(2))
