"""Determinants where they vanish: polynomials, whose derivatives need not."""

import itertools
import math

import pytest
import torch

import curvcore
from tests.support.immersions import tensor
from tests.support.tolerance import assert_close


def leibniz(matrix):
    """det by its definition."""
    total, size = 0, matrix.shape[-1]
    for order in itertools.permutations(range(size)):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        term = math.prod(matrix[..., i, j] for i, j in enumerate(order))
        total = total + (-1) ** inversions * term
    return total


@pytest.mark.grid
@pytest.mark.parametrize(("size", "rank"), [(2, 0), (3, 0), (3, 1), (4, 2), (5, 3), (5, 5), (5, 1)])
def test_determinants_are_differentiated_at_singular_matrices(size, rank):
    """Polynomials all of them."""
    singular = tensor(size, rank, seed=1) @ tensor(rank, size, seed=2)
    assert_determinant_is_differentiated(size, singular)


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 5])
def test_determinants_are_differentiated_at_empty_columns(size):
    """Where partial pivoting finds no pivot, and det has derivatives other than zero."""
    full = tensor(size, size, seed=1)
    for column in (0, size - 1):
        for matrix in (full, 0 * full):
            singular = matrix.clone()
            singular[:, column] = 0
            assert_determinant_is_differentiated(size, singular)


def assert_determinant_is_differentiated(size, singular):
    one, other = tensor(size, size, seed=3), tensor(size, size, seed=4)

    def decoder(det):
        def of_points(z):
            x, y = z[:, 0, None, None], z[:, 1, None, None]
            return torch.cat([z, det(singular + x * one + y * other)[:, None]], 1)

        return of_points

    z = torch.tensor([[0.0, 0.0], [1e-9, -2e-9], [0.3, 0.2]], dtype=torch.float64)
    expected = curvcore.scalar_curvature(decoder(leibniz), z, derivatives="fused")
    found = curvcore.scalar_curvature(decoder(torch.linalg.det), z, derivatives="autodiff")
    assert_close(found, expected, scale=1 + expected.abs(), factor=1e4)
