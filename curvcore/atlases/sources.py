"""Where the latents of an atlas come from: arrays, files, grids, or what you write yourself."""

import hashlib
import math
import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from curvcore.errors import InputError

_DTYPES = ("float32", "float64")
_BLOCK = 2**16  # rows that are looked at together


@runtime_checkable
class LatentSource(Protocol):
    """N latents of R^d in a fixed order, of which any rows can be had at any time.

    Attributes:
        shape: (N, d).
        dtype: of the rows, ``np.float32`` or ``np.float64``.
    """

    shape: tuple[int, int]
    dtype: np.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop − start, d): always the same numbers."""
        ...

    def digest(self) -> str:
        """A text that is another one for other latents."""
        ...


class LatentGrid:
    """The nodes of a grid over a box, the last coordinate fastest.

    Coordinate i takes ``counts[i]`` values from low to high, evenly spaced: with both ends, or, if
    ``periodic``, without the upper one. Nothing is held in memory.

    Args:
        box: (low, high) of each coordinate, (d, 2).
        counts: of each coordinate, or one number for all.
        periodic: whether the box is a period.
        dtype: of the nodes.

    Raises:
        InputError: the box is not finite or empty, or a count is not positive.
    """

    def __init__(
        self, box: Any, counts: Any, *, periodic: bool = False, dtype: Any = np.float32
    ) -> None:
        box = np.asarray(box, dtype=np.float64)
        if box.ndim != 2 or box.shape[1] != 2 or not np.isfinite(box).all():
            raise InputError(f"box must be finite (low, high) of each coordinate; got {box}.")
        if not (box[:, 0] <= box[:, 1]).all():
            raise InputError(f"box must have low ≤ high in each coordinate; got {box.tolist()}.")
        counts = [counts] * len(box) if np.ndim(counts) == 0 else list(counts)
        if len(counts) != len(box) or not all(int(n) == n and n > 0 for n in counts):
            raise InputError(
                f"counts must be one positive integer for each of {len(box)} coordinates; got "
                f"{counts}."
            )
        self.box, self.counts, self.periodic = box, [int(n) for n in counts], bool(periodic)
        self.dtype = _checked_dtype(dtype)
        self.shape = (math.prod(self.counts), len(box))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Nodes ``start`` to ``stop``."""
        numbers, columns = np.arange(start, stop), []
        for (low, high), count in zip(self.box[::-1], self.counts[::-1], strict=True):
            numbers, index = np.divmod(numbers, count)
            intervals = count if self.periodic else max(1, count - 1)
            columns.append(low + (high - low) * (index / intervals))
        return np.stack(columns[::-1], axis=1).astype(self.dtype)

    def digest(self) -> str:
        """Of box and counts."""
        return f"grid {self.box.tolist()} {self.counts} {self.periodic} {self.dtype}"


class _Rows:
    """The rows of an array, in memory or mapped."""

    def __init__(self, array, name):
        if array.ndim != 2 or array.shape[1] == 0:
            hint = " For points on a line write points[:, None]." if array.ndim == 1 else ""
            raise InputError(f"{name} must be (N, d); got {array.shape}.{hint}")
        self._array, self._name = array, name
        self.shape, self.dtype = array.shape, _checked_dtype(array.dtype, name)

    def read(self, start, stop):
        """A copy of rows."""
        return np.array(self._array[start:stop])

    def digest(self):
        """Of all numbers, which must be finite."""
        digest = hashlib.sha256(f"{self.shape} {self.dtype}".encode())
        for start in range(0, self.shape[0], _BLOCK):
            rows = np.ascontiguousarray(self._array[start : start + _BLOCK])
            check_rows(rows, start, self._name)
            digest.update(rows)
        return digest.hexdigest()


def as_source(points: Any) -> LatentSource:
    """The LatentSource of what users give: one, a tensor or array (N, d), or the path of a .npy.

    Raises:
        InputError: it is none of these, not (N, d), empty, or not of float32 or float64.
    """
    if isinstance(points, str | os.PathLike):
        source = _Rows(_mapped(Path(points)), str(points))
    elif isinstance(points, torch.Tensor) and points.dtype in (torch.float32, torch.float64):
        source = _Rows(points.detach().cpu().numpy(), "points")
    elif isinstance(points, torch.Tensor):
        raise InputError(f"points must be float32 or float64; got {points.dtype}.")
    elif isinstance(points, np.ndarray):
        source = _Rows(points, "points")
    elif isinstance(points, LatentSource):
        source = points
    else:
        raise InputError(
            "points must be a tensor or array (N, d), the path of a .npy file, a LatentGrid or "
            f"another LatentSource; got {type(points).__name__}."
        )
    if source.shape[0] == 0:
        raise InputError("There are no points: an atlas needs one at least.")
    return source


def check_rows(rows, start, name="points"):
    """Raise InputError if a latent is not finite; ``start`` is the number of the first row."""
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        first = start + int(np.argmin(finite))
        raise InputError(f"{name} is NaN or Inf at row {first}. Remove such latents first.")


def _mapped(path):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no .npy file of numbers: {error}.") from error


def _checked_dtype(dtype, name="points"):
    dtype = np.dtype(dtype)
    if dtype.name not in _DTYPES or not dtype.isnative:
        raise InputError(f"{name} must be float32 or float64; got {dtype}.")
    return dtype
