"""grid_sample: linear in the image, a piecewise polynomial in the grid."""

import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F

import curvcore
from curvcore.providers.fused import MissingRuleError
from curvcore.providers.primitives import PrimitiveOperations
from tests.support.referees import finite_differences_with_error
from tests.support.tolerance import assert_close

PADDING = ["zeros", "border", "reflection"]


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGE, VOLUME = random(1, 2, 6, 5, seed=0), random(1, 2, 3, 4, 5, seed=1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(("padding", "align"), [*itertools.product(PADDING, [True, False])])
def test_the_value_is_that_of_torch(mode, padding, align):
    """In the image and beyond its edges, up to twice its size."""
    cases = [(IMAGE, random(1, 30, 4, 2, seed=2))]
    if mode == "bilinear":
        cases.append((VOLUME, random(1, 10, 4, 3, 3, seed=3)))
    for image, grid in cases:
        grid = 1.5 * grid
        expected = F.grid_sample(image, grid, mode, padding, align)
        with PrimitiveOperations():
            found = F.grid_sample(image, grid, mode, padding, align)
        assert_close(found, expected)


def points(seed, batch=3):
    return random(batch, 2, seed=seed)


def places(z):
    """Places in the grid of one pixel, so that differences meet no kink."""
    angle = torch.arange(3, dtype=z.dtype)
    at = torch.stack([(z[:, :1] + angle).sin(), (z[:, 1:] * angle).cos()], -1) / 30
    return (at + 0.21)[:, None]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", PADDING)
def test_derivatives_in_the_grid_are_those_of_differences(mode, padding, derivatives):
    def decoder(z):
        image = IMAGE.expand(len(z), -1, -1, -1)
        sampled = F.grid_sample(image, places(z), mode, padding, align_corners=False)
        return torch.cat([z, sampled.flatten(1)], 1)

    z = points(4)
    jet = curvcore.jet(decoder, z, 3, derivatives=derivatives)
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.parametrize("both", [True, False])
def test_derivatives_in_the_image(both, derivatives):
    grid = random(1, 4, 3, 2, seed=5) / 2
    weight = random(2, 30, seed=6)

    def decoder(z):
        image = (z @ weight).sin().reshape(-1, 1, 6, 5)
        grids = places(z) if both else grid.expand(len(z), -1, -1, -1)
        return torch.cat([z, F.grid_sample(image, grids, align_corners=True).flatten(1)], 1)

    z = points(7)
    jet = curvcore.jet(decoder, z, 3, derivatives=derivatives)
    for order, array in enumerate(jet.arrays()[1:], start=1):
        expected, error = finite_differences_with_error(decoder, z, order)
        assert (array - expected).abs().max() <= error


def texture(mode):
    image = random(1, 3, 4, 4, seed=8)

    def decoder(z):
        grid = z.tanh()[:, None, None]
        return torch.cat(
            [z, F.grid_sample(image.expand(len(z), -1, -1, -1), grid, mode).flatten(1)], 1
        )

    return decoder


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_kinks_from_pixel_to_pixel_are_told(derivatives):
    """A bilinear texture has them; a bicubic one has a continuous derivative."""
    z = points(9, batch=8)
    with pytest.warns(curvcore.PiecewiseLinearWarning, match="grid_sampler_2d"):
        curvcore.jet(texture("bilinear"), z, derivatives=derivatives)
    with warnings.catch_warnings():
        warnings.simplefilter("error", curvcore.PiecewiseLinearWarning)
        curvcore.jet(texture("bicubic"), z, derivatives=derivatives)


@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_the_nearest_pixel_is_refused_with_the_way_out():
    with pytest.raises(MissingRuleError, match=r"nearest pixel.*bicubic"):
        curvcore.jet(texture("nearest"), points(1), derivatives="fused")
