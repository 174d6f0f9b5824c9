"""A data set: points in R^D and what is known about them, checked once, when it is made."""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from training.errors import TrainingError

FRACTIONS = (0.8, 0.1, 0.1)  # of the points in train, validation and test
LARGEST = 1e140  # of a number whose squares can be summed
MISSING = ["", "nan", "NaN", "None", "NaT", "<NA>"]  # texts that stand for no label


class DataSource(Protocol):
    """What names a data set and can load it: settings only, so that YAML can state them."""

    def load(self) -> "Dataset":
        """The data set, the same at every call."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """n points in R^D.

    Attributes:
        points: (n, D), float64, finite.
        labels: (n,) numbers, what a plot colours by; None if there are none. Texts become the
            numbers that they are or, if one is none, those of their classes in alphabetical order.
        chart: (n, m), float64, the ideal coordinates, in the units of the points: distances in the
            chart are distances on the data's manifold. None if unknown.
        groups: (n,) integers, which piece of the chart a point belongs to: charts of different
            groups have nothing to do with each other. All 0 if a chart comes without them.
        name: what messages and tables call it.
        image_shape: the shape that a point has as an image, of D entries; None if it is none.
    """

    points: np.ndarray
    labels: np.ndarray | None = None
    chart: np.ndarray | None = None
    groups: np.ndarray | None = None
    name: str = ""
    image_shape: tuple[int, ...] | None = None

    def __post_init__(self):
        self._keep("points", self._checked("points", 2).astype(np.float64, copy=False))
        if len(self) < 2 or not self.dimension:
            raise self._error(f"points {self.points.shape}; there must be (2, 1) at least")
        self._check_size()
        if self.labels is not None:
            self._keep("labels", self._checked("labels", 1))
        if self.chart is not None:
            self._keep("chart", self._checked("chart", 2).astype(np.float64, copy=False))
        if self.chart is not None and self.groups is None:
            self._keep("groups", np.zeros(len(self), np.int64))
        if self.groups is not None:
            self._keep("groups", self._checked("groups", 1, kinds="biu"))
        if self.image_shape is not None and prod(self.image_shape) != self.dimension:
            raise self._error(f"image_shape {self.image_shape}, points {self.points.shape}")

    def __len__(self):
        return len(self.points)

    @property
    def dimension(self):
        """D."""
        return self.points.shape[1]

    def subset(self, indices):
        """The data set of these points, in this order; ``indices`` are integers or a mask."""
        rows = [
            None if array is None else array[np.asarray(indices)]
            for array in (self.points, self.labels, self.chart, self.groups)
        ]
        return Dataset(*rows, name=self.name, image_shape=self.image_shape)

    def split(self, fractions=FRACTIONS, seed=0, least_test=0):
        """Train, validation and test: disjoint, random, together everything, fixed by the seed.

        Where that leaves less than ``least_test`` points to the test part, training gives what is
        missing, if it keeps half of all points.
        """
        shares = np.asarray(fractions, dtype=np.float64)
        if shares.shape != (3,) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
            raise self._error(
                f"fractions are three positive numbers of sum 1, for train, validation and test; "
                f"got {fractions}"
            )
        bounds = np.rint(np.cumsum(shares)[:2] * len(self)).astype(int)
        missing = max(0, least_test - (len(self) - bounds[1]))
        if bounds[0] - missing >= len(self) / 2:
            bounds -= missing
        parts = np.split(np.random.default_rng(seed).permutation(len(self)), bounds)
        sizes = [len(part) for part in parts]
        if min(sizes) < 2:
            raise self._error(f"{len(self)} points split into {sizes}; each part needs 2 points")
        return tuple(self.subset(part) for part in parts)

    # --- checks -----------------------------------------------------------------------------------

    def _keep(self, field, array):
        object.__setattr__(self, field, array)

    def _error(self, message):
        return TrainingError(f"{self.name or 'The data'}: {message}.")

    def _checked(self, field, rank, kinds="biuf"):
        """The field as an array of finite numbers, of that rank and with n rows."""
        array = self._numbers(field)
        if array.dtype.kind not in kinds:
            raise self._error(f"{field} must be numbers ({kinds}); got {array.dtype}")
        if array.ndim != rank or (field != "points" and len(array) != len(self)):
            n = "n" if field == "points" else f"n = {len(self)}"
            wanted = f"({n}, number of features)" if rank == 2 else f"({n},)"
            hint = "; write array.reshape(n, -1)" if array.ndim > rank == 2 else ""
            raise self._error(f"{field} must have shape {wanted}; got {array.shape}{hint}")
        self._check_finite(field, array if rank == 2 else array[:, None])
        return array

    def _numbers(self, field):
        array = np.asarray(getattr(self, field))
        if field == "labels" and array.dtype.kind not in "biufc":
            return as_numbers(array)
        try:
            return array.astype(np.float64) if array.dtype.kind == "O" else in_double(array)
        except (TypeError, ValueError) as error:
            raise self._error(f"{field} must be numbers: {error}") from error

    def _check_size(self):
        """Variances and distances are sums of squares, which must be numbers other than 0 and ∞."""
        largest, spread = np.abs(self.points).max(), np.ptp(self.points, axis=0).max()
        if largest > LARGEST or 0 < spread < 1 / LARGEST:
            raise self._error(
                f"points: numbers up to {largest:.1g} that differ by up to {spread:.1g}, whose "
                "squares are too large or too small for float64. Write them in another unit"
            )

    def _check_finite(self, field, rows, most=8):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            listed = ", ".join(map(str, bad[:most])) + (", ..." if len(bad) > most else "")
            raise self._error(
                f"{field}: NaN or infinite in {len(bad)} of {len(rows)} rows (from 0: {listed}). "
                "Remove these rows or fill them in"
            )


def in_double(array):
    """Floats of more digits as float64, infinite where that does not reach; others as they are."""
    if array.dtype.kind != "f" or array.dtype.itemsize <= 8:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def as_numbers(texts):
    """Texts as the numbers they are or, if one is none, as classes; NaN where one is missing."""
    texts = np.array([str(text).strip() for text in texts.ravel()]).reshape(texts.shape)
    known, numbers = ~np.isin(texts, MISSING), np.full(texts.shape, np.nan)
    classes, codes = np.unique(texts[known], return_inverse=True)
    numbers[known] = texts[known].astype(float) if all(map(is_number, classes)) else codes
    return numbers


def is_number(text):
    """Whether this text is one."""
    try:
        return float(text) is not None
    except ValueError:
        return False
