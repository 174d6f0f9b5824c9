"""Gradients in z on the catalogue: closed forms T, differentiated by sympy.

det g is the determinant of the closed metric; Γ and ∂Γ are made from it by forward mode. Each T is
contracted with a random W, |W| = 1, and ∂⟨T, W⟩/∂z compared at every point, in units of |∂T| or of
the size of what is added up in T, where that is more. On their domains metrics have condition
numbers below 10 and coordinates are of order one, so the reverse mode of a formula that is good to
10³ eps (:mod:`verification.closed_forms`) adds up at most ten times as many terms of that size.
"""

from functools import cache, partial

import sympy as sp
import torch
from torch.func import jacfwd, vmap

import curvcore
from verification.closed_forms import FORMULAS, TOLERANCES, Reference, computed
from verification.gradients.inputs import gradient
from verification.referees import Textbook
from verification.results import Result

MORE_TERMS = 10
STATED = ("metric", "ricci", "scalar", "mean_curvature_squared")


def of_manifold(manifold, *, derivatives, dtype, device, points, seed):
    """Yield a Result per formula and closed form, the worst over ``points`` random points."""
    generator = torch.Generator().manual_seed(seed)
    z = manifold.sample(points, generator).to(dtype)
    expected = Expected(manifold, z)
    z = z.to(device).requires_grad_()
    jet = curvcore.jet(manifold.decoder(None, seed), z, order=3, derivatives=derivatives)
    for formula in FORMULAS:
        geometry = curvcore.PullbackGeometry(jet, formula=formula, on_degenerate="nan")
        for quantity in expected.slopes:
            yield Result(
                section="gradients",
                subject=manifold.name,
                dimension=jet.dimension,
                ambient=jet.ambient_dimension,
                quantity=f"∂{quantity}/∂z",
                derivatives=derivatives,
                formula=formula,
                dtype=str(dtype).removeprefix("torch."),
                points=points,
                error=expected.error(quantity, computed(quantity, geometry), z),
                tolerance=MORE_TERMS * TOLERANCES[formula, dtype],
            )


class Expected:
    """∂T/∂z of every closed form T of a manifold at points z, (B, entries of T, d) in float64."""

    def __init__(self, manifold, z):
        self.slopes = {
            name: manifold.closed_form(slopes, z) for name, slopes in derivatives(manifold).items()
        }
        of_connection = vmap(jacfwd(OfMetric(manifold).christoffel))(z.double())
        self.slopes["christoffel"] = of_connection.flatten(1, 3)
        metric = manifold.closed_form(manifold.metric, z)
        size, curvature = metric.flatten(1).norm(dim=1), Reference(manifold, z).curvature_unit
        self._units = {
            "metric": size,
            "volume_density_squared": torch.linalg.det(metric),
            "christoffel": torch.ones_like(size),  # of 1/coordinate
            "ricci": curvature * size,
            "scalar": curvature,
            "mean_curvature_squared": curvature,
        }

    def error(self, quantity, tensor, z):
        """The worst relative error of what ``tensor`` (B, ...) passes back to z."""
        slopes = self.slopes[quantity]
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(slopes.shape[1], generator=generator, dtype=torch.float64)
        weights = weights / weights.norm()
        total = (tensor.reshape(len(z), -1) * weights.to(tensor)).sum()
        difference = gradient(total, [z])[0].cpu() - torch.einsum("bnk,n->bk", slopes, weights)
        unit = torch.maximum(slopes.flatten(1).norm(dim=1), self._units[quantity])
        return (difference.norm(dim=1) / unit).max().item()


class OfMetric(Textbook):
    """What follows from a metric in closed form."""

    def __init__(self, manifold):
        super().__init__(None)
        self._closed = partial(manifold.closed_form, manifold.metric)

    def metric(self, point):
        """g_ij."""
        return self._closed(point[None])[0]


@cache
def derivatives(manifold):
    """name -> the matrix of ∂T/∂z_k, a row for each entry of T, for each closed form T."""
    found = {name: getattr(manifold, name) for name in STATED}
    found["volume_density_squared"] = manifold.metric.det(method="berkowitz")
    return {
        name: sp.ImmutableMatrix([[e.diff(x) for x in manifold.coordinates] for e in entries])
        for name, tensor in found.items()
        if (entries := _entries(tensor))
    }


def _entries(tensor):
    if tensor is None:
        return []
    return list(tensor) if isinstance(tensor, sp.MatrixBase) else [sp.sympify(tensor)]
