"""What an answer is worth: its error against what is right, or why there is none.

The error of a tensor at a point is the Frobenius norm of what it is off, over the unit of
:mod:`verification.referee.truth`, and the worst point counts. It is a fault where fewer than half
of the dtype's digits are right, and of geodesics fewer than three; exceptions, NaN and wrong shapes
are faults too. What a library does not offer is none.
"""

import math
from dataclasses import dataclass

import numpy as np

from verification.referee import shooting, truth
from verification.referee.cases import GEODESICS, Case

RIGHT, FAULT, ABSENT = "right", "fault", "not offered"
GEODESIC_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Truth:
    """A case with what is right and the units of errors."""

    case: Case
    values: dict
    units: dict

    @property
    def ambient(self):
        """D."""
        return self.values["jacobian"].shape[1]


def truth_of(case):
    """The Truth of a case, worked out and confirmed."""
    values, units = truth.known(case)
    if case.reach:
        values |= shooting.geodesics(case)
        spans = np.linalg.norm(values["exponential"] - case.points[: len(case.directions)], axis=1)
        units |= {"exponential": spans, "distance": values["distance"]}
    return Truth(case, values, units)


def tolerance(quantity, dtype):
    """The relative error from which on an answer is a fault."""
    return GEODESIC_TOLERANCE if quantity in GEODESICS else math.sqrt(np.finfo(dtype).eps)


def scored(library, truth, dtype, quantity, answer):
    """Plain data for JSON on one answer of a worker."""
    result = {"case": truth.case.name, "dtype": dtype, "quantity": quantity}
    if answer.get("absent"):
        why = library.why_absent(quantity)
        return {**result, "verdict": ABSENT, "why": why}
    if "error" in answer:
        return {**result, "verdict": FAULT, "got": answer["error"]}
    right = truth.values[quantity]
    try:
        got = np.array(answer["value"], dtype=float)
    except ValueError:
        got = np.empty(0)
    seconds = {size: _plain(taken) for size, taken in answer["seconds"].items()}
    result |= {"seconds": seconds, "dtype_got": answer["dtype"]}
    if got.shape != right.shape:
        words = f"shape {got.shape} for {right.shape}"
        return {**result, "verdict": FAULT, "got": words}
    error = relative_error(got, right, truth.units[quantity])
    result |= {"error": _plain(error), "verdict": RIGHT}
    if not error <= tolerance(quantity, library.precision or dtype):
        worst = _worst(got, right)
        entry = {"index": [int(i) for i in worst], "got": _plain(got[worst])}
        result |= {"verdict": FAULT, **entry, "right": _plain(right[worst])}
    return result


def relative_error(got, right, unit):
    """The worst, over points, of |got − right| in the unit; of one unit, of all at once."""
    difference = (got - right).reshape(np.size(unit), -1)
    return float(np.max(np.linalg.norm(difference, axis=1) / unit))


def _worst(got, right):
    off = np.where(np.isfinite(got), np.abs(got - right), np.inf)
    return np.unravel_index(np.argmax(off), off.shape)


def _plain(number):
    """A float of four digits, or words for one that JSON does not know, or words as they are."""
    if isinstance(number, str):
        return number
    return float(f"{number:.4g}") if math.isfinite(number) else str(float(number))
