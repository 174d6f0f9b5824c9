"""Batches: of no point, one or many, in pieces, in any memory layout, to any output shape."""

import pytest
import torch
from torch import nn

import curvcore
from tests.support import decoders
from tests.support.immersions import RandomImmersion, random_points
from tests.support.parametrisation import cases_named, every_formula, every_provider
from tests.support.scales import curvature_scale, lowered
from tests.support.tolerance import assert_close, assert_identical

SHAPES = {  # of every quantity at B points, d = 2, D = 4
    "value": (4,),
    "jacobian": (4, 2),
    "hessian": (4, 2, 2),
    "metric": (2, 2),
    "inverse_metric": (2, 2),
    "volume_density": (),
    "christoffel": (2, 2, 2),
    "second_fundamental_form": (4, 2, 2),
    "mean_curvature": (4,),
    "riemann": (2, 2, 2, 2),
    "ricci": (2, 2),
    "scalar": (),
    "condition_number": (),
}
DECODER = RandomImmersion(11, 2, 4)


@pytest.mark.grid
@every_formula
@every_provider
@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_shape_of_every_quantity(formula, provider, batch, chunk_size):
    geometry = curvcore.pullback(
        DECODER,
        random_points(0, 2, batch),
        formula=formula,
        derivatives=provider,
        chunk_size=chunk_size,
    )
    for name, shape in SHAPES.items():
        quantity = getattr(geometry, name)
        assert quantity.shape == (batch, *shape), name
        assert quantity.dtype == torch.float64, name
    u = torch.eye(2, dtype=torch.float64)
    assert geometry.sectional(u[0], u[1]).shape == (batch,)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@every_formula
def test_no_point_has_no_curvature(d, formula):
    decoder, z = RandomImmersion(1, d, d + 1), random_points(0, d, 0)
    geometry = curvcore.pullback(decoder, z, formula=formula, on_degenerate="nan")
    assert geometry.riemann.shape == (0, d, d, d, d)
    assert curvcore.scalar_curvature(decoder, z, formula=formula, chunk_size=2).shape == (0,)
    assert curvcore.metric(decoder, z).shape == (0, d, d)
    assert curvcore.jet(decoder, z, 3).third.shape == (0, d + 1, d, d, d)


@pytest.mark.parametrize("d", [1, 2, 4])
@every_formula
def test_one_point_is_the_first_of_many(d, formula):
    decoder, z = RandomImmersion(1, d, d + 1), random_points(0, d, 3)
    alone = curvcore.pullback(decoder, z[:1], formula=formula)
    together = curvcore.pullback(decoder, z, formula=formula)
    for name in SHAPES:
        expected = getattr(together, name)[:1]
        assert_close(getattr(alone, name), expected, scale=1 + expected.abs().max())


@pytest.mark.grid
@cases_named("tanh", "layer_norm", "logdet", "attention", "image_conv_transpose", "curve")
@every_formula
@every_provider
def test_chunk_size_changes_nothing(case, formula, provider):
    options = {"formula": formula, "derivatives": provider}
    whole = decoders.geometry(case, formula, provider)
    pieces = curvcore.pullback(case.decoder(), case.points(), chunk_size=2, **options)
    scale = curvature_scale(whole.jet)
    assert_close(pieces.scalar, whole.scalar, scale=scale)
    assert_close(pieces.riemann, whole.riemann, scale=lowered(scale, whole.metric, 4))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 5, 6, 7, 100])
@every_formula
def test_every_chunk_size(chunk_size, formula):
    z = random_points(0, 2, 6)
    whole = curvcore.scalar_curvature(DECODER, z, formula=formula)
    pieces = curvcore.scalar_curvature(DECODER, z, formula=formula, chunk_size=chunk_size)
    assert_close(pieces, whole)
    metric = curvcore.metric(DECODER, z, chunk_size=chunk_size)
    assert_close(metric, curvcore.metric(DECODER, z))
    jet = curvcore.jet(DECODER, z, 3, chunk_size=chunk_size)
    assert_close(jet.third, curvcore.jet(DECODER, z, 3).third)


def test_chunks_bound_the_number_of_points_at_a_time():
    sizes = []

    def decoder(z):
        sizes.append(len(z))
        return DECODER(z)

    curvcore.scalar_curvature(decoder, random_points(0, 2, 9), chunk_size=4)
    assert max(sizes) <= 8  # a decoder is looked at for kinks at so many


LAYOUTS = {
    "transposed": lambda z: z.T.contiguous().T,
    "strided": lambda z: z.repeat_interleave(3, 0)[::3],
    "column_slice": lambda z: torch.cat([z, z], 1)[:, : z.shape[1]],
    "offset": lambda z: torch.cat([z[:1], z])[1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@every_formula
def test_memory_layout_does_not_matter(layout, formula):
    z = random_points(0, 2, 4)
    changed = LAYOUTS[layout](z)
    assert torch.equal(changed, z)
    expected = curvcore.scalar_curvature(DECODER, z, formula=formula)
    assert_close(curvcore.scalar_curvature(DECODER, changed, formula=formula), expected)
    assert_close(
        curvcore.scalar_curvature(DECODER, changed, formula=formula, chunk_size=3), expected
    )


@every_formula
def test_expanded_points(formula):
    """One point seen B times through stride 0."""
    z = random_points(0, 2, 1)
    expected = curvcore.scalar_curvature(DECODER, z, formula=formula).expand(4)
    assert_close(curvcore.scalar_curvature(DECODER, z.expand(4, 2), formula=formula), expected)
    zero = torch.zeros((), dtype=torch.float64).expand(3, 2)
    assert_close(
        curvcore.scalar_curvature(DECODER, zero, formula=formula),
        curvcore.scalar_curvature(DECODER, zero.contiguous(), formula=formula),
    )


def test_points_that_need_a_gradient_or_are_parameters():
    z = random_points(0, 2)
    expected = curvcore.scalar_curvature(DECODER, z)
    assert_close(curvcore.scalar_curvature(DECODER, z.clone().requires_grad_()), expected)
    assert_close(curvcore.scalar_curvature(DECODER, nn.Parameter(z)), expected)


# --- output shapes --------------------------------------------------------------------------------

RESHAPED = {
    "(B, 1, D)": (1, 12),
    "(B, D, 1)": (12, 1),
    "(B, C, L)": (3, 4),
    "(B, C, H, W)": (3, 2, 2),
    "(B, 1, 1, 1, D)": (1, 1, 1, 12),
}


@pytest.mark.grid
@pytest.mark.parametrize("shape", RESHAPED.values(), ids=RESHAPED)
@every_formula
def test_output_of_any_shape_is_flattened(shape, formula):
    decoder, z = RandomImmersion(2, 2, 12), random_points(0, 2, 3)
    flat = curvcore.pullback(decoder, z, formula=formula)
    shaped = curvcore.pullback(lambda z: decoder(z).reshape(-1, *shape), z, formula=formula)
    for name in ("value", "jacobian", "second_fundamental_form", "scalar"):
        expected = getattr(flat, name)
        assert_identical(getattr(shaped, name), expected)


def test_output_whose_memory_is_not_contiguous():
    decoder, z = RandomImmersion(2, 2, 12), random_points(0, 2, 3)
    jet = curvcore.jet(lambda z: decoder(z).reshape(-1, 3, 4).transpose(1, 2), z)
    order = torch.arange(12).reshape(3, 4).T.flatten()
    assert_identical(jet.jacobian, curvcore.jet(decoder, z).jacobian[:, order])


@cases_named("image_conv_transpose", "image_upsample")
def test_image_decoders(case):
    decoder, z = case.decoder(), case.points()
    images = decoder(z)
    assert images.ndim == 4
    jet = curvcore.jet(decoder, z)
    assert_close(jet.value, images.flatten(1))
    assert jet.ambient_dimension == images[0].numel()


def test_decoders_are_any_callable():
    module, z = RandomImmersion(2, 2, 4), random_points(0, 2)
    expected = curvcore.scalar_curvature(module, z)
    for decoder in (module.forward, lambda z: module(z), torch.nn.Sequential(module)):
        assert_close(curvcore.scalar_curvature(decoder, z), expected)
