"""How results show themselves: a line in a terminal, a small table in a notebook.

Showing computes no geometry and waits for no device. What is said of numbers, how many flags are
set and between which ends numbers lie, is said of arrays that are there already, in the memory of
the CPU, and of 2²² entries at most; of others only shape, dtype and device are. Numbers of arrays
are rounded to four digits; numbers that stand by themselves, bounds of a certificate among them,
are neither rounded nor cut.
"""

import inspect
from dataclasses import fields
from html import escape
from typing import Any, NamedTuple

import numpy as np
import torch

from curvcore.caching import cached_quantity

_READ_AT_MOST = 2**22  # entries: a few milliseconds
SYMBOLIC = "symbolic"
_LONGEST = 60  # characters of a text, or of a tuple with more than one element
_KINDS_OF_NUMBERS = "biufcmM"  # of numpy's dtypes: no objects, text or records
_ONE_LINE = ("scalar", "condition_number", "is_degenerate")  # of a geometry, where computed
_OF_FIRST_ORDER = {
    "value",
    "jacobian",
    "metric",
    "condition_number",
    "inverse_metric",
    "volume_density",
    "log_volume_density",
    "is_degenerate",
}
_OF_NUMBERS = {"condition_number", "is_degenerate", "scalar_error", "scalar_relative_error"}


class Row(NamedTuple):
    """A line of a table: a name, what stands under it, and what is said of its numbers."""

    name: str
    what: str
    numbers: str = ""


class Displayed:
    """A result that shows its fields, for dataclasses: their shapes, flags and ranges."""

    def __repr__(self) -> str:
        try:
            return self._line()
        except Exception:  # of something half made, as debuggers show it
            return object.__repr__(self)

    def _repr_html_(self) -> str:
        try:
            return table(self._title(), self._rows())
        except Exception:
            return escape(object.__repr__(self))

    def _title(self) -> str:
        return type(self).__name__

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def _line(self) -> str:
        values = self._fields()
        parts = [f"{name}={_brief(value)}" for name, value in values.items()]
        tensors = (x for x in values.values() if isinstance(x, torch.Tensor))
        kind = next((kind_of(x) for x in tensors if x.is_floating_point()), [])
        return f"{self._title()}({', '.join([*parts, *kind])})"

    def _rows(self) -> list[Row]:
        rows = [row(name, value) for name, value in self._fields().items()]
        names, functions = _to_look_at(type(self))
        also = ", ".join([*names, *functions])
        return [*rows, Row("also", also)] if also else rows


class DisplayedGeometry(Displayed):
    """A geometry, which shows what has been computed of it, and names what else there is.

    In a line: R, the condition number of g, and how many points are degenerate, where they have
    been computed already.
    """

    def _about(self) -> dict[str, str]:
        """What it is the geometry of, by name."""
        options = {"formula": self.formula, "on_degenerate": self._on_degenerate}  # type: ignore[attr-defined]
        return self.jet._about() | {name: repr(value) for name, value in options.items()}  # type: ignore[attr-defined]

    def _computed(self) -> dict[str, Any]:
        """Public quantities that are there, by name."""
        return {name: x for name, x in computed(self).items() if not name.startswith("_")}

    def _line(self) -> str:
        about = ", ".join(told(name, text) for name, text in self._about().items())
        rows = [row(name, x) for name, x in self._computed().items() if name in _ONE_LINE]
        numbers = ", ".join(f"{x.name} {x.numbers}" for x in rows if x.numbers)
        return f"{self._title()}({'; '.join(filter(None, [about, numbers]))})"

    def _rows(self) -> list[Row]:
        found, about = self._computed(), self._about()
        names, functions = _to_look_at(type(self))
        if about[""] == SYMBOLIC:
            names = [name for name in names if name not in _OF_NUMBERS]
        if about.get("order") == "1":
            names, functions = [name for name in names if name in _OF_FIRST_ORDER], []
        others = [name for name in names if name not in found]
        rows = [*rows_about(about), *(row(name, x) for name, x in found.items())]
        lists = {"also": others, "functions": functions}
        return rows + [Row(name, ", ".join(listed)) for name, listed in lists.items() if listed]


def computed(owner):
    """The cached quantities of ``owner`` that are there, by name."""
    return {name: value for (name, _), value in list(vars(owner).get("_cache", {}).items())}


def told(name, text):
    """An entry of what ``_about`` says, in a line."""
    return f"{name}={text}" if name else text


def rows_about(about):
    """The same as rows; what has no name is the kind of numbers."""
    return [Row(name or "numbers", text) for name, text in about.items()]


def kind_of(array):
    """dtype and device of a tensor, or of what has them."""
    return [str(array.dtype).removeprefix("torch."), str(array.device)]


def _to_look_at(cls):
    """Names of the public quantities of a class, and its public functions with their arguments."""
    names, functions = [], []
    members = {k: x for base in reversed(cls.__mro__) for k, x in vars(base).items()}
    for name, member in members.items():
        if name.startswith("_"):
            continue
        if isinstance(member, cached_quantity | property):
            names.append(name)
        elif inspect.isfunction(member):
            arguments = list(inspect.signature(member).parameters)[1:]
            functions.append(f"{name}({', '.join(arguments)})")
    return names, functions


# --- one value ------------------------------------------------------------------------------------


def row(name: str, value: Any) -> Row:
    """The Row of a value: of an array its shape, dtype, device and numbers."""
    if isinstance(value, torch.Tensor):
        what = " ".join([str(tuple(value.shape)), *kind_of(value)])
        return Row(name, what, _numbers(value))
    if isinstance(value, np.ndarray):
        is_object = value.dtype == object and value.size
        kind = _kind(value.flat[0]) if is_object else str(value.dtype)
        return Row(name, f"{value.shape} {kind}", _numbers(value))
    if hasattr(value, "nnz"):  # scipy's
        return Row(name, f"{value.shape} sparse {value.dtype}, {value.nnz} entries")
    return Row(name, _brief(value))


def _brief(value):
    """A value in a few characters: numbers of single ones and of flags, else the shape."""
    if isinstance(value, torch.Tensor | np.ndarray):
        is_flag = value.dtype in (torch.bool, np.dtype(bool))
        said = _numbers(value) if is_flag or value.ndim == 0 else ""
        return said or str(tuple(value.shape))
    if hasattr(value, "nnz"):
        return f"{value.shape}"
    if isinstance(value, tuple):
        return _brief_tuple(value)
    if isinstance(value, str) and len(value) > _LONGEST:
        value = value[:_LONGEST] + "…"
    if isinstance(value, bool | int | float | str | Displayed | None):
        return repr(value)
    return _kind(value)  # an expression, whose repr need be neither quick nor short


def _brief_tuple(values):
    """The first element and as many more as fit, each in brief."""
    parts, length = [], 0
    for value in values:
        part = _brief(value)
        length += len(part) + 2
        if parts and length > _LONGEST:
            break
        parts.append(part)
    left = len(values) - len(parts)
    end = f", …, {left} more" if left else "," if len(parts) == 1 else ""
    return f"({', '.join(parts)}{end})"


def _kind(value):
    """Whose expressions they are, sympy's, flint's, ...; the type of what says no more by that."""
    library = type(value).__module__.partition(".")[0]
    return type(value).__name__ if library in ("builtins", "numpy", "torch") else library


def _numbers(array):
    """What is said of the numbers of an array; why nothing is, where they are not read."""
    if isinstance(array, torch.Tensor) and array.device.type != "cpu":
        return "not read"
    if _size(array) > _READ_AT_MOST:
        return "not read"
    values = _in_memory(array)
    if values is None or values.size == 0:
        return ""
    if values.dtype == bool:
        return f"{np.count_nonzero(values)} of {values.size}" if values.ndim else str(bool(values))
    return _range(values)


def _size(array):
    return array.numel() if isinstance(array, torch.Tensor) else array.size


def _in_memory(array):
    """An array of the CPU as numpy sees it; None where it has no numbers of its own."""
    if torch.compiler.is_compiling():
        return None
    if isinstance(array, np.ndarray):
        return array if array.dtype.kind in _KINDS_OF_NUMBERS else None
    if type(array) not in (torch.Tensor, torch.nn.Parameter):
        return None
    try:
        half = array.dtype in (torch.float16, torch.bfloat16)  # numpy knows one of them
        return (array.detach().float() if half else array.detach()).numpy()
    except (RuntimeError, TypeError):  # within a transform of torch.func
        return None


def _range(values):
    """ "0.31 to 4.2, 2 NaN, 1 infinite" of an array of numbers."""
    parts, finite = [], values[np.isfinite(values)]
    if finite.size:
        ends = (finite.min(), finite.max())
        ends = [f"{end:.4g}" if values.dtype.kind == "f" else str(end) for end in ends]
        parts.append(" to ".join(dict.fromkeys(ends)))
    masks = {"NaN": np.isnan(values), "infinite": np.isinf(values)}
    counts = {name: np.count_nonzero(mask) for name, mask in masks.items()}
    return ", ".join([*parts, *(f"{count} {name}" for name, count in counts.items() if count)])


# --- a table --------------------------------------------------------------------------------------


def table(title: str, rows: list[Row]) -> str:
    """A table of HTML in the colours of what is around it."""
    left, plain = 'style="text-align: left"', 'style="color: inherit; background: inherit"'
    head = f'<tr><th colspan="3" {left}>{escape(title)}</th></tr>'
    lines = [f"<table {plain}>", f"<thead>{head}</thead>", "<tbody>"]
    for name, what, numbers in rows:
        cells = f"<td {left}>{escape(what)}</td><td {left}>{escape(numbers)}</td>"
        if not numbers:
            cells = f'<td colspan="2" {left}>{escape(what)}</td>'
        lines.append(f'<tr><th scope="row" {left}>{escape(name)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])
