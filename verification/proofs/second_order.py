"""The hand-written chain rule at order two: its values, its tangent map and its adjoint.

``chain_rule._SecondOrder`` is what eager float tensors run: y_i = f' x_i, y_ij = f' x_ij + f'' x_i
x_j, written in place, with derivatives by hand; behind a linear layer, ``layers._adjoint`` goes
back to x itself. Here their parts are run on free symbols.
"""

from types import SimpleNamespace

import numpy as np
import sympy as sp
import torch

from curvcore.packing import count
from curvcore.providers.fused import chain_rule, layers
from curvcore.providers.fused.product_rules import split_levels
from verification.proofs.smooth import constants, expanded
from verification.proofs.verdicts import proved, stacked

SUBJECT = "chain rule at order 2, by hand"
DIMENSIONS = (1, 2, 3)
POINTS = 2


def findings():
    """Values, tangents and adjoint, over d = 1, 2, 3, with and without x_ij, at two points."""
    for statement, residual in {
        "its values are those of the plain form": _of_values,
        "its tangent map is the derivative of its values": _of_tangents,
        "its backward pass is the adjoint of that derivative": _of_adjoint,
        "behind a linear layer it goes back to x, by f, f', f'' and f'''": _of_layer,
    }.items():
        residuals = (residual(*case) for case in _cases())
        yield proved(SUBJECT, f"{statement}, d = 1, 2, 3", stacked(*residuals))


def _cases():
    """(channels, f', f'', d): channels at each point or shared by all, of one level or two."""
    for d in DIMENSIONS:
        for levels in (1, 2):
            for points in (1, POINTS):
                channels = constants("x", sum(count(d, k + 1) for k in range(levels)), points)
                yield channels, constants("f", POINTS), constants("h", POINTS), d


def _of_values(channels, f1, f2, d):
    plain = torch.cat(chain_rule.compose_levels((f1, f2), split_levels(channels, d), 2))
    return expanded(_values(channels, f1, f2, d) - plain.array)


def _of_tangents(channels, f1, f2, d):
    """jvp − Σ ∂y/∂n · ṅ over all inputs n."""
    inputs = channels, f1, f2
    velocities = [constants(f"v{n}", *x.shape) for n, x in enumerate(inputs)]
    tangent = chain_rule._SecondOrder.jvp(_context(inputs, d), *velocities, None)
    pairs = [
        (symbol, velocity)
        for x, v in zip(inputs, velocities, strict=True)
        for symbol, velocity in zip(x.array.flat, v.array.flat, strict=True)
    ]
    moved = [
        sum(y.diff(symbol) * velocity for symbol, velocity in pairs)
        for y in _values(*inputs, d).flat
    ]
    return expanded(tangent.array.reshape(-1) - np.array(moved, dtype=object))


def _of_adjoint(channels, f1, f2, d):
    """backward − ∂/∂n ⟨w, y⟩ for each input n, w free."""
    inputs = channels, f1, f2
    values = _values(*inputs, d)
    weights = constants("w", *values.shape)
    pulled = chain_rule._SecondOrder.backward(_context(inputs, d), weights)
    pairing = sp.Add(*(values * weights.array).flat)
    differences = [
        gradient.array - np.frompyfunc(pairing.diff, 1, 1)(x.array)
        for gradient, x in zip(pulled, inputs, strict=False)
    ]
    return expanded(stacked(*differences))


def _of_layer(channels, f1, f2, d):
    """layers._adjoint − ∂/∂x ⟨w, y⟩, y the value and channels of f∘x, f⁽ᵏ⁾ a symbol each."""
    f, f3 = constants("e", POINTS), constants("k", POINTS)
    values = np.concatenate([f.array[None], _values(channels, f1, f2, d)])
    weights = constants("w", *values.shape)
    pulled = layers._adjoint(channels, (f1, f2, f3), weights, d).array
    products = (values * weights.array).sum(0)  # point by point
    to_value = sum(
        np.frompyfunc(sp.diff, 2, 1)(products, lower.array) * higher.array
        for lower, higher in ((f, f1), (f1, f2), (f2, f3))
    )
    at_points = np.broadcast_to(channels.array, (len(channels.array), POINTS))
    to_channels = np.frompyfunc(sp.diff, 2, 1)(products, at_points)
    if len(channels.array) > d:
        return expanded(pulled - np.concatenate([to_value[None], to_channels]))
    return expanded(pulled - np.concatenate([to_value[None], to_channels[:d]]))


def _values(channels, f1, f2, d):
    return chain_rule._SecondOrder.forward(channels, f1, f2, d).array


def _context(inputs, d):
    return SimpleNamespace(saved_tensors=inputs, d=d)
