"""Rows for which no step is short enough are told from the others."""

import torch

from curvcore.initial_value import _LargestRow, solved_apart


def test_rows_that_are_stuck_aresolved_apart():
    """One is told by its error: three solves, where halves of 32 rows would take eleven."""
    solved = []

    def solve(number):
        """As if no step was short enough for number 20, of which the error is largest."""
        solved.append(number.tolist())
        stuck = number == 20
        return torch.where(stuck, -1, number), stuck if stuck.any() else None

    found = solved_apart(solve, torch.arange(32))
    assert found.tolist() == [*range(20), -1, *range(21, 32)]
    assert solved == [[*range(32)], [*range(20), *range(21, 32)], [20]]


def test_rows_of_which_none_stands_out_are_halved():
    def solve(number):
        stuck = torch.ones_like(number, dtype=torch.bool)
        return number, stuck if len(number) > 1 else None

    assert solved_apart(solve, torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_the_largest_row_of_an_error():
    norm = _LargestRow()
    x = torch.tensor([[[1.0, -2.0], [0.0, 0.5]], [[0.0, 0.0], [3.5, 0.0]]])
    assert norm(x) == 3.5
    assert norm.rows.tolist() == [True, True]
    norm(torch.tensor([[1.0, torch.nan], [5.0, 5.0]]))
    assert norm.rows.tolist() == [True, False]
