"""The user's own points, from .npy, .npz, .csv or .parquet.

A reader is a function (path, column, layout) -> (points, labels): ``column`` names the labels
inside the file, or is None; labels are None where the file has no such column; ``layout`` is how a
.csv is written.
"""

import csv
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from training.data.dataset import Dataset, is_number
from training.data.layout import Layout
from training.errors import TrainingError

# What numpy, csv, pyarrow (ArrowInvalid is a ValueError) and the file system raise on bad files.
UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile, zlib.error, csv.Error
)  # fmt: skip


@dataclass(frozen=True)
class UserFile:
    """Points of a file, a row each, all of them numbers::

        .npy       an array (n, D)
        .npz       its only array; or, of several, ``points`` and, if there, ``labels``
        .csv       columns separated by commas, semicolons, tabs or bars, decimals with points or
                   commas, with or without a row of names above
        .parquet   needs pandas and pyarrow

    Labels that are not numbers become the numbers 0, 1, ... of their classes in alphabetical order.

    Attributes:
        path: the file.
        labels: the name of a column (or of an array of the .npz), or the path of a second file
            which holds n labels and nothing else; the column, if there are both.
        image_shape: of a point as an image, e.g. [28, 28] or [28, 28, 3], for pictures; None if
            points are no images.
        separator, decimal: of a .csv; None: found out from its first lines.
    """

    path: str
    labels: str | None = None
    image_shape: tuple[int, ...] | None = None
    separator: str | None = None
    decimal: str | None = None

    def load(self) -> Dataset:
        """The file's points and labels, checked."""
        layout = Layout(self.separator, self.decimal)
        points, labels = read(self.path, self.labels, layout)
        if labels is None and self.labels is not None:
            labels = self._second_file(len(np.atleast_1d(points)), layout)
        shape = None if self.image_shape is None else tuple(self.image_shape)
        return Dataset(points, labels, name=Path(self.path).name, image_shape=shape)

    def _second_file(self, n, layout):
        if not Path(self.labels).expanduser().is_file():
            raise TrainingError(f"There is no column of {self.path} and no file {self.labels!r}.")
        column, _ = read(self.labels, None, layout, as_text=True)
        column = column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column
        if column.shape == (n + 1,) and column.dtype.kind == "U" and not is_number(column[0]):
            column = column[1:]  # the .csv begins with its name
        if column.shape != (n,):
            raise TrainingError(
                f"{self.labels}: labels must be ({n},), one for each row of {self.path}; "
                f"got {column.shape}."
            )
        return column


def read(path, column, layout, as_text=False):
    """Points and labels of the file, by its ending; as text: a .csv, all of it, as points."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise TrainingError(f"There is no file {path}.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TrainingError(f"{path}: the ending must be one of {', '.join(READERS)}.")
    try:
        if as_text and reader is read_csv:
            return read_texts(path, layout.found_in(path)), None
        return reader(path, column, layout)
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnicodeDecodeError):
            reason += ". Save it as UTF-8."
        raise TrainingError(f"{path} cannot be read as {path.suffix}: {reason}") from error


def read_numpy(path, column, layout):
    """.npy or .npz, whatever the ending says."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return loaded, None
        arrays, labels = dict(loaded), column or "labels"
    labels = arrays.pop(labels, None) if len(arrays) > 1 else None
    if "points" not in arrays and len(arrays) != 1:
        raise TrainingError(
            f"{path} must hold one array, or one that is named points; got {', '.join(arrays)}."
        )
    return arrays.get("points", next(iter(arrays.values()))), labels


def read_csv(path, column, layout):
    """Numbers, below a row of names or not."""
    layout = layout.found_in(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=layout.separator), [])
    skiprows = int(is_header(names, column, path, layout))
    numbers = dict.fromkeys(range(len(names)), layout.number) if layout.decimal != "." else {}
    if column not in names:
        return load_text(path, layout, skiprows=skiprows, converters=numbers or None), None
    position, codes = names.index(column), {}  # codes: text -> 0, 1, ... as they first appear
    encoders = numbers | {position: lambda text: codes.setdefault(layout.plain(text), len(codes))}
    table = load_text(path, layout, skiprows=skiprows, converters=encoders)
    labels = np.array(list(codes), dtype=str)[table[:, position].astype(int)]
    return np.delete(table, position, axis=1), labels


def read_texts(path, layout):
    """All cells, as texts."""
    return np.vectorize(layout.plain, otypes=[str])(load_text(path, layout, dtype=str))


def load_text(path, layout, **options):
    """numpy's reader of .csv; an empty file is an empty array, which ``Dataset`` refuses."""
    options |= {"delimiter": layout.separator, "encoding": "utf-8-sig"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")
        try:
            return np.loadtxt(path, ndmin=2, quotechar='"', comments=None, **options)
        except ValueError as error:
            raise ValueError(f"{str(error).rstrip('.')}. {layout}") from error


def is_header(cells, column, path, layout):
    """Whether the first row is names: of the labels, pandas' 0, 1, ..., or nothing but words."""
    named = column in cells or (len(cells) > 1 and cells == [str(i) for i in range(len(cells))])
    numbers = sum(is_number(layout.plain(cell)) for cell in cells)
    if not all(map(str.strip, cells)) or (not named and 0 < numbers < len(cells)):
        raise TrainingError(
            f"{path}: the first row is neither numbers nor names: {','.join(cells[:5])[:60]} "
            "Name or remove each column that is none of D features (labels: labels=<name>; "
            f"the index that pandas writes: index=False). {layout}"
        )
    return named or not numbers


def read_parquet(path, column, layout):
    """A table of pandas."""
    try:
        import pandas  # optional, as is pyarrow, which it reads with: only this function needs them

        frame = pandas.read_parquet(path)
    except ImportError as error:
        raise TrainingError(
            f"{path}: .parquet needs pandas and pyarrow: pip install 'curvcore[data]'"
        ) from error
    labels = None if column not in frame else frame.pop(column).to_numpy()
    numbers = frame.select_dtypes(["number", "bool"], exclude="timedelta")  # pandas counts them in
    numeric = frame.shape == numbers.shape
    return (frame.to_numpy(np.float64, na_value=np.nan) if numeric else frame.to_numpy()), labels


READERS = {".npy": read_numpy, ".npz": read_numpy, ".csv": read_csv, ".parquet": read_parquet}
