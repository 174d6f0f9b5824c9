"""Bases in which the metric is nearly the identity, and components in them and in coordinates."""

import pytest
import torch

from curvcore import packing, riemann
from curvcore.arithmetic import almost_orthonormal
from curvcore.frames import Frame
from curvcore.jets import Derivatives
from tests.support.tolerance import assert_close

DIMENSIONS = pytest.mark.parametrize("d", [1, 2, 3, 5])


def random(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def frame(d):
    """Any basis E, no orthonormal one, and its inverse."""
    basis = random(0, 4, d, d) + 3 * torch.eye(d, dtype=torch.float64)
    return Frame(basis, torch.linalg.inv(basis))


@DIMENSIONS
@pytest.mark.parametrize("stretch", [1.0, 2.0**30])
def test_the_metric_is_the_identity_in_its_frame(d, stretch):
    """In coordinates of whatever units, up to a rounding of κ: here some hundreds."""
    units = stretch ** torch.linspace(-1, 1, d, dtype=torch.float64)
    root = (random(1, 20, d, d) / 4 + torch.eye(d, dtype=torch.float64)) * units
    basis, dual = almost_orthonormal(root.mT @ root)
    eye = torch.eye(d, dtype=torch.float64).expand(20, d, d)
    assert_close((root @ basis).mT @ (root @ basis), eye, factor=1e4)
    assert_close((dual / units) @ (units[:, None] * basis), eye, factor=1e4)


@DIMENSIONS
def test_derivatives_are_those_in_frame_coordinates(d):
    """∂_a∂_b∂_cΨ = E^i_a E^j_b E^k_c ∂_i∂_j∂_kΨ."""
    chosen = frame(d)
    E = chosen.basis
    full = [random(3, 4, 3, d)]
    for rank in (2, 3):
        packed = random(rank, 4, 3, packing.count(d, rank))
        full.append(packing.unpack(packed, d, rank))
    levels = [full[0], packing.pack(full[1], 2), packing.pack(full[2], 3)]
    found = chosen.derivatives(Derivatives(*levels))
    expected = [
        torch.einsum("nai,nij->naj", full[0], E),
        torch.einsum("nakl,nki,nlj->naij", full[1], E, E),
        torch.einsum("naklm,nki,nlj,nmo->naijo", full[2], E, E, E),
    ]
    for rank, tensor in enumerate(expected, 1):
        assert_close(found.full(rank), tensor, scale=10 * tensor.abs().max())


@DIMENSIONS
def test_components_in_coordinates(d):
    chosen = frame(d)
    E, F = chosen.basis, chosen.dual_basis
    covector, square, symbol = random(4, 4, d), random(5, 4, d, d), random(6, 4, d, d, d)
    pairs = [
        (chosen.vector(covector), torch.einsum("nai,ni->na", F, covector)),
        (chosen.covariant(square, 2), torch.einsum("nai,nbj,nab->nij", F, F, square)),
        (chosen.contravariant(square, 2), torch.einsum("nia,njb,nab->nij", E, E, square)),
        (
            chosen.christoffel(symbol),
            torch.einsum("nkc,nai,nbj,ncab->nkij", E, F, F, symbol),
        ),
    ]
    for found, expected in pairs:
        assert_close(found, expected, scale=10 * expected.abs().max())


@DIMENSIONS
def test_mean_curvature_takes_all_components(d):
    """Also in a frame that is not orthonormal."""
    inverse, form = random(7, 4, d, d), random(8, 4, 3, d, d)
    inverse, form = inverse + inverse.mT, form + form.mT
    expected = sum(inverse[:, None, i, j] * form[:, :, i, j] for i in range(d) for j in range(d))
    assert_close(riemann.mean_curvature(inverse, form), expected, scale=10 * expected.abs().max())
