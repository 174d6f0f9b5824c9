"""Proofs of the code that ships: exact zeros in fields of rational functions, or by sympy.

=====================  ============================================================================
module                 what is proved
=====================  ============================================================================
``routes``             intrinsic ≡ gauss for every immersion; third derivatives cancel
``symmetries``         symmetries of Riemann and Ricci, first Bianchi, surfaces, the short path to R
``bianchi``            contracted second Bianchi
``conformal``          R of a conformal metric
``ambient``            the Gauss equation in a space with a metric, its closed forms
``compositions``       chain and product rules of jets, derivatives to order 3
``second_order``       the hand-written chain rule and its gradients
``elementwise``        the first three derivatives of the elementary functions
``layers``             einsum, convolutions, normalisations, softmax, attention, against definitions
``normal_forms``       which expressions with roots, exponentials and logarithms are zero
``frames``             R = |H|² − |II|² and Ric in an orthonormal frame
``estimators``         means and variances of estimators of R from random probes
``hidden_units``       second derivatives of networks as sums over hidden units
``high_dimension``     closed forms of manifolds of any dimension, at n = 2, 3, 4
=====================  ============================================================================
"""

from collections.abc import Iterator

import numpy as np

from verification.manifolds import catalogue
from verification.proofs import (
    ambient,
    bianchi,
    compositions,
    conformal,
    elementwise,
    estimators,
    frames,
    hidden_units,
    high_dimension,
    layers,
    routes,
    second_order,
    symmetries,
)
from verification.proofs.immersions import GenericImmersion
from verification.results import Finding

__all__ = ["findings"]


def findings(full: bool = False) -> Iterator[Finding]:
    """Every proof; ``full`` adds the dear ones: d = 4, and all of the catalogue."""
    for d in (1, 2, 3):
        yield from curvature(d)
    if full:
        immersion = GenericImmersion(4)
        yield from routes.findings(immersion, *routes.geometries(immersion))
    for d in (1, 2, 3, 4):
        yield symmetries.of_the_short_path(d)
    for d in (2, 3) if full else (2,):
        yield conformal.of_generic_metrics(d)
        yield bianchi.of_generic_immersions(d)
    for formula in routes.FORMULAS:
        yield from bianchi.of_the_catalogue(catalogue() if full else bianchi.SAMPLE, formula)
    yield from ambient.findings()
    yield from compositions.findings(full)
    yield from second_order.findings()
    yield from elementwise.findings()
    yield from layers.findings(full)
    for d in (2, 3):
        yield from frames.findings(d)
    yield from estimators.findings()
    yield from hidden_units.findings()
    yield from high_dimension.findings(full)


def curvature(d: int) -> Iterator[Finding]:
    """What holds of the curvature of every immersion of R^d."""
    immersion = GenericImmersion(d, extra=("u1", "u2", "v1", "v2"))
    gauss, intrinsic = geometries = routes.geometries(immersion)
    yield from routes.findings(immersion, gauss, intrinsic)
    yield routes.of_contractions(immersion, gauss, intrinsic)
    yield routes.of_derivatives(immersion)
    for geometry in geometries:
        yield symmetries.of_second_fundamental_form(geometry, d)
        if d > 1:
            yield from symmetries.of_riemann(geometry, d)
        if d == 2:
            u, v = (
                np.array([immersion.generators[f"{name}{i}"] for i in (1, 2)], dtype=object)
                for name in "uv"
            )
            yield from symmetries.of_surfaces(geometry, u, v)
