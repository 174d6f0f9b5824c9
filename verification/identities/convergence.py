"""Verdicts on errors that are known for several mesh sizes or steps.

Three kinds of statement:

- spectral: analytic integrands on the meshes of :mod:`verification.identities.meshes`. The error
  must be seen above rounding on the coarsest mesh, end below it on the finest, and fall on the way
  as theory says: geometrically, with the known rate where there is one;
- algebraic: differences in a step h. The error must fall with the order known, and the values
  extrapolated to h = 0 must agree within the error that extrapolation itself estimates;
- pointwise: no mesh; the error must be within rounding.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from verification.agreement import JET_EPS
from verification.results import Finding

SECTION = "identities"
EPS = torch.finfo(torch.float64).eps
# A spectral error falls faster than any power of n. From the coarsest mesh to the finest (a factor
# of 4 to 8 in n) it falls by eight digits and more; an integrand of limited smoothness does not.
SPECTRAL_ORDER = 6
# What is left of lower-order terms in a rate or order fitted to a few coarse meshes.
RATE_TOLERANCE = 0.1
ORDER_TOLERANCE = 0.15
# An error estimate above this, relative to the quantity, would let a wrong formula pass.
DECISIVE = 1e-3


def finding(subject, statement, figure, passed):
    """A Finding of this section."""
    return Finding(
        section=SECTION, subject=subject, statement=statement, figure=figure, passed=bool(passed)
    )


def rounding(size):
    """What may be lost to rounding in a quantity whose terms have that size.

    Jets are good to JET_EPS eps (:mod:`verification.agreement`); what amplifies that belongs to
    ``size``, see :func:`verification.identities.perelman.size`.
    """
    return JET_EPS * EPS * size


# --- spectral -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """The error on the mesh with n points along an axis, and the rounding error allowed there."""

    n: int
    error: float
    bound: float

    def __post_init__(self):
        for name in ("error", "bound"):
            object.__setattr__(self, name, float(getattr(self, name)))


def spectral(subject, statement, measured, rate=None):
    """The Finding that errors fall to rounding, spectrally, or as n · rate^n where that is known.

    The factor n: the singularity of the integrand that is nearest to the mesh is a double pole.
    """
    coarse, fine = measured[0], measured[-1]
    passed = coarse.bound < coarse.error < math.inf and fine.error <= fine.bound
    order = math.log(coarse.error / max(fine.error, fine.bound)) if passed else -math.inf
    passed &= order >= SPECTRAL_ORDER * math.log(fine.n / coarse.n)
    found = _rate(measured, prefactor=1 if rate else 0)
    figure = f"error {coarse.error:.1e} at n = {coarse.n}, {fine.error:.1e} at n = {fine.n}"
    if found is not None:
        figure += f": {'n·' if rate else ''}{found:.3f}^n"
    else:
        figure += ": spectral"
    if rate is not None:
        figure += f", theory {rate:.3f}^n"
        passed &= found is not None and (
            abs(math.log(found) / math.log(rate) - 1) <= RATE_TOLERANCE
        )
    return finding(subject, statement, figure, passed)


def _rate(measured, prefactor):
    """q of error = C n^p q^n, p = ``prefactor``: least squares through errors above rounding."""
    seen = [m for m in measured if m.bound < m.error < math.inf]
    seen = [(m.n, math.log(m.error / m.n**prefactor)) for m in seen]
    return math.exp(np.polyfit(*zip(*seen, strict=True), 1)[0]) if len(seen) > 1 else None


# --- algebraic ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extrapolated:
    """Values at steps h, h/2, h/4, … extrapolated to h = 0 (Romberg; errors in even powers of h).

    columns: column k (K − k, ...) is good to O(h^{2k+2}).
    value: the last column's only entry.
    estimate: its distance from the entry before, which is the error of that less good entry.
    """

    columns: list
    value: torch.Tensor
    estimate: torch.Tensor

    def order(self, exact, column=0):
        """The order in h of the last two entries of a column, in the Euclidean norm."""
        errors = [(entry - exact).norm() for entry in self.columns[column][-2:]]
        return torch.log2(errors[0] / errors[1]).item()


def extrapolated(values):
    """The Extrapolated of ``values`` (K, ...) at steps h, h/2, …: T_k = T + (T − T')/(4^k − 1)."""
    columns = [values]
    for k in range(1, len(values)):
        last = columns[-1]
        columns.append(last[1:] + (last[1:] - last[:-1]) / (4**k - 1))
    value = columns[-1][0]
    return Extrapolated(columns, value, (value - columns[-2][-1]).abs())


def algebraic(subject, statement, extrapolation, exact, bound, scale, step="h"):
    """The Finding that an Extrapolated is of order 2 and meets ``exact`` within its own estimate.

    Args:
        bound: what rounding may cost.
        scale: the size of the quantity; an estimate above DECISIVE times it decides nothing.
    """
    order = extrapolation.order(exact)
    error = (extrapolation.value - exact).abs()
    allowed = extrapolation.estimate + bound
    passed = (
        abs(order - 2) <= ORDER_TOLERANCE
        and (error <= allowed).all()
        and (extrapolation.estimate <= DECISIVE * scale).all()
    )
    last = (extrapolation.columns[0][-1] - exact).norm()
    figure = (
        f"error {last:.1e}, order {order:.2f} in {step}; "
        f"extrapolated {error.max():.1e}, allowed {allowed.max():.1e}"
    )
    return finding(subject, statement, figure, passed)


# --- pointwise ----------------------------------------------------------------------------------


def pointwise(subject, statement, errors, bounds):
    """The Finding that |errors| ≤ bounds at every point, (B,) each."""
    errors = errors.abs()
    worst = (errors / bounds).nan_to_num(torch.inf).argmax()
    figure = f"error {errors[worst]:.1e}, rounding allows {bounds[worst]:.1e}, {len(errors)} points"
    return finding(subject, statement, figure, (errors <= bounds).all())
