"""Jets by nested forward-mode automatic differentiation (torch.func), one point at a time.

Slow and obvious: the referee of every other provider. ``vmap`` runs over the points, d tangents
per order over the directions, all orders in one sweep.

Nested transforms are silently wrong on some torch functions, so nothing here rests on one nesting:
those functions are swapped for primitives (:mod:`curvcore.providers.primitives`), and the result is
compared, in a random direction ⟨w, Ψ⟩ of the output at one point, with forward over reverse mode,
which takes other derivative formulas.
"""

import warnings

import torch
from torch.func import grad, jacfwd, vmap

from curvcore.errors import (
    CurvatureError,
    PiecewiseLinearWarning,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from curvcore.jets import Jet
from curvcore.providers.primitives import PrimitiveOperations


def autodiff_jet(decoder, z, order):
    """The jet of ``decoder`` at latent points ``z``.

    Args:
        decoder: callable (B, d) -> (B, ...) that treats rows independently.
        z: points (B, d), B ≥ 1, of floating dtype.
        order: 1, 2 or 3.

    Returns:
        Jet with the output flattened to D components, differentiable in z and in the parameters.

    Raises:
        RowsNotIndependentError: rows are coupled or random.
        UnsupportedOperationError: an operation has no, or a faulty, nested derivative.
    """

    def point_map(point):
        # A batch axis of one: 0-d float32 tensors would get float64 tangents.
        return decoder(point[None])[0].reshape(-1)

    with PrimitiveOperations() as operations:
        try:
            jet = Jet(*vmap(_all_derivatives(point_map, order))(z))
            witness = _projected_derivatives(point_map, z, jet)
        except CurvatureError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            raise _translate(error, operations.operation) from error
    _warn_of_kinks(operations.kinks)
    _compare(jet, *witness)
    return jet


def _all_derivatives(function, order):
    """z -> (Ψ, ∇Ψ, ..., ∇^order Ψ), the lower ones carried along as auxiliary output."""

    def level(z):
        value = function(z)
        return value, (value,)

    for _ in range(order):
        level = _differentiate(level)
    return lambda z: level(z)[1]


def _differentiate(level):
    jacobian = jacfwd(level, has_aux=True)

    def next_level(z):
        derivative, lower = jacobian(z)
        return derivative, (*lower, derivative)

    return next_level


# --- the witness --------------------------------------------------------------------------------


def _projected_derivatives(point_map, z, jet):
    """w (D,) and the highest derivative of ⟨w, Ψ⟩ at the first point by forward over reverse."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(jet.ambient_dimension, generator=generator, dtype=torch.float64)
    weights = weights.to(z)
    transform = grad(lambda point: point_map(point) @ weights)
    for _ in range(jet.order - 1):
        transform = jacfwd(transform)
    return weights, transform(z[0].detach())


def _compare(jet, weights, expected):
    highest = jet.arrays()[-1][0].detach()
    projected = torch.tensordot(weights, highest, dims=1)
    scale = torch.tensordot(weights.abs(), highest.abs(), dims=1).max()
    tolerance = torch.finfo(highest.dtype).eps ** 0.5 * scale
    error = (projected - expected.detach()).abs().max()
    if error > tolerance:  # false for NaN: a point that is not finite is the metric's affair
        raise UnsupportedOperationError(
            f"Derivatives of order {jet.order} by nested forward mode and by forward over reverse "
            f"mode differ by {float(error / scale):.1e} on this decoder: torch has a wrong "
            "derivative formula for an operation hidden in it (TorchScript, a custom kernel or "
            "autograd.Function). Write that operation from primitives."
        )


# --- messages -----------------------------------------------------------------------------------


def _translate(error, operation):
    text = str(error)
    if "called random operation" in text:
        return RowsNotIndependentError(
            f"The decoder is random: it calls {operation}. Remove the noise, or draw it once "
            "outside the decoder."
        )
    return UnsupportedOperationError(
        f"The decoder cannot be differentiated in nested forward mode; the operation called last "
        f"is {operation}. torch says: {text.splitlines()[0]} Write that operation from "
        "differentiable primitives."
    )


def _warn_of_kinks(kinks):
    if kinks:
        warnings.warn(
            f"The decoder uses piecewise functions ({', '.join(sorted(kinks))}). Its derivatives "
            "exist almost everywhere only, and curvature that sits on the kinks is not seen: a "
            "piecewise linear decoder has R = 0 almost everywhere, which means nothing. Use a "
            "smooth activation (SiLU, GELU, tanh, softplus).",
            PiecewiseLinearWarning,
            stacklevel=2,
        )
