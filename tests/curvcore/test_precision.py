"""float32, float64, half precision, autocast, and modes without gradients."""

import pytest
import torch

import curvcore
from tests.support import decoders
from tests.support.immersions import random_points, ring_torus, stereographic_sphere
from tests.support.parametrisation import cases_named, every_case, every_formula, every_provider
from tests.support.scales import curvature_scale
from tests.support.tolerance import assert_close, assert_identical, eps

QUANTITIES = ["metric", "volume_density", "christoffel", "riemann", "ricci", "scalar"]


@pytest.mark.grid
@every_provider
@every_formula
@every_case
def test_float32_agrees_with_float64(case, formula, provider):
    single = decoders.geometry(case, formula, provider, torch.float32)
    double = decoders.geometry(case, formula, provider)
    scale = curvature_scale(decoders.jet(case, provider)) + 1e-6
    # Rounding the parameters to float32 is one more error of eps in every derivative.
    assert_close(single.scalar, double.scalar.float(), scale=scale, factor=1000)


@every_formula
def test_every_quantity_keeps_the_dtype(formula):
    for dtype in (torch.float32, torch.float64):
        geometry = curvcore.pullback(ring_torus(), random_points(0, 2, 3, dtype), formula=formula)
        for name in (*QUANTITIES, "second_fundamental_form", "mean_curvature", "inverse_metric"):
            assert getattr(geometry, name).dtype == dtype, name


def test_python_constants_do_not_promote_derivatives():
    """0.7 * t of a 0-d float32 tensor t has a float64 tangent in torch; jets keep float32."""
    jet = curvcore.jet(lambda z: torch.cat([z, 0.7 * z**2], 1), torch.rand(2, 1), 3)
    assert {array.dtype for array in jet.arrays()} == {torch.float32}


@every_formula
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_runs(dtype, formula):
    z = torch.tensor([[0.5, 0.25], [0.125, -0.5]], dtype=dtype)
    scalar = curvcore.scalar_curvature(stereographic_sphere(), z, formula=formula)
    assert_close(scalar, 2, scale=10.0, factor=10)


@pytest.mark.grid
@every_provider
@every_case
@pytest.mark.parametrize(
    ("formula", "mode"), [("gauss", torch.no_grad), ("intrinsic", torch.inference_mode)]
)
def test_modes_without_gradient_change_nothing(case, formula, provider, mode):
    expected = decoders.geometry(case, formula, provider).scalar
    decoder, z = case.decoder(), case.points()
    with mode():
        scalar = curvcore.scalar_curvature(decoder, z, formula=formula, derivatives=provider)
    assert not scalar.requires_grad
    scale = curvature_scale(decoders.jet(case, provider)) + 1e-12
    assert_close(scalar, expected.detach(), scale=scale)


def test_points_made_in_inference_mode():
    with torch.inference_mode():
        z = random_points(0, 2)
    expected = curvcore.scalar_curvature(ring_torus(), z.clone())
    assert_identical(curvcore.scalar_curvature(ring_torus(), z), expected)


@pytest.mark.grid
@every_formula
@cases_named("tanh", "layer_norm", "attention", "image_conv_transpose")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_ambient_autocast_changes_nothing(case, formula, dtype):
    """Curvature is a difference of large terms: it has no digit to spare for bfloat16."""
    decoder, z = case.decoder(dtype), case.points(dtype=dtype)
    expected = curvcore.pullback(decoder, z, formula=formula)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        geometry = curvcore.pullback(decoder, z, formula=formula)
        for name in ("value", "jacobian", *QUANTITIES):
            assert_identical(getattr(geometry, name), getattr(expected, name))
        assert_identical(curvcore.metric(decoder, z), expected.metric)
        assert torch.is_autocast_enabled("cpu")


def test_quantities_asked_for_later_under_autocast():
    geometries = [curvcore.pullback(ring_torus(), random_points(0, 2).float()) for _ in range(2)]
    expected = geometries[0].scalar
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_identical(geometries[1].scalar, expected)


@pytest.mark.parametrize("length", [1e-4, 1e4])
def test_volume_neither_overflows_nor_underflows(length):
    """√det g = c^d of z ↦ cz is a float32, though det g = c^2d is not."""
    z = torch.zeros(1, 8)
    volume = curvcore.pullback(lambda z: length * z, z).volume_density
    assert_close(volume, torch.tensor([length]) ** 8)


@every_formula
@pytest.mark.parametrize("length", [1e-6, 1e6])
def test_curvature_in_extreme_units_in_float32(length, formula):
    z = random_points(0, 2, 4, torch.float32)
    expected = curvcore.scalar_curvature(ring_torus(), z, formula=formula)
    scalar = curvcore.scalar_curvature(lambda z: length * ring_torus()(z), z, formula=formula)
    assert_close(scalar * length**2, expected, factor=1000)


def test_default_device_is_left_to_the_user():
    """Helper tensors live where z lives, whatever torch.set_default_device says."""
    z = random_points(0, 2)
    expected = curvcore.scalar_curvature(ring_torus(), z)
    with torch.device("meta"):
        assert_identical(curvcore.scalar_curvature(ring_torus(), z), expected)


def test_default_dtype_does_not_matter():
    z = random_points(0, 2)
    expected = curvcore.scalar_curvature(ring_torus(), z)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert_identical(curvcore.scalar_curvature(ring_torus(), z), expected)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_formula
@cases_named("layer_norm", "attention", "image_conv_transpose", "logdet")
def test_cuda_agrees_with_the_cpu(case, formula):
    expected = decoders.geometry(case, formula, "autodiff").scalar
    decoder, z = case.decoder().cuda(), case.points().cuda()
    scalar = curvcore.scalar_curvature(decoder, z, formula=formula).cpu()
    scale = curvature_scale(decoders.jet(case, "autodiff"))
    assert_close(scalar, expected, scale=scale, factor=1000)
    assert eps(scalar.dtype) < 1e-15
