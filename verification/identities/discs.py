"""R from circumferences of small geodesic circles: a witness that uses no derivative formula.

Bertrand, Diguet and Puiseux (1848): a geodesic circle about a point, in the image of a plane under
the exponential map, has the circumference

    C(r) = 2πr (1 − K r²/6 + O(r⁴)),

K the sectional curvature of the plane; R is twice the sum over the planes of an orthonormal frame.
The quotients 6 (1 − C/2πr)/r² are of order 2 in r; extrapolated to r = 0, first in the number of
steps along a geodesic and then in r, they must meet curvcore's R within their own error estimate.

References: do Carmo, *Differential Geometry of Curves and Surfaces*, §4-6 (Bertrand–Puiseux);
do Carmo, *Riemannian Geometry*, ch. 5, §2 (in any dimension). Circles come from
:mod:`verification.identities.geodesic_circles`.
"""

import math

import torch

import curvcore
from verification.identities import convergence, surfaces
from verification.identities.geodesic_circles import bending, circumferences

# Of the radius of curvature: the largest circle; each of the others has half the radius.
LARGEST, RADII = 0.25, 5
STEPS = (4, 8)


def findings(full, seed):
    """Yield the Findings on an ellipsoid and on random decoders."""
    generator = torch.Generator().manual_seed(seed)
    points = 24 if full else 6
    cases = {
        "ellipsoid": (2, surfaces.ellipsoid),
        "random decoder R²→R⁵": (2, surfaces.perceptron(2, 5, generator)),
        "random decoder R³→R⁶": (3, surfaces.perceptron(3, 6, generator)),
    }
    if full:
        cases["random decoder R⁴→R⁸"] = (4, surfaces.perceptron(4, 8, generator))
    for name, (d, decoder) in cases.items():
        unit = torch.rand(points, d, generator=generator, dtype=torch.float64)
        z = 0.8 + 1.5 * unit if name == "ellipsoid" else 2 * unit - 1
        yield witness(f"{name}, {points} points", decoder, z)


@torch.no_grad()
def witness(subject, decoder, z):
    """The Finding that circles about the points z have the scalar curvature that curvcore has."""
    bend = bending(decoder, z).clamp_min(1)
    radii = [LARGEST / bend / 2**k for k in range(RADII)]
    quotients = torch.stack([quotient(decoder, z, r) for r in radii])
    return convergence.algebraic(
        subject,
        "C(r) = 2πr (1 − K r²/6 + …), R = 2ΣK",
        convergence.extrapolated(quotients),
        curvcore.pullback(decoder, z).scalar,
        _rounding(decoder(z), radii[-1], z.shape[1]),
        scale=bend.square(),
        step="r",
    )


def quotient(decoder, z, radii):
    """2 Σ 6 (1 − C/2πr)/r² over coordinate planes of a frame: R + O(r²), (B,)."""
    found = []
    for steps in STEPS:
        ratio = circumferences(decoder, z, radii, steps) / (2 * math.pi * radii[:, None])
        found.append(12 * (1 - ratio).sum(1) / radii.square())
    return convergence.extrapolated(torch.stack(found)).value


def _rounding(value, radii, d):
    """What rounding may cost, (B,): second differences err by eps |Ψ| and add up to N² times that.

    In the quotient that is divided by r, and by r²/6; extrapolation triples it at most.
    """
    ends = STEPS[-1] ** 2 * convergence.EPS * value.norm(dim=1)
    return 3 * d * (d - 1) / 2 * 12 * ends / radii**3
