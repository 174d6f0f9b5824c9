"""The catalogue against curvcore: exact proofs, and worst errors at random points.

Errors are relative and do not depend on coordinates. Curvatures are compared in units of
max(|R|, |II|²), where |II|² = |H|² − R is the squared length of the second fundamental form (the
Gauss equation, traced twice): R is a difference of terms of that size, and vanishes on flat
manifolds. On a totally geodesic manifold, where both are zero, errors are absolute. Tensors are
compared in an orthonormal frame of the textbook metric, in the Frobenius norm.

Tolerances: metrics of the catalogue have condition numbers below 10 on their domains, and jets of
its elementary functions are good to a few eps; each formula sums fewer than 10³ such terms, which
allows 10³ eps = 1e-4 in float32 and 2e-13 in float64. The intrinsic formula subtracts derivatives
of the metric, larger than R by up to a factor of 10 here.
"""

import math

import torch

import curvcore
from verification.exact.fields import QUANTITIES, is_exact
from verification.results import EXACT, Result

FORMULAS = ("gauss", "intrinsic")
TOLERANCES = {
    ("gauss", torch.float64): 1e-11,
    ("gauss", torch.float32): 1e-4,
    ("intrinsic", torch.float64): 1e-11,
    ("intrinsic", torch.float32): 1e-3,
}


def proofs(manifold):
    """Yield a Result per formula: are all closed forms exact identities of the shipped formulas?"""
    for formula in FORMULAS:
        yield Result(
            section="manifolds",
            subject=manifold.name,
            dimension=manifold.dimension,
            ambient=manifold.ambient_dimension,
            quantity="all closed forms",
            derivatives="symbolic",
            formula=formula,
            dtype=EXACT,
            points=0,
            error=0.0 if is_exact(manifold, formula) else math.inf,
            tolerance=0.0,
        )


def errors(manifold, *, ambient, derivatives, dtype, device, points, seed):
    """Yield a Result per formula and closed form, the worst over ``points`` random points."""
    generator = torch.Generator().manual_seed(seed)
    z = manifold.sample(points, generator).to(dtype)
    jet = curvcore.jet(
        manifold.decoder(ambient, seed), z.to(device), order=3, derivatives=derivatives
    )
    reference = Reference(manifold, z)
    for formula in FORMULAS:
        geometry = curvcore.PullbackGeometry(jet, formula=formula, on_degenerate="nan")
        for quantity in reference.expected:
            found = computed(quantity, geometry).to("cpu", torch.float64)
            yield Result(
                section="manifolds",
                subject=manifold.name,
                dimension=jet.dimension,
                ambient=jet.ambient_dimension,
                quantity=quantity,
                derivatives=derivatives,
                formula=formula,
                dtype=str(dtype).removeprefix("torch."),
                points=points,
                error=reference.error(quantity, found),
                tolerance=TOLERANCES[formula, dtype],
            )


class Reference:
    """Closed forms of a manifold at points z, in float64, and the units errors are measured in."""

    def __init__(self, manifold, z):
        self.expected = {
            name: manifold.closed_form(closed_form, z)
            for name in QUANTITIES
            if (closed_form := getattr(manifold, name)) is not None
        }
        scalar, mean_squared = self.expected["scalar"], self.expected["mean_curvature_squared"]
        size = torch.maximum(scalar.abs(), mean_squared - scalar)
        self.curvature_unit = torch.where(size > 0, size, 1)
        factor = torch.linalg.cholesky(self.expected["metric"])
        self._frame = torch.linalg.inv(factor)

    def error(self, quantity, computed):
        """The worst relative error over the points."""
        difference = computed - self.expected[quantity]
        if difference.ndim == 3:
            in_frame = self._frame @ difference @ self._frame.mT
            difference = in_frame.flatten(1).norm(dim=1)
        unit = 1 if quantity == "metric" else self.curvature_unit
        return (difference.abs() / unit).max().item()


def computed(quantity, geometry):
    """A closed form's counterpart in a PullbackGeometry."""
    if quantity == "gaussian":
        return geometry.scalar / 2
    if quantity == "volume_density_squared":
        return geometry.volume_density.square()
    if quantity == "mean_curvature_squared":
        return geometry.mean_curvature.square().sum(-1)
    return getattr(geometry, quantity)
