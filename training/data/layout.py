"""How a .csv is written: what separates its columns, and what its decimals."""

import csv
from dataclasses import dataclass, replace
from itertools import islice

from training.data.dataset import is_number
from training.errors import TrainingError

SEPARATORS = (";", "\t", "|", ",")
DECIMALS = (".", ",")
LINES = 20  # that are looked at


@dataclass(frozen=True)
class Layout:
    """How a .csv is written; what is None is found out from its first lines."""

    separator: str | None = None
    decimal: str | None = None

    def __post_init__(self):
        mark = self.separator
        if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in '"\r\n+-.'):
            raise TrainingError(
                f"separator must be one character, and none of numbers or quotes; got {mark!r}."
            )
        if self.decimal not in (None, *DECIMALS):
            raise TrainingError(f"decimal must be one of {DECIMALS}; got {self.decimal!r}.")
        if mark is not None and mark == self.decimal:
            raise TrainingError(f"separator and decimal are both {mark!r}.")

    def found_in(self, path):
        """The whole layout.

        The separator is the first of ; tab | , that splits the first lines into equally many
        columns, two or more; decimals are commas where another separator leaves numbers with them.
        """
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in islice(file, LINES) if line.strip()]
        separator = self.separator or next(filter(lambda s: _splits(lines, s), SEPARATORS), ",")
        cells = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
        decimal = self.decimal or ("," if separator != "," and any(map(_is_comma, cells)) else ".")
        return replace(self, separator=separator, decimal=decimal)

    def number(self, text):
        """The number that a cell stands for; ValueError if it is none.

        Beside decimal commas a point may separate thousands: 1.234,5 and 1.234 are no numbers.
        """
        if self.decimal == "," and "." in text:
            raise ValueError(f"{text!r} has a point, and decimals have commas")
        return float(self.plain(text))

    def plain(self, text):
        """The cell with a decimal point, if it is a number with a decimal comma."""
        return text.replace(",", ".") if self.decimal == "," and _is_comma(text) else text

    def __str__(self):
        return (
            f"Columns are read as separated by {self.separator!r}, decimals as written with "
            f"{self.decimal!r}: if they are not, say separator=, decimal=."
        )


def _splits(lines, separator):
    counts = {len(row) for row in csv.reader(lines, delimiter=separator)}
    return len(counts) == 1 and counts.pop() > 1


def _is_comma(cell):
    """Whether a cell is a number with a decimal comma."""
    return cell.count(",") == 1 and "." not in cell and is_number(cell.replace(",", "."))
