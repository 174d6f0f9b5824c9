"""Bad points and options: a clear error before the decoder is called at all."""

import numpy as np
import pytest
import torch

import curvcore
from curvcore import CurvatureError, DecoderError, InputError

Z = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], dtype=torch.float64)


def immersion(z):
    return torch.cat([z, z.square()], 1)


@pytest.fixture
def decoder():
    """A decoder that fails the test when it is called."""

    def never(z):
        pytest.fail("the decoder was called")

    return never


PUBLIC = {
    "jet": lambda decoder, z: curvcore.jet(decoder, z),
    "metric": curvcore.metric,
    "pullback": curvcore.pullback,
    "pullback_chunked": lambda decoder, z: curvcore.pullback(decoder, z, chunk_size=2),
    "scalar_curvature": curvcore.scalar_curvature,
    "scalar_curvature_chunked": lambda d, z: curvcore.scalar_curvature(d, z, chunk_size=2),
}


def smooth(z):
    """A decoder that can be called anywhere."""
    return torch.cat([z, torch.sin(z).sum(1, keepdim=True)], 1)


every_entry = pytest.mark.parametrize("entry", PUBLIC.values(), ids=PUBLIC)

POINTS = {
    "one_point": (Z[0], r"z must be \(B, d\); got \(2,\)\. For one point write z\[None\]\."),
    "number": (Z[0, 0], r"z must be \(B, d\); got \(\)\."),
    "no_coordinate": (Z[:, :0], r"at least one latent coordinate; got \(3, 0\)"),
    "integer": (torch.ones(3, 2).long(), r"floating point; got torch.int64\. Write z.double\(\)"),
    "boolean": (torch.ones(3, 2).bool(), r"floating point; got torch.bool"),
    "complex": (torch.ones(3, 2).cfloat(), r"real floating point; got torch.complex64"),
    "numpy": (np.zeros((3, 2)), r"torch tensor \(B, d\); got ndarray\. Write torch.as_tensor\(z\)"),
    "list": ([[0.0, 1.0]], r"torch tensor \(B, d\); got list"),
    "nothing": (None, r"torch tensor \(B, d\); got NoneType"),
}


@every_entry
@pytest.mark.parametrize(("z", "message"), POINTS.values(), ids=POINTS)
def test_bad_points(entry, z, message, decoder):
    with pytest.raises(InputError, match=message):
        entry(decoder, z)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_points_that_are_not_finite(number, chunk_size):
    """Jets refuse them; geometry does once it asks for degenerate points, or has NaN there."""
    z = torch.where(Z > 0.55, number, Z)
    for entry in (curvcore.jet, curvcore.metric):
        with pytest.raises(InputError, match="NaN or Inf at 1 of 3 points: 2"):
            entry(smooth, z, chunk_size=chunk_size)
    with pytest.raises(InputError, match="NaN or Inf at 1 of 3 points: 2"):
        curvcore.scalar_curvature(smooth, z, chunk_size=chunk_size)
    with pytest.raises(InputError, match="NaN or Inf at 1 of 3 points: 2"):
        _ = curvcore.pullback(smooth, z, chunk_size=chunk_size).ricci
    found = curvcore.scalar_curvature(smooth, z, chunk_size=chunk_size, on_degenerate="nan")
    assert found.isnan().tolist() == [False, False, True]


def test_many_bad_points_are_not_all_listed():
    with pytest.raises(InputError, match=r"20 of 30 points: 0, 1, 2, 3, 4, 5, 6, 7, \.\.\."):
        curvcore.metric(immersion, torch.where(torch.arange(30) < 20, torch.nan, 1.0)[:, None])


OPTIONS = {
    "formula": ({"formula": "gaus"}, r"formula must be one of 'gauss', 'intrinsic'; got 'gaus'"),
    "derivatives": ({"derivatives": "jax"}, r"derivatives must be one of 'auto', .*; got 'jax'"),
    "on_degenerate": (
        {"on_degenerate": "ignore"},
        r"on_degenerate must be one of 'raise', 'nan', 'flat'; got 'ignore'",
    ),
    "chunk_zero": ({"chunk_size": 0}, r"chunk_size must be None or a positive integer; got 0"),
    "chunk_negative": ({"chunk_size": -1}, r"chunk_size must be .* positive integer; got -1"),
    "chunk_float": ({"chunk_size": 2.0}, r"chunk_size must be .* positive integer; got 2.0"),
    "chunk_boolean": ({"chunk_size": True}, r"chunk_size must be .* positive integer; got True"),
}


@pytest.mark.parametrize("entry", [curvcore.pullback, curvcore.scalar_curvature])
@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_bad_options(entry, options, message, decoder):
    with pytest.raises(InputError, match=message):
        entry(decoder, Z, **options)


@pytest.mark.parametrize("order", [0, 4, -1, "2", None, 1.5])
def test_bad_order(order, decoder):
    with pytest.raises(InputError, match=r"order must be 1, 2 or 3; got"):
        curvcore.jet(decoder, Z, order)


def test_options_are_keywords():
    with pytest.raises(TypeError):
        curvcore.pullback(immersion, Z, "gauss")


def test_neither_decoder_nor_expressions():
    with pytest.raises(InputError, match="callable decoder with a torch tensor"):
        curvcore.pullback(3, 4)


# --- what a geometry needs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "order", "quantity", "needed"),
    [
        ("gauss", 1, "christoffel", 2),
        ("gauss", 1, "hessian", 2),
        ("gauss", 1, "scalar", 2),
        ("intrinsic", 1, "scalar", 2),
        ("intrinsic", 2, "scalar", 3),
    ],
)
def test_a_jet_of_too_low_order(formula, order, quantity, needed):
    geometry = curvcore.PullbackGeometry(curvcore.jet(immersion, Z, order), formula=formula)
    assert geometry.metric.shape == (3, 2, 2)
    assert geometry.volume_density.shape == (3,)
    message = rf"derivatives of order {needed} .* holds order {order}.*order={needed}"
    with pytest.raises(InputError, match=message):
        getattr(geometry, quantity)


@pytest.mark.parametrize(
    ("method", "arrays", "message"),
    [
        ("sectional", ([3], [2]), r"u must be \(B, d\) with d = 2; got \(3,\)"),
        ("sectional", ([2], [3, 1]), r"v must be \(B, d\) with d = 2; got \(3, 1\)"),
        ("gradient_norm_squared", ([3, 3],), r"df must be \(B, d\) with d = 2; got \(3, 3\)"),
        (
            "covariant_hessian",
            ([3, 2], [3, 2]),
            r"d2f must be \(B, d, d\) with d = 2; got \(3, 2\)",
        ),
        ("laplacian", ([3, 1], [3, 2, 2]), r"df must be \(B, d\) with d = 2; got \(3, 1\)"),
        ("sectional", ([4, 2], [4, 2]), r"u must be \(B, d\)"),
        ("gradient_norm_squared", ([4, 2],), r"df must be \(B, d\)"),
    ],
)
def test_vectors_and_derivatives_of_the_wrong_shape(method, arrays, message):
    geometry = curvcore.pullback(immersion, Z)
    tensors = [torch.ones(shape, dtype=torch.float64) for shape in arrays]
    with pytest.raises(InputError, match=message):
        getattr(geometry, method)(*tensors)


def test_a_curve_has_no_planes():
    geometry = curvcore.pullback(lambda z: torch.cat([z, z.square()], 1), Z[:, :1])
    with pytest.raises(InputError, match=r"needs a plane: d ≥ 2"):
        geometry.sectional(torch.ones(1).double(), torch.ones(1).double())


def test_a_number_instead_of_a_vector():
    geometry = curvcore.pullback(immersion, Z)
    with pytest.raises(InputError, match=r"u must be .* got float"):
        geometry.sectional(1.0, 2.0)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (curvcore.InputError, ValueError),
        (curvcore.DecoderError, ValueError),
        (curvcore.RowsNotIndependentError, DecoderError),
        (curvcore.UnsupportedOperationError, RuntimeError),
        (curvcore.DegenerateMetricError, ArithmeticError),
    ],
)
def test_errors_share_one_base_class(error, builtin):
    assert issubclass(error, CurvatureError)
    assert issubclass(error, builtin)
    assert issubclass(curvcore.PiecewiseLinearWarning, UserWarning)
