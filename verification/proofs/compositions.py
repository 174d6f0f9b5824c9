"""The chain and product rules of jets: derivatives to order 3 of generic functions are sympy's."""

from itertools import product

import torch
import torch.nn.functional as F

from verification.proofs import smooth
from verification.proofs.verdicts import proved, stacked

f, g = smooth.generic_function("f"), smooth.generic_function("g")

# (d, order of the jet)
ALL = tuple(product((1, 2, 3), (1, 2, 3)))
SAMPLE = ((1, 3), (2, 1), (2, 2), (2, 3), (3, 3))
DEAR = ("u^p", "u^v", "g(V(u + f(Wu + b)))")  # made of the others; d = 3 takes a second each


def findings(full=False):
    """One Finding per kind of rule."""
    for subject in RULES:
        yield of(subject, ALL if full else SAMPLE[:-1] if subject in DEAR else SAMPLE)


def of(subject, cases):
    """The Finding on one of RULES, over pairs of d and order."""
    residuals = [RULES[subject](smooth.coordinates(d), order) for d, order in cases]
    order, dimensions = max(order for _, order in cases), sorted({d for d, _ in cases})
    statement = f"value and derivatives to order {order} are sympy's, d = "
    return proved(
        f"jets: {subject}", statement + ", ".join(map(str, dimensions)), stacked(*residuals)
    )


def _of(function, *shapes):
    """The residual of ``function`` of generic functions u, v, ... of these shapes."""

    def residual(z, order):
        inputs = [
            smooth.generic(name, shape, z) for name, shape in zip("uvw", shapes, strict=False)
        ]
        return smooth.residual(function, inputs, z, order)

    return residual


def _of_sparse(function, *degrees):
    """The same of polynomials of these degrees, whose vanishing derivatives are not held."""

    def residual(z, order):
        inputs = [
            smooth.generic_polynomial(name, degree, z)
            for name, degree in zip("pqr", degrees, strict=False)
        ]
        held = [min(degree, order) for degree in degrees]
        return smooth.residual(function, inputs, z, order, held)

    return residual


def _two_layers(x):
    """A residual block and a layer: x + f(Wx + b) =: h, then g(Vh)."""
    W, b, V = smooth.constants("W", 2, 2), smooth.constants("b", 2), smooth.constants("V", 1, 2)
    return g(F.linear(x + f(F.linear(x, W, b)), V))


def _shared_derivatives(z, order):
    """f and products at two points whose first derivatives are the same, held once."""
    c, slopes = smooth.constants("c", 2, 1), smooth.constants("s", len(z)).array
    points = c.array + slopes @ z
    shared = smooth.jet(points, z, order, levels=1)
    shared = shared.like(shared.value, shared.channels[:, :1])
    output = f(shared) * shared + shared
    value = (f(smooth.exact(points)) * smooth.exact(points) + smooth.exact(points)).array
    computed = output.all_channels().array
    return smooth.expanded(computed - smooth.derivatives(value, z, order))


ONE = (1,)
RULES = {
    "f(u)": _of(f, ONE),
    "f(p), p of degree 1": _of_sparse(f, 1),
    "f(p), p of degree 2": _of_sparse(f, 2),
    "f at points that share derivatives": _shared_derivatives,
    "u + v, u − v, 2u + c": _of(
        lambda u, v: torch.cat([u + v, torch.sub(u, v, alpha=3), 2 * u + 5, 1 - v], -1), ONE, ONE
    ),
    "u + p, p of degree 1": _of_sparse(lambda p, q: torch.cat([p + q, q - p]), 1, 3),
    "u v": _of(lambda u, v: u * v, ONE, ONE),
    "u²": _of(lambda u: torch.cat([u * u, u**2]), ONE),
    "p q, of degrees 1 and 1, 2, 3": lambda z, order: stacked(
        *(_of_sparse(lambda p, q: p * q, 1, degree)(z, order) for degree in (1, 2, 3))
    ),
    "u / v": _of(lambda u, v: u / v, ONE, ONE),
    "1 / u": _of(lambda u: 1 / u, ONE),
    "u^p": _of(lambda u: torch.cat([u**3, u**-2, u**0.5, u**2.5], -1), ONE),
    "u^v": _of(lambda u, v: u**v, ONE, ONE),
    "matrix product": _of(torch.matmul, (1, 2), (2, 1)),
    "linear layer": _of(
        lambda u: F.linear(u, smooth.constants("W", 2, 2), smooth.constants("b", 2)), (2,)
    ),
    "sums and means": _of(lambda u: torch.stack([u.sum(-1), u.mean(-1)]), (2,)),
    "u + f(u)": _of(lambda u: u + f(u), ONE),
    "g(V(u + f(Wu + b)))": _of(_two_layers, (2,)),
}
