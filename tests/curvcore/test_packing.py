"""Packed symmetric tensors and the chain rule on them."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from curvcore import packing, riemann
from curvcore.providers.fused import chain_rule
from curvcore.providers.fused.product_rules import split_levels
from tests.support.tolerance import assert_close

DIMENSIONS = pytest.mark.parametrize("d", [1, 2, 3, 4, 5])


def symmetric(d, rank, *batch):
    """A random tensor symmetric in its last ``rank`` axes."""
    packed = torch.randn(*batch, packing.count(d, rank), dtype=torch.float64)
    return packing.unpack(packed, d, rank)


@DIMENSIONS
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpacking_undoes_packing(d, rank):
    tensor = symmetric(d, rank, 5, 4)
    assert tensor.shape == (5, 4) + (d,) * rank
    for axis in range(2, rank + 1):
        assert torch.equal(tensor, tensor.transpose(-1, -axis))
    packed = packing.pack(tensor, rank)
    assert packed.shape == (5, 4, packing.count(d, rank))
    assert torch.equal(packing.unpack(packed, d, rank), tensor)


@DIMENSIONS
def test_multiplicities_count_the_entries(d):
    tensor = symmetric(d, 2)
    total = (packing.pack(tensor, 2) * packing.multiplicities(tensor)).sum()
    assert_close(total, tensor.sum(), scale=tensor.abs().sum())


@DIMENSIONS
def test_symmetric_square_changes_the_basis_of_symmetric_tensors(d):
    tensor, basis = symmetric(d, 2, 5), torch.randn(5, d, d, dtype=torch.float64)
    expected = torch.einsum("nij,nia,njb->nab", tensor, basis, basis)
    found = torch.einsum("np,npq->nq", packing.pack(tensor, 2), packing.symmetric_square(basis))
    assert_close(packing.unpack(found, d, 2), expected, scale=expected.abs().max())


@DIMENSIONS
def test_scalar_of_pairs_is_the_trace_of_ricci(d):
    """For any symmetric form ⟨II_p, II_q⟩, in torch and in exact numbers."""
    form = torch.randint(-3, 4, (packing.count(d, 2), 6)).double()
    pairs = form @ form.mT
    normal = packing.unpack(packing.unpack(pairs, d, 2).movedim(0, -1), d, 2)
    inverse = symmetric(d, 2).round()
    expected = riemann.scalar(inverse, riemann.ricci(inverse, riemann.riemann(normal)))
    assert riemann.scalar_of_pairs(inverse, pairs) == expected
    exact = (np.array(t.int().tolist(), dtype=object) for t in (inverse, pairs))
    assert riemann.scalar_of_pairs(*exact) == int(expected)


# --- the chain rule written by hand ---------------------------------------------------------------


def chain_rule_input(d, with_second, points):
    channels = torch.randn(d + with_second * packing.count(d, 2), points, 3, dtype=torch.float64)
    factors = torch.randn(2, 4, 3, dtype=torch.float64)
    return [tensor.requires_grad_() for tensor in (channels, *factors)]


def by_hand(d):
    return lambda channels, f1, f2: chain_rule._SecondOrder.apply(channels, f1, f2, d)


every_chain = pytest.mark.parametrize(
    ("with_second", "points"), [(0, 1), (0, 4), (1, 4)], ids=["constant", "first", "second"]
)


@DIMENSIONS
@every_chain
def test_chain_rule_by_hand_is_the_plain_one(d, with_second, points):
    channels, *factors = chain_rule_input(d, with_second, points)
    expected = torch.cat(chain_rule.compose_levels(factors, split_levels(channels, d), 2))
    assert_close(by_hand(d)(channels, *factors), expected, scale=1 + expected.abs().max())


@pytest.mark.grid
@pytest.mark.parametrize("d", [1, 2, 3])
@every_chain
def test_chain_rule_by_hand_differentiates(d, with_second, points):
    tensors = chain_rule_input(d, with_second, points)
    assert gradcheck(by_hand(d), tensors, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(by_hand(d), tensors)
