"""grid_sample from primitives, for :mod:`curvcore.providers.primitives` and for jets.

It is linear in the image. In the grid it is a polynomial between neighbouring pixels: of degree one
in each coordinate (``bilinear``), with kinks from pixel to pixel, or three (``bicubic``), with one
continuous derivative. Source: Keys, IEEE Trans. ASSP 29 (1981), with a = −3/4 as in torch.
"""

from itertools import product
from math import prod

import torch
import torch.nn.functional as F

_A = -0.75


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """As torch.nn.functional.grid_sample, differentiable any number of times in image and grid."""
    if mode == "nearest":
        return F.grid_sample(input, grid, mode, padding_mode, align_corners)
    sizes = input.shape[2:]
    places = [_in_pixels(grid[..., -1 - n], size, align_corners) for n, size in enumerate(sizes)]
    if mode == "bilinear":
        pairs = zip(places, sizes, strict=True)
        places = [_inside(place, size, padding_mode, align_corners) for place, size in pairs]
    weigh = _linear if mode == "bilinear" else _cubic
    taps = [
        tuple(_taps(weigh, place, size, padding_mode, align_corners))
        for place, size in zip(places, sizes, strict=True)
    ]
    image, total = input.flatten(2), 0
    for chosen in product(*taps):
        index = 0
        for (place, _), size in zip(chosen, sizes, strict=True):
            index = index * size + place
        index = index.reshape(len(index), 1, -1).expand(-1, image.shape[1], -1)
        weight = prod(weight for _, weight in chosen)
        total = total + torch.gather(image, 2, index) * weight.reshape(len(index), 1, -1)
    return total.reshape(*total.shape[:2], *grid.shape[1:-1])


def _in_pixels(coordinate, size, align_corners):
    """The coordinate −1, ..., 1 in pixels, whose centres are 0, ..., size − 1."""
    return (coordinate + 1) / 2 * (size - 1) if align_corners else ((coordinate + 1) * size - 1) / 2


def _inside(place, size, padding_mode, align_corners):
    """The place whose pixels a place beyond the edges sees."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0, size - 1) if align_corners else (-0.5, size)
        if not span:
            return 0 * place
        distance = (place - low).abs()
        turns = torch.floor(distance.detach() / span)
        rest = distance - span * turns
        place = torch.where(turns % 2 == 0, rest, span - rest) + low
    return place.clamp(0, size - 1)


def _taps(weigh, place, size, padding_mode, align_corners):
    """(pixel, weight) of all that are seen along one axis; the weight is zero where none is."""
    first = torch.floor(place.detach())
    for step, weight in weigh(place - first):
        pixel = first + step
        if padding_mode == "zeros":
            weight = weight * ((pixel >= 0) & (pixel < size))
        pixel = _inside(pixel, size, padding_mode, align_corners)
        yield pixel.clamp(0, size - 1).long(), weight


def _linear(t):
    return (0, 1 - t), (1, t)


def _cubic(t):
    return (-1, _outer(t + 1)), (0, _inner(t)), (1, _inner(1 - t)), (2, _outer(2 - t))


def _inner(x):
    return ((_A + 2) * x - (_A + 3)) * x * x + 1


def _outer(x):
    return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A


SAMPLING = {F.grid_sample: grid_sample}
