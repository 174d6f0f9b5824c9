"""Ricci, mean and sectional curvature at large d, against those of all derivatives at once."""

import pytest
import torch
from torch import nn

import curvcore
from curvcore import large_dimension

EPS = torch.finfo(torch.float64).eps
# Every way loses some hundred eps to the jet, times the condition of g, here below 100.
TOLERANCE = 2e4 * EPS


class Skip(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(d, 20), nn.Tanh(), nn.Linear(20, 30))
        self.beside = nn.Linear(d, 30)

    def forward(self, z):
        return self.inner(z) + self.beside(z)


def decoder_of(kind, d):
    torch.manual_seed(d)
    if kind == "skip":
        return Skip(d).double()
    return nn.Sequential(nn.Linear(d, 24), nn.SiLU(), nn.Linear(24, 6 * d)).double()


def points(d, count=4):
    return torch.randn(count, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


WAYS = {
    "ricci": (curvcore.ricci_curvature, lambda geometry: geometry.ricci),
    "mean": (curvcore.mean_curvature, lambda geometry: geometry.mean_curvature),
    "plane": (
        lambda decoder, z, **options: curvcore.sectional_curvature(
            decoder, z, *planes(z.shape[-1]), **options
        ),
        lambda geometry: geometry.sectional(*planes(geometry.metric.shape[1])),
    ),
}


def planes(d):
    """Of no order of size, one for all points and one for each."""
    return 1e-9 * torch.arange(1.0, d + 1).double(), 1e7 * points(d).cos()


def assert_equal(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).norm() <= TOLERANCE * expected.norm()


@pytest.mark.grid
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["stack", "skip"])
@pytest.mark.parametrize("d", [2, 5, 12])
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
def test_they_are_those_of_the_geometry(way, kind, d, derivatives):
    function, of_geometry = WAYS[way]
    decoder, z = decoder_of(kind, d), points(d)
    expected = of_geometry(curvcore.pullback(decoder, z, derivatives="autodiff"))
    assert_equal(function(decoder, z, derivatives=derivatives), expected)
    assert_equal(function(decoder, z, derivatives=derivatives, chunk_size=3), expected)


@pytest.mark.grid
@pytest.mark.parametrize("block_size", [3, 7, 20, 50, 1000])
def test_blocks_of_ricci(block_size):
    decoder, z = decoder_of("skip", 11), points(11)
    expected = curvcore.pullback(decoder, z).ricci
    assert_equal(curvcore.ricci_curvature(decoder, z, block_size=block_size), expected)


def test_what_does_not_fit_comes_in_blocks(monkeypatch):
    decoder, z = decoder_of("stack", 11), points(11)
    monkeypatch.setattr(large_dimension, "_DERIVATIVES_AT_ONCE", 300)
    monkeypatch.setattr(large_dimension, "ricci_of_frame", None)  # not asked
    for function, of_geometry in WAYS.values():
        assert_equal(function(decoder, z), of_geometry(curvcore.pullback(decoder, z)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["stack", "skip"])
def test_gradients(way, kind):
    function, of_geometry = WAYS[way]
    decoder, z = decoder_of(kind, 9), points(9).requires_grad_()
    options = {"block_size": 12} if way == "ricci" else {}
    parameters = [z, *decoder.parameters()]
    loss = function(decoder, z, **options).square().sum()
    expected = of_geometry(curvcore.pullback(decoder, z)).square().sum()
    found, other = (torch.autograd.grad(x, parameters, allow_unused=True) for x in (loss, expected))
    for one, two in zip(found, other, strict=True):
        if two is None or not two.any():
            assert one is None or one.abs().max() <= TOLERANCE * expected
        else:
            assert (one - two).norm() <= TOLERANCE * (two.norm() + other[0].norm())


def test_mean_curvature_is_in_the_ambient_space_where_no_gradient_is_asked_for():
    decoder, z = decoder_of("stack", 12), points(12)
    with torch.no_grad():
        found = curvcore.mean_curvature(decoder, z)
        assert_equal(found, curvcore.pullback(decoder, z).mean_curvature)


def sphere(z):
    """Stereographic coordinates of a sphere of radius 2."""
    square = z.square().sum(1, keepdim=True)
    return 2 * torch.cat([2 * z, square - 1], 1) / (1 + square)


@pytest.mark.parametrize("d", [3, 40])
def test_a_sphere(d):
    """Ric = (d − 1)/r² g, H = −d x/r², K = 1/r²."""
    z = points(d) / d**0.5
    metric, x = curvcore.metric(sphere, z), sphere(z)
    for block_size in (None, 100):
        ricci = curvcore.ricci_curvature(sphere, z, block_size=block_size)
        assert_equal(ricci, (d - 1) / 4 * metric)
    assert_equal(curvcore.mean_curvature(sphere, z), -d * x / 4)
    assert_equal(
        curvcore.sectional_curvature(sphere, z, *planes(d)), torch.full_like(z[:, 0], 1 / 4)
    )


@pytest.mark.parametrize("way", WAYS)
def test_degenerate_points(way):
    inner, z = decoder_of("stack", 9), torch.ones(4, 9, dtype=torch.float64)
    z[1, 8] = 0

    def decoder(z):
        return inner(torch.cat([z[:, :8], z[:, 8:] ** 2], 1))

    function, _ = WAYS[way]
    with pytest.raises(curvcore.DegenerateMetricError, match=r"1 point.*: 1"):
        function(decoder, z)
    masked = function(decoder, z, on_degenerate="nan").reshape(4, -1)
    assert masked.isnan().all(1).tolist() == [False, True, False, False]
    assert not function(decoder, z, on_degenerate="flat").reshape(4, -1)[1].any()


def test_parallel_vectors_span_no_plane():
    decoder, z = decoder_of("stack", 9), points(9)
    assert curvcore.sectional_curvature(decoder, z, z, -2 * z).isnan().all()


@pytest.mark.grid
@pytest.mark.parametrize("d", [6, 12])
@pytest.mark.parametrize("sine", [1e-1, 1e-2, 1e-3, 1e-4])
def test_vectors_that_are_nearly_parallel(d, sine):
    """K loses eps √κ/sin, as the plane does: not its square."""
    decoder, z = decoder_of("stack", d), points(d, 64)
    u, v = points(d, 64).cos(), points(d, 64).sin()
    v = (u + sine * v).float()
    expected = curvcore.sectional_curvature(decoder, z, u.float().double(), v.double())
    geometry = curvcore.pullback(decoder, z)
    sines = torch.sin(_angle(u, v.double(), geometry.metric))
    # |K| and how K changes with the plane are at most of the size of |Ric|.
    size = torch.linalg.matrix_norm(geometry.inverse_metric @ geometry.ricci) + expected.abs()
    bound = 100 * torch.finfo(torch.float32).eps * geometry.condition_number.sqrt() / sines * size
    decoder, z = decoder.float(), z.float()
    for found in (
        curvcore.sectional_curvature(decoder, z, u.float(), v),
        curvcore.pullback(decoder, z).sectional(u.float(), v),
    ):
        assert ((found - expected).abs() <= bound).all()


def _angle(u, v, metric):
    factor = torch.linalg.cholesky(metric).mT
    u, v = (factor @ x[..., None] for x in (u, v))
    u, v = u / u.norm(dim=1, keepdim=True), v / v.norm(dim=1, keepdim=True)
    return 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))[:, 0]


@pytest.mark.grid
@pytest.mark.parametrize("scale", [1e-15, 1e-10, 1e15])
@pytest.mark.parametrize("d", [6, 12])
def test_units_of_planes(d, scale):
    """Of Ψ, and of latent coordinates, in float32."""
    decoder, z = decoder_of("stack", d).float(), points(d).float()
    u, v = (x.float() for x in (points(d).cos(), points(d).sin()))
    expected = curvcore.sectional_curvature(decoder, z, u, v)

    def assert_close(found):
        assert ((found / expected - 1).abs() <= 1e-3).all()

    def larger(z):
        return scale * decoder(z)

    def stretched(z):
        return decoder(z / scale)

    assert_close(curvcore.sectional_curvature(larger, z, u, v) * scale * scale)
    assert_close(curvcore.pullback(larger, z).sectional(u, v) * scale * scale)
    assert_close(curvcore.sectional_curvature(stretched, z * scale, u, v))
    assert_close(curvcore.pullback(stretched, z * scale).sectional(u, v))


@pytest.mark.parametrize("way", WAYS)
def test_no_points(way):
    decoder, z = decoder_of("stack", 9), points(9)[:0]
    expected = (0, 9, 9) if way == "ricci" else (0, 54) if way == "mean" else (0,)
    vectors = () if way != "plane" else (z, z)
    functions = {"plane": curvcore.sectional_curvature}
    assert functions.get(way, WAYS[way][0])(decoder, z, *vectors).shape == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("z", "message"),
    [
        (points(9).bfloat16(), r"float32 and float64.*curvcore\.pullback"),
        (points(9)[0], "z must be"),
        (points(9) * torch.nan, "NaN or Inf at 4 of 4 points"),
    ],
)
def test_bad_points(way, z, message):
    with pytest.raises(curvcore.InputError, match=message):
        WAYS[way][0](decoder_of("stack", 9), z)


def test_vectors_that_are_no_tensors():
    with pytest.raises(curvcore.InputError, match="u must be a torch tensor; got ndarray"):
        curvcore.sectional_curvature(
            decoder_of("stack", 9), points(9), points(9).numpy(), points(9)
        )


def test_bad_vectors():
    decoder, z = decoder_of("stack", 9), points(9)
    with pytest.raises(
        curvcore.InputError, match=r"u must be \(B, d\) with d = 9; got \(8,\) for B = 4"
    ):
        curvcore.sectional_curvature(decoder, z, z[0, :8], z)
    with pytest.raises(curvcore.InputError, match="d ≥ 2"):
        curvcore.sectional_curvature(decoder_of("stack", 1), points(1), points(1), points(1))
    with pytest.raises(curvcore.InputError, match="from 3 on; got 2"):
        curvcore.ricci_curvature(decoder, z, block_size=2)
