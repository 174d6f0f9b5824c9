"""Jets of sympy expressions, exact."""

import numpy as np

from curvcore.errors import InputError
from curvcore.jets import Jet
from curvcore.providers.ambient import symbolic_ambient_jet
from curvcore.providers.bound import AmbientExpressions


def symbolic_jet(expressions, symbols, order=2):
    """The jet of a map given by sympy ``expressions`` of ``symbols``.

    Args:
        expressions: D expressions: a sympy Matrix or a sequence; or AmbientExpressions.
        symbols: the d coordinates.
        order: 1, 2 or 3.

    Returns:
        Jet of numpy object arrays without a batch axis: ``value (D,)``, ``jacobian (D, d)``, ...

    Raises:
        InputError: a coordinate is not a symbol or occurs twice; d > D.
    """
    if isinstance(expressions, AmbientExpressions):
        entries = _listed("expressions", expressions.expressions)
        return symbolic_ambient_jet(symbolic_jet, entries, expressions.ambient, symbols, order)
    import sympy  # imported here so that ``import curvcore`` stays light

    coordinates = _listed("symbols", symbols)
    if not all(isinstance(s, sympy.Symbol) for s in coordinates) or not coordinates:
        raise InputError(
            f"symbols must be one or more sympy symbols; got {symbols!r}. (A torch decoder must be "
            "callable, with a torch tensor z (B, d).)"
        )
    if len(set(coordinates)) < len(coordinates):
        raise InputError(f"Each coordinate must be named once; got {symbols!r}.")
    entries = [sympy.sympify(entry) for entry in _listed("expressions", expressions)]
    if len(entries) < len(coordinates):
        raise InputError(
            f"An immersion needs at least as many components as coordinates; "
            f"got {len(entries)} of {len(coordinates)} coordinates."
        )
    value = np.empty(len(entries), dtype=object)
    value[:] = entries
    derivatives = [value]
    for _ in range(order):
        derivatives.append(_differentiate(derivatives[-1], coordinates))
    return Jet(*derivatives)


def _listed(name, entries):
    try:
        return list(entries)
    except TypeError:
        raise InputError(
            f"{name} must be a sequence or a sympy Matrix; got {type(entries).__name__}. Give "
            "expressions with their symbols, or a callable decoder with a torch tensor z (B, d)."
        ) from None


def _differentiate(array, coordinates):
    columns = [np.frompyfunc(lambda e, s=s: e.diff(s), 1, 1)(array) for s in coordinates]
    return np.stack(columns, axis=-1)
