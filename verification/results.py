"""One comparison and its verdict."""

import math
from dataclasses import asdict, dataclass

EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A quantity computed along one route, against a reference.

    Attributes:
        section: ``"manifolds"``, ``"decoder"`` or ``"gradients"``.
        subject: the manifold or decoder.
        dimension, ambient: d and D.
        quantity: name of the geometric quantity.
        derivatives: provider of the derivatives.
        formula: ``"gauss"`` or ``"intrinsic"``; for a decoder's referees, their name.
        dtype: ``"float64"``, ``"float32"``, or ``"exact"`` for a proof.
        points: number of points compared.
        error: worst relative error; for a proof 0 or infinity.
        tolerance: the largest error that passes (at the same point, where it varies).
        batch: ``"whole"``, or in which other way the points were gone through.
    """

    section: str
    subject: str
    dimension: int
    ambient: int
    quantity: str
    derivatives: str
    formula: str
    dtype: str
    points: int
    error: float
    tolerance: float
    batch: str = "whole"

    @property
    def passed(self):
        """Whether the error is within tolerance; NaN is not."""
        return self.error <= self.tolerance

    def as_dict(self):
        """Plain data for JSON; a number that is not finite becomes a string."""
        record = asdict(self) | {"passed": self.passed}
        for name in ("error", "tolerance"):
            if not math.isfinite(record[name]):
                record[name] = str(record[name])
        return record


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement, checked, and the figure that came out.

    Attributes:
        section: ``"proofs"``, ``"certificates"``, ``"identities"`` or ``"traps"``.
        subject: what was looked at: a formula, a manifold, a decoder, a layer.
        statement: what is claimed of it.
        figure: what was found: ``"0, exactly"``, ``"error 3.1e-09, order 4.0"``, ...
        passed: whether the claim holds.
    """

    section: str
    subject: str
    statement: str
    figure: str
    passed: bool

    def as_dict(self):
        """Plain data for JSON."""
        return asdict(self)
