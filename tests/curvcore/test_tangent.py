"""Where tangent spaces know that they have no frame to give."""

import pytest
import torch

from curvcore.tangent import TangentSpaces


def vectors(dtype):
    return torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_factor_means_an_infinite_condition(dtype):
    first = vectors(dtype)
    first[1, 3] = 0
    first[2, 5, 7] = torch.nan
    condition = TangentSpaces(first).condition_number
    assert condition.isfinite().tolist() == [True, False, False]
    assert condition[1:].isinf().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lengths_whose_squares_are_subnormal_leave_no_digits(dtype):
    smallest = torch.finfo(dtype).tiny ** 0.5
    assert not TangentSpaces(vectors(dtype) * smallest * 100).is_degenerate.any()
    # Squares of about 10 tiny: their rounding errors are subnormal.
    assert TangentSpaces(vectors(dtype) * smallest / 2).is_degenerate.all()
