"""The decoder of a trained run, to flow: on a torus, or on a patch where dm vanishes at the rim.

A patch is a box in coordinates y in which the encoded points are white, z = mean + C^{1/2} y, and

    ρ ∝ Π_i (1 − y_i²/a²)^k,   k = 6, a² = 2k + 3,

which has mean and covariance of the encoded points and vanishes, with five derivatives, at the rim:
the boundary terms of all integrations by parts do.
"""

import torch

from training import runs
from training.errors import TrainingError
from training.flows.minimal import fourier
from training.flows.surfaces import Subject
from training.functionals import FixedMeasure, LatentSample
from training.measures import QuadratureGrid
from training.models import is_periodic

POWER = 6
REACH = (2 * POWER + 3) ** 0.5
DEGREE = 4  # of the polynomials in the minimal potential


def of_run(folder, nodes=24, checkpoint="last", trust=False):
    """The Subject of a run of two latent dimensions, in raw units.

    Raises:
        TrainingError: it has other latents.
    """
    module, data = runs.load(folder, checkpoint, trust)
    module = module.double()
    with torch.no_grad():
        z = module.encode(data.training_points())
    if z.shape[1] != 2:
        raise TrainingError(f"{folder} has {z.shape[1]} latent dimensions; flow takes 2.")
    decoder = _Decoder(module)
    if is_periodic(module.autoencoder):
        sample = QuadratureGrid((0, 0), (1, 1), nodes, periodic=True).grid(z)
        axis = torch.linspace(0, 1, 49).to(z)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        return Subject(str(folder), decoder, sample, FixedMeasure(), fourier(4), grid, {})
    mean, root = z.mean(0), torch.linalg.cholesky(torch.cov(z.T))
    box = QuadratureGrid((-REACH,) * 2, (REACH,) * 2, nodes).grid(z)
    sample = LatentSample.weighted(mean + box.z @ root.mT, box.weights * root.diagonal().prod())
    axis = torch.linspace(-2, 2, 41).to(z)
    grid = mean + torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1) @ root.mT
    white = torch.linalg.inv(root)
    fixed = FixedMeasure(lambda z: POWER * torch.log1p(-(_in_box(z, mean, white) ** 2)).sum())
    return Subject(str(folder), decoder, sample, fixed, _basis(mean, white), grid, {}, False)


def _in_box(z, mean, white):
    """y/a, in (−1, 1)²."""
    return (z - mean) @ white.mT / REACH


def _basis(mean, white):
    """√ρ times polynomials of y up to degree 4 in each coordinate: their w vanishes at the rim."""

    def basis(z):
        y = _in_box(z, mean, white)
        powers = torch.stack([y**0, y, *(y**i for i in range(2, DEGREE + 1))], -1)
        products = (powers[..., 0, :, None] * powers[..., 1, None, :]).flatten(-2)
        return (1 - y.square()).prod(-1, keepdim=True) ** (POWER // 2) * products

    return basis


class _Decoder(torch.nn.Module):
    """z -> data in raw units; what moves are the weights of the decoder alone."""

    def __init__(self, module):
        super().__init__()
        self.decoder, self._scale = module.autoencoder.decoder.train(), module.scale

    def forward(self, z):
        """(B, 2) -> (B, D)."""
        return self._scale.inverse(self.decoder(z))
