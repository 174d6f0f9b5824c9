"""Immersions into spaces with a metric of their own: the Gauss equation against ∂Γ, closed forms.

What is exact here is the arithmetic. Of a generic immersion into a generic metric the two formulas
are compared at random rational derivatives: a rational function that is not zero everywhere
vanishes at such a point by an accident that nobody has seen (Schwartz, Zippel).
"""

import random

import numpy as np
import sympy

import curvcore
from curvcore.ambient import AmbientField, AmbientJet
from curvcore.geometry import PullbackGeometry
from verification.proofs.verdicts import proved, stacked

FORMULAS = ("gauss", "intrinsic")
_TIMES = 3


def findings():
    """All of these."""
    for d in (2, 3):
        yield of_both_formulas(d)
    for d in (2, 3):
        yield from of_space_forms(d)
    yield of_gaussians()


def of_both_formulas(d):
    """Γ and R_ijkl of both formulas, of random immersions into R^{d+2} with a diagonal metric."""
    differences = []
    for seed in range(_TIMES):
        jet = random_jet(d, d + 2, random.Random(seed))
        gauss, intrinsic = (PullbackGeometry(jet, formula=formula) for formula in FORMULAS)
        differences += [
            gauss.christoffel - intrinsic.christoffel,
            gauss.riemann - intrinsic.riemann,
        ]
    return proved(
        f"ambient metric, d = {d}",
        f"Γ^k_ij and R_ijkl of both formulas agree, at {_TIMES} random rational points",
        stacked(*differences),
    )


def of_space_forms(d):
    """R = d(d−1)κ of the half-space, the ball and the stereographic sphere, as ambient metrics."""
    x = sympy.symbols(f"x1:{d + 1}", positive=True)
    metrics = {
        "half-space": (-1, lambda v: v[-1] ** -2),
        "ball": (-1, lambda v: 4 / (1 - sum(v**2)) ** 2),
        "stereographic sphere": (1, lambda v: 4 / (1 + sum(v**2)) ** 2),
    }
    for name, (curvature, ambient) in metrics.items():
        residuals = [
            sympy.simplify(
                curvcore.pullback(x, x, ambient=ambient, formula=formula).scalar
                - d * (d - 1) * curvature
            )
            for formula in FORMULAS
        ]
        yield proved(
            f"{name}, d = {d}",
            f"R = {d * (d - 1) * curvature}, by both formulas",
            stacked(residuals),
        )


def of_gaussians():
    """The Fisher metric of N(μ, σ²) is hyperbolic: R = −1, on its curves' surfaces too."""
    mean, scale = sympy.symbols("mu sigma", positive=True)
    residuals = [
        sympy.simplify(
            curvcore.pullback(
                [mean, scale],
                (mean, scale),
                ambient=lambda x: [x[1] ** -2, 2 * x[1] ** -2],
                formula=formula,
            ).scalar
            + 1
        )
        for formula in FORMULAS
    ]
    return proved("Fisher metric of Gaussians", "R = −1, by both formulas", stacked(residuals))


def random_jet(d, components, generator):
    """An AmbientJet of random rational derivatives of Ψ and of a diagonal G, its roots rational."""

    def numbers(axes, rank):
        return _symmetric(components, axes, rank, generator)

    value, first, second, third = (numbers(d, rank) for rank in range(4))
    roots, slopes, bends = (numbers(components, rank) for rank in range(3))
    along = np.einsum("ab,bk->ak", slopes, first)
    twice = np.einsum("abc,bk,cl->akl", bends, first, first)
    twice = twice + np.einsum("ab,bkl->akl", slopes, second)
    field = AmbientField((roots**2, along, twice), is_diagonal=True)
    pairs = [(i, j) for i in range(d) for j in range(i, d)]
    squares = np.stack([first[:, i] * first[:, j] for i, j in pairs], -1)
    arrays = [value, first, second, third]
    return AmbientJet(arrays, field, np.einsum("ba,bp->ap", slopes, squares))


def _symmetric(count, axes, rank, generator):
    """Positive rational numbers (count, axes, ..., axes), symmetric in all but the first index."""
    array = np.empty((count, *(axes,) * rank), dtype=object)
    for first, *others in np.ndindex(array.shape):
        sorted_ = (first, *sorted(others))
        if array[sorted_] is None:
            array[sorted_] = sympy.Rational(generator.randint(1, 9), generator.randint(1, 9))
        array[(first, *others)] = array[sorted_]
    return array
