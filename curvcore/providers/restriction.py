"""Ψ on affine spaces: y ↦ Ψ(z + V y), whose derivatives are those of Ψ along the columns of V."""

import torch

from curvcore.providers.differences import fixed_random

_DIRECTIONS, _POINTS = 3, 8


class Restriction:
    """y (N, k) ↦ Ψ(z + V y), for one point z (d,) and V (d, k).

    Args:
        decoder: callable (B, d) -> (B, ...).
        point: z.
        directions: V.
    """

    def __init__(self, decoder, point, directions):
        self.decoder, self.point, self.directions = decoder, point, directions

    def __call__(self, y):
        return self.decoder(self.point + y @ self.directions.mT)


def sample_restriction(decoder, z):
    """A Restriction through the first of points z (B, d), and points y in it as far apart as z.

    Its directions depend on nothing but d.
    """
    d = z.shape[1]
    k = min(d, _DIRECTIONS)
    directions = fixed_random(d * k, z).reshape(d, k)
    directions = directions / directions.norm(dim=0)
    point = z.detach()[0].clone()
    sizes = z.detach().norm(dim=1)
    extent = torch.where(sizes.max() > 0, sizes.max(), 1) / d**0.5
    y = extent * fixed_random(_POINTS * k, z).reshape(_POINTS, k)
    return Restriction(decoder, point, directions), torch.cat([torch.zeros_like(y[:1]), y[1:]])
