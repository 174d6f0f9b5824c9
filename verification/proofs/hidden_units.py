"""Second derivatives of networks, as sums over hidden units.

Of a network of linear maps and entrywise functions, along the vectors e_a = E^i_a ∂_i,

    Ψ_ab = Σ_m q_m A_ma A_mb,   q_m = f″_m ∂Ψ/∂x_m,   A_ma = ∂_a p_m,

m over all hidden units x_m = f_m(p_m): A_ma is the slope of what goes into a unit, and ∂Ψ/∂x_m how
the output depends on what leaves it, through all later layers. Hence

    Σ_a Ψ_aa = Σ_m q_m Σ_a A_ma²,   Σ_ab |Ψ_ab|² = Σ_mn ⟨q_m, q_n⟩ (Σ_a A_ma A_na)².
"""

from itertools import product

import numpy as np
import sympy as sp

from curvcore.arithmetic import einsum
from verification.proofs.fields import field
from verification.proofs.smooth import derivative_of_generic, expanded
from verification.proofs.verdicts import proved, stacked

WIDTH = 2  # of z, of both hidden layers and of the output


def findings():
    """Of two hidden layers with every connection, and of free q and A."""
    yield of_second_derivatives()
    yield of_contractions()


def second_derivatives(weights, slopes):
    """Ψ_ab = Σ_m q_m A_ma A_mb: q (m, D), A (m, d) -> (D, d, d)."""
    return einsum("mk,ma,mb->kab", weights, slopes, slopes)


def trace(weights, slopes):
    """Σ_a Ψ_aa = Σ_m q_m Σ_a A_ma²: (D,)."""
    return einsum("mk,ma->k", weights, slopes * slopes)


def squared_norm(weights, slopes):
    """Σ_ab |Ψ_ab|² = Σ_mn ⟨q_m, q_n⟩ (Σ_a A_ma A_na)²."""
    return ((weights @ weights.T) * (slopes @ slopes.T) ** 2).sum()


def of_second_derivatives():
    """Against sympy, with generic functions f and g and skip connections past either layer."""
    z, first, second = (
        np.array(sp.symbols(f"{name}1:{WIDTH + 1}"), dtype=object) for name in "zxy"
    )
    matrices = {name: _matrix(name) for name in "WVUCBAE"}
    W, V, U, C, B, A, frame = matrices.values()
    into_first, into_second = W @ z, V @ first + U @ z
    output = C @ second + B @ first + A @ z

    def at_point(array):
        """An expression of z, of what enters and leaves the units."""
        substituted = _substituted(array, second, _applied("g", 0, into_second))
        return _substituted(substituted, first, _applied("f", 0, into_first))

    # ∂/∂x through the second layer: directly, and by way of y.
    through = _derivative(output, second).T * _applied("g", 1, into_second)[:, None]
    direct = _derivative(output, first).T + _derivative(into_second, first).T @ through
    weights = np.concatenate(
        [
            _applied("f", 2, into_first)[:, None] * direct,
            _applied("g", 2, into_second)[:, None] * _derivative(output, second).T,
        ]
    )
    entering = at_point(np.concatenate([into_first, into_second]))
    slopes = _derivative(entering, z) @ frame
    expected = _derivative(_derivative(at_point(output), z), z)
    computed = second_derivatives(at_point(weights), slopes)
    return proved(
        "hidden units",
        "Ψ_ab = Σ_m q_m A_ma A_mb over both layers of A z + B f(Wz) + C g(V f(Wz) + Uz)",
        expanded(computed - einsum("kij,ia,jb->kab", expected, frame, frame)),
    )


def of_contractions():
    """For free q and A, of three units."""
    names = [f"{kind}{m}{k}" for kind, m, k in product("qA", range(3), range(WIDTH))]
    symbols = np.array(list(field(names).values()), dtype=object)
    weights, slopes = symbols.reshape(2, 3, WIDTH)
    form = second_derivatives(weights, slopes)
    return proved(
        "hidden units",
        "Σ_a Ψ_aa = Σ_m q_m |A_m|² and Σ_ab |Ψ_ab|² = Σ_mn ⟨q_m, q_n⟩ ⟨A_m, A_n⟩²",
        stacked(
            einsum("kaa->k", form) - trace(weights, slopes),
            (form * form).sum() - squared_norm(weights, slopes),
        ),
    )


def _matrix(name):
    return np.array(
        sp.Matrix(WIDTH, WIDTH, lambda i, j: sp.Symbol(f"{name}{i + 1}{j + 1}")), dtype=object
    )


def _applied(name, order, array):
    """The derivative of that order of a generic function, entry by entry."""
    return np.frompyfunc(derivative_of_generic(name, order), 1, 1)(array)


def _derivative(array, variables):
    """∂/∂x on a new last axis."""
    return np.stack([np.frompyfunc(lambda e, x=x: e.diff(x), 1, 1)(array) for x in variables], -1)


def _substituted(array, symbols, values):
    replaced = dict(zip(symbols, values, strict=True))
    return np.frompyfunc(lambda e: e.xreplace(replaced), 1, 1)(array)
