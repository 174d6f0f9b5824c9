"""Rows for which no step is short enough are told from the others."""

import pytest
import torch

from curvcore.initial_value import _LargestRows, solved, solved_apart


def solved_rows(count, stuck_rows):
    """What is found of numbers 0 to count − 1, and which solves it takes, one stuck at a time."""
    solved = []

    def solve(number):
        solved.append(number.tolist())
        stuck = sorted({*solved[-1]} & stuck_rows)
        return (None, number == stuck[0]) if stuck else (number, None)

    return solved_apart(solve, lambda number: -number, torch.arange(count)).tolist(), solved


def test_a_row_that_is_stuck_is_solved_apart():
    """It is told by its error: four solves, where halves of 32 rows would take eleven."""
    found, solved = solved_rows(32, {20})
    assert found == [*range(20), -20, *range(21, 32)]
    assert sorted(map(len, solved)) == [1, 15, 16, 32]


def test_many_rows_that_are_stuck_are_told_from_others_that_are():
    stuck = {*range(1, 1000, 2)}
    found, solved = solved_rows(1000, stuck)
    assert found == [-n if n in stuck else n for n in range(1000)]
    assert sum(map(len, solved)) < 10_000  # rows solved, of 250 000 if each took all others along


def test_rows_of_which_none_stands_out_are_halved():
    def solve(number):
        return (None, torch.ones_like(number) == 1) if len(number) > 1 else (number, None)

    assert solved_apart(solve, None, torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_the_largest_row_of_an_error():
    norm = _LargestRows()
    x = torch.tensor([[[1.0, -2.0], [0.0, 0.5]], [[0.0, 0.0], [3.5, 0.0]]])
    assert norm(x) == 3.5
    assert norm.rows.tolist() == [True, True]
    norm(torch.tensor([[1.0, torch.nan], [5.0, 5.0]]))
    assert norm.rows.tolist() == [True, False]


def test_an_error_of_the_derivative_is_no_step_that_is_too_short():
    def derivative(time, state):
        raise AssertionError("of the decoder")

    with pytest.raises(AssertionError, match="of the decoder"):
        solved(derivative, torch.zeros(1, 1), 1, 1e-6)
