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


def test_vectors_that_are_hardly_normal_are_projected_again():
    """Of points that are not, nothing is done twice."""
    first = vectors(torch.float32)
    generator = torch.Generator().manual_seed(1)
    along = torch.randn(3, 5, 12, generator=generator) @ first
    x = torch.randn(3, 5, 40, generator=generator)
    x[1] = along[1] + 1e-6 * x[1]
    tangent = TangentSpaces(first)
    found = tangent.normal(x)
    basis = torch.linalg.qr(first.double().mT)[0]
    tangential = (found.double() @ basis).norm(dim=(1, 2))
    eps = torch.finfo(torch.float32).eps
    assert (tangential < 100 * eps * found.norm(dim=(1, 2))).all()
    once = tangent._less_tangential(x)
    assert (found == once).all(2).all(1).tolist() == [True, False, True]


@pytest.mark.parametrize("worst", [None, 1])
def test_gradients_of_frames_are_those_of_one_factorisation(worst):
    """With and without a degenerate point beside them."""
    first = vectors(torch.float64).requires_grad_()
    given = first if worst is None else first * (torch.arange(3) != worst)[:, None, None]
    components = torch.randn(3, 2, 12, dtype=torch.float64)
    tangent = TangentSpaces(given)
    quantities = tangent.log_volume, tangent.directions(components).square().sum((1, 2))
    gram = first @ first.mT
    factor = torch.linalg.cholesky(gram)
    solved = torch.linalg.solve_triangular(factor.mT, components.mT, upper=True)
    expected = gram.logdet() / 2, solved.square().sum((1, 2))
    regular = torch.arange(3) != worst
    for found, right in zip(quantities, expected, strict=True):
        (gradient,) = torch.autograd.grad(found[regular].sum(), first, retain_graph=True)
        (other,) = torch.autograd.grad(right[regular].sum(), first, retain_graph=True)
        torch.testing.assert_close(gradient, other)
