"""The estimate of R's rounding error against its definition, vector by vector."""

from itertools import product

import pytest
import torch
from torch import nn

import curvcore
from curvcore.providers.rounded import rounded_jet
from curvcore.providers.roundings import EXCESS
from tests.support.tolerance import assert_close


def defined(geometry, formula, eps, again=None):
    """|δR| as :mod:`curvcore.rounding` states it, in latent coordinates, from the vectors: (B,)."""
    inverse, first, second = geometry.inverse_metric, geometry.jacobian, geometry.hessian
    raised = torch.einsum("baij,bik,bjl->bakl", geometry.second_fundamental_form, inverse, inverse)
    sensitivity = torch.einsum("ba,bij->baij", geometry.mean_curvature, inverse) - raised
    to_first = torch.einsum("baij,bkij->bak", sensitivity, geometry.christoffel)
    ricci = torch.einsum("bij,bik,bjl->bkl", geometry.ricci, inverse, inverse)
    lengths = first.norm(dim=1)
    moved = [0 * x if again is None else (y - x) / EXCESS for x, y in _pairs(geometry.jet, again)]
    of_first, of_second = (
        torch.hypot(x.norm(dim=1), y.norm(dim=1) / eps)
        for x, y in zip((first, second), moved, strict=True)
    )
    raising = torch.diagonal(inverse, dim1=1, dim2=2)
    terms = [
        2 * sensitivity.norm(dim=1) * of_second,
        2 * to_first.norm(dim=1) * of_first,
        4 * ricci * lengths[:, :, None] * of_first[:, None, :],
        eps * torch.einsum("bij,bi,bj->b", of_second.square(), raising, raising),
    ]
    if formula == "intrinsic":
        third = geometry.jet.third
        bending = torch.einsum("baij,bakl,bik,bjl->b", second, second, inverse, inverse)
        pulled = torch.einsum("baijk,bil,bjm,bkn->balmn", third, inverse, inverse, inverse)
        terms += [bending, torch.einsum("baijk,baijk->b", third, pulled).sqrt()]
    return eps * sum(x.square().flatten(1).sum(1) for x in map(_rows, terms)).sqrt()


def _pairs(jet, again):
    other = jet if again is None else again
    return (jet.jacobian, other.jacobian), (jet.hessian, other.hessian)


def _rows(tensor):
    return tensor.reshape(len(tensor), -1)


CASES = [*product([(2, 3), (2, 20), (3, 7), (5, 20)], ["gauss", "intrinsic"]), ((9, 14), "gauss")]


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize(("size", "formula"), CASES)
def test_the_estimate_is_its_definition(size, formula, passes):
    d, D = size
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, D)).double()
    stretch = torch.diag(10.0 ** (torch.arange(d) % 5)).double() + torch.ones(d, d).double() / 2

    def stretched(y):
        return 1e-3 * decoder(y @ stretch)

    y = torch.randn(20, d, dtype=torch.float64) @ torch.linalg.inv(stretch)
    options = {"formula": formula, "order": 2 if formula == "gauss" else 3}
    geometry = curvcore.pullback(stretched, y, **options)
    if passes == 1:
        geometry = curvcore.PullbackGeometry(geometry.jet, formula=formula)
    again = rounded_jet(stretched, y, 2) if passes == 2 else None
    eps = torch.finfo(torch.float64).eps
    found = geometry.scalar_error
    expected = defined(geometry, formula, eps, again).detach()
    assert_close(found / expected, torch.ones_like(found), factor=1e7)
    relative = geometry.scalar_relative_error
    assert_close(relative * geometry.scalar.detach().abs() / found, torch.ones(20).double())


@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_the_estimate_in_single_precision(derivatives):
    """To a thousandth what formulas in float64 make of the same derivatives and float32's eps."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 20))
    z = torch.randn(20, 2)
    jet = curvcore.jet(decoder, z, derivatives=derivatives)
    geometry = curvcore.PullbackGeometry(jet)
    exact = curvcore.PullbackGeometry(
        curvcore.Jet(*(array.double() for array in geometry.jet.arrays()))
    )
    expected = defined(exact, "gauss", torch.finfo(torch.float32).eps).detach().float()
    found = geometry.scalar_error
    assert_close(found / expected, torch.ones_like(found), factor=1e4)
    assert not found.requires_grad


def test_flat_space_in_curved_coordinates_at_large_d():
    """II there is nothing but what rounding leaves of it."""
    isometry = torch.linalg.qr(torch.randn(14, 9, dtype=torch.float64))[0]
    z = torch.rand(20, 9, dtype=torch.float64)
    geometry = curvcore.pullback(lambda z: (z + z**2) @ isometry.mT, z)
    assert (geometry.scalar.abs() <= 20 * geometry.scalar_error).all()
