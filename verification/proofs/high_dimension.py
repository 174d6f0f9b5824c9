"""Closed forms of ``verification.manifolds.high_dimension`` at small n, with free parameters.

The points, as the decoders' own torch code writes them, run on sympy expressions; their
derivatives go through ``PullbackGeometry`` in a field of rational functions, and every closed form
is subtracted there.
"""

from dataclasses import fields
from functools import partial

import numpy as np
import sympy as sp

from curvcore import arithmetic
from curvcore.arithmetic import einsum
from curvcore.geometry import PullbackGeometry
from curvcore.jets import Jet
from curvcore.providers.symbolic import symbolic_jet
from verification.exact.fields import FunctionField
from verification.manifolds import high_dimension as families
from verification.proofs.smooth import exact
from verification.proofs.verdicts import proved, stacked

RADII = sp.symbols("r s t", positive=True)

SPHERES = ((2,), (3,), (1, 1), (1, 2), (2, 2), (1, 1, 2))
PARABOLOIDS = (2, 3, 4)


def _symmetric(n, name):
    """A matrix of free symbols."""
    return [
        [sp.Symbol(f"{name}{min(i, j) + 1}{max(i, j) + 1}") for j in range(n)] for i in range(n)
    ]


# A rotation of z makes one of the forms diagonal. With all entries free the second takes seconds.
GRAPHS = {
    "a quadratic form, n = 2": [_symmetric(2, "A")],
    "two forms, n = 2": [np.diag(sp.symbols("A11 A22")), _symmetric(2, "B")],
    "two forms of integers, n = 3": [
        np.diag(sp.sympify([1, 2, -1])),
        sp.Matrix([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    ],
}
DEAR_GRAPHS = {
    "a quadratic form, n = 3": [_symmetric(3, "A")],
    "two forms, n = 2, none diagonal": [_symmetric(2, "A"), _symmetric(2, "B")],
}

QUANTITIES = {
    "metric": lambda geometry: geometry.metric,
    "ricci": lambda geometry: geometry.ricci,
    "scalar": lambda geometry: geometry.scalar,
    "ricci_squared": lambda geometry: _squared(geometry.ricci, geometry.inverse_metric),
    "riemann_squared": lambda geometry: _squared(geometry.riemann, geometry.inverse_metric),
    "mean_curvature_squared": lambda geometry: geometry.mean_curvature @ geometry.mean_curvature,
    "second_fundamental_form_squared": lambda geometry: sum(
        _squared(form, geometry.inverse_metric) for form in geometry.second_fundamental_form
    ),
    "log_volume_density": lambda geometry: arithmetic.determinant(geometry.metric),
}


def findings(full=False):
    """One Finding per family and dimension; ``full`` adds dear ones."""
    for dimensions in SPHERES:
        yield of_spheres(dimensions)
    for n in PARABOLOIDS:
        yield of_paraboloids(n)
    for subject, forms in (GRAPHS | (DEAR_GRAPHS if full else {})).items():
        yield of_quadratic_graph(subject, forms)


def of_spheres(dimensions):
    """A sphere, or a product of several."""
    parameters = {"dimensions": dimensions, "radii": RADII[: len(dimensions)]}
    residual = _residual(
        sum(dimensions),
        partial(families.spheres_point, **parameters),
        partial(families.spheres_closed_forms, **parameters),
    )
    return _finding(" × ".join(f"S^{p}" for p in dimensions), residual)


def of_paraboloids(n):
    """Every graph of ½ Σ a_i z_i²."""
    a = np.array(sp.symbols(f"a1:{n + 1}"), dtype=object)
    residual = _residual(
        n,
        partial(families.paraboloid_point, coefficients=exact(a)),
        partial(families.paraboloid_closed_forms, coefficients=a),
    )
    return _finding(f"graph of ½ Σ a_i z_i², n = {n}", residual)


def of_quadratic_graph(subject, forms):
    """The graph of these forms, over all z."""
    forms = np.array(forms, dtype=object)
    residual = _residual(
        forms.shape[-1],
        partial(families.quadratic_graph_point, forms=exact(forms)),
        partial(families.quadratic_graph_closed_forms, forms=forms),
    )
    return _finding(f"graph of {subject}", residual)


def _finding(subject, residual):
    return proved(
        f"closed forms: {subject}",
        "g, Ric, R, |Ric|², |Riem|², |H|², |II|² and det g are those of the decoder",
        residual,
    )


def _residual(n, point, closed_forms):
    """Shipped results less closed forms, in the field of everything that occurs in them."""
    z = np.array([sp.symbols(f"z1:{n + 1}", real=True)], dtype=object)
    (immersion,) = point(exact(z)).array
    expected = _expected(closed_forms(z))
    field = FunctionField(immersion)  # in which every parameter occurs
    jet = symbolic_jet(tuple(immersion), tuple(z[0]), order=2)
    geometry = PullbackGeometry(Jet(*(field.embed(array) for array in jet.arrays())))
    return stacked(
        *(QUANTITIES[name](geometry) - field.embed(form)[0] for name, form in expected.items())
    )


def _expected(closed_forms):
    """The closed forms by name; of log √det g, det g, which is rational."""
    found = {field.name: getattr(closed_forms, field.name) for field in fields(closed_forms)}
    logarithm = found["log_volume_density"]
    return found | {"log_volume_density": np.frompyfunc(sp.exp, 1, 1)(2 * logarithm)}


def _squared(tensor, inverse_metric):
    """The full contraction of a tensor (n, …, n) with itself."""
    raised = tensor
    for _ in range(tensor.ndim):  # each raises the first index and moves it to the end
        raised = einsum("i...,ij->...j", raised, inverse_metric)
    return (raised * tensor).sum()
