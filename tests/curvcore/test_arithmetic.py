"""The number seam: inverses and determinants to full accuracy, for every kind of number."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from curvcore import arithmetic
from tests.support.immersions import random_rotation
from tests.support.tolerance import assert_close, eps

DTYPES = [torch.float64, torch.float32]


def metric_with_spectrum(seed, eigenvalues):
    """A symmetric matrix with the given eigenvalues, and its inverse, in float64."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    frame = random_rotation(seed, len(values))
    return (frame * values) @ frame.T, (frame / values) @ frame.T


# Eigenvalues of a d × d matrix with condition number κ.
SPECTRA = {
    "one_large": lambda d, condition: [1.0] + [1 / condition] * (d - 1),
    "one_small": lambda d, condition: [1.0] * (d - 1) + [1 / condition],
    "geometric": lambda d, condition: [condition ** (-i / max(d - 1, 1)) for i in range(d)],
}


def each_spectrum(test):
    """Shape of the spectrum × condition number × dimension."""
    test = pytest.mark.parametrize("spectrum", SPECTRA)(test)
    test = pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])(test)
    return pytest.mark.parametrize("d", [1, 2, 3, 4, 7])(test)


@each_spectrum
def test_inverse_loses_no_more_than_the_condition_number(spectrum, condition, d):
    eigenvalues = SPECTRA[spectrum](d, condition)
    pairs = [metric_with_spectrum(seed, eigenvalues) for seed in range(20)]
    matrices, inverses = (torch.stack(side) for side in zip(*pairs, strict=True))
    scale = condition * inverses.abs().max()
    assert_close(arithmetic.inverse(matrices), inverses, scale=scale)


@each_spectrum
def test_determinant_loses_no_more_than_the_condition_number(spectrum, condition, d):
    eigenvalues = torch.tensor(SPECTRA[spectrum](d, condition), dtype=torch.float64)
    matrices = torch.stack([metric_with_spectrum(seed, eigenvalues)[0] for seed in range(20)])
    expected = eigenvalues.prod().expand(20)
    assert_close(arithmetic.determinant(matrices), expected, scale=condition * expected)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rescaling_a_coordinate_costs_no_accuracy(d, dtype):
    matrix, _ = metric_with_spectrum(d, [1.0 + 0.1 * i for i in range(d)])
    matrix = matrix.to(dtype)
    scale = 2.0 ** torch.linspace(-20, 20, d, dtype=dtype).round()
    plain, scaled = (arithmetic.inverse(m) for m in (matrix, scale[:, None] * matrix * scale))
    expected = plain / (scale[:, None] * scale)
    assert_close(scaled * (scale[:, None] * scale), expected * (scale[:, None] * scale))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_inverse_and_determinant_in_every_precision(d, dtype):
    matrix, inverse = metric_with_spectrum(d, [1.0 + 0.1 * i for i in range(d)])
    batch = torch.stack([matrix, 2 * matrix]).to(dtype)
    expected = torch.stack([inverse, inverse / 2]).to(dtype)
    assert_close(arithmetic.inverse(batch), expected)
    determinant = torch.linalg.det(matrix)
    expected = torch.stack([determinant, 2**d * determinant]).to(dtype)
    assert_close(arithmetic.determinant(batch), expected)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_third_derivatives_of_the_inverse(d):
    """∂³(A⁻¹) along E: −6 A⁻¹E A⁻¹E A⁻¹E A⁻¹."""
    matrix, inverse = metric_with_spectrum(d, [1.0 + 0.1 * i for i in range(d)])
    direction, _ = metric_with_spectrum(d + 1, [0.1 * (i + 1) for i in range(d)])
    function = lambda t: arithmetic.inverse((matrix + t * direction)[None])[0]  # noqa: E731
    for _ in range(3):
        function = torch.func.jacfwd(function)
    step = inverse @ direction
    expected = -6 * step @ step @ step @ inverse
    assert_close(function(torch.zeros((), dtype=torch.float64)), expected, factor=1000)


# --- condition number and rank --------------------------------------------------------------------


def test_condition_number_of_the_identity_is_one_and_ignores_lengths():
    matrix = torch.diag(torch.tensor([1e-8, 1.0, 1e8], dtype=torch.float64))
    one = torch.ones((), dtype=torch.float64)
    assert_close(arithmetic.condition_number(matrix), one)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "rank"), [(d, rank) for d in range(2, 7) for rank in range(1, d)])
def test_a_jacobian_of_too_low_rank_is_seen(dtype, d, rank):
    """Whatever the rank, the condition number of JᵀJ exceeds the limit of working precision."""
    generator = torch.Generator().manual_seed(10 * d + rank)
    tall = torch.randn(1000, 8, rank, generator=generator, dtype=torch.float64)
    wide = torch.randn(1000, rank, d, generator=generator, dtype=torch.float64)
    jacobian = (tall @ wide).to(dtype)
    condition = arithmetic.condition_number(jacobian.mT @ jacobian)
    unseen = condition[condition < 0.01 / eps(dtype)].tolist()
    assert not unseen


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("entry", [0.0, torch.nan, torch.inf])
def test_condition_number_of_what_is_no_metric_is_infinite(d, entry):
    matrix = torch.eye(d, dtype=torch.float64)
    matrix[0, 0] = entry
    assert arithmetic.condition_number(matrix).isinf()


def test_condition_number_of_an_indefinite_matrix_is_infinite():
    assert arithmetic.condition_number(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).isinf()


# --- exact numbers --------------------------------------------------------------------------------

EXACT = np.array([[2, 1, 0], [1, 3, 1], [0, 1, 4]], dtype=object)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse_of_fractions_is_exact(d):
    matrix = np.frompyfunc(Fraction, 1, 1)(EXACT[:d, :d])
    product = arithmetic.einsum("ij,jk->ik", matrix, arithmetic.inverse(matrix))
    assert (product == np.eye(d, dtype=int)).all()
    assert arithmetic.determinant(matrix) == round(np.linalg.det(EXACT[:d, :d].astype(float)))


def test_inverse_of_a_batch_of_fractions():
    """Batch axes come first for every kind of number."""
    matrix = np.frompyfunc(Fraction, 1, 1)(EXACT[:2, :2])
    batch = np.stack([matrix, 3 * matrix])
    assert (arithmetic.inverse(batch)[0] == arithmetic.inverse(matrix)).all()
    assert (arithmetic.inverse(batch)[1] == arithmetic.inverse(matrix) / 3).all()
    assert list(arithmetic.determinant(batch)) == [5, 45]


def test_square_root_entry_by_entry():
    sympy = pytest.importorskip("sympy")
    roots = arithmetic.sqrt(np.array([sympy.Integer(2), sympy.Integer(9)], dtype=object))
    assert list(roots) == [sympy.sqrt(2), 3]
    assert_close(arithmetic.sqrt(torch.tensor([4.0])), torch.tensor([2.0]))
