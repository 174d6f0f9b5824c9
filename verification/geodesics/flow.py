"""Solutions of differential equations on short segments, enclosed by Picard's iteration.

Models have one variable, τ in [−1, 1], the time t = t_k + h(1 + τ)/2 of segment k; all segments are
done at once. A tube is a polynomial x̄ ± r. Where the integral operator

    P(x)(τ) = x_0 + h/2 ∫_{−1}^τ f(x)

maps all continuous curves in a tube into it, Schauder's theorem gives a solution in there, for
every x_0 that the start stands for; f is smooth, so that it is the only one. Reference: Makino and
Berz, *Int. J. Differential Equations and Applications* 10 (2005).
"""

import torch

from verification.regions.models import TaylorModels, U, norm, up

_TRIES = 6  # of radii, before a segment is given up


def integral(models, halves):
    """h/2 ∫_{−1}^τ f: models (K, ...).

    Args:
        halves: h/2, floats (K,).
    """
    n = models.basis.degree
    c = models.padded(n + 1)
    orders = torch.arange(1, n + 2, dtype=torch.float64).reshape(-1, *(1,) * models.ndim)
    raised = c / orders
    start = (raised[0::2].sum(0) - raised[1::2].sum(0))[None]  # less the values at τ = −1
    radius = 2 * models.radius + raised[-1].abs() + 2 * (n + 4) * U * norm(raised)
    kept = TaylorModels(models.basis, torch.cat([start, raised[:-1]]), up(radius, n + 4))
    return kept * _times(halves, models)


def total(models, halves):
    """h/2 ∫_{−1}^1 f: constants (K, ...)."""
    even = models.coefficients[0::2]
    orders = torch.arange(1, 2 * len(even), 2, dtype=torch.float64)
    parts = even / orders.reshape(-1, *(1,) * models.ndim)
    radius = up(models.radius + 2 * (len(even) + 4) * U * norm(parts), len(even))
    mean = TaylorModels(models.basis, parts.sum(0)[None], radius)
    return mean * _times(2 * halves, models)


def at(models, tau):
    """The values at τ, a float or floats (K,): constants."""
    tau = torch.as_tensor(tau, dtype=torch.float64).expand(models.shape[:1])
    tau, basis = _times(tau, models), models.basis
    value = TaylorModels(basis, models.coefficients[-1:], torch.zeros_like(models.radius))
    for c in models.coefficients[:-1].flip(0):
        value = value * tau + TaylorModels(basis, c[None], torch.zeros_like(models.radius))
    return value + ball(basis, torch.zeros_like(models.radius), models.radius)


def ball(basis, middle, radius):
    """The constants middle ± radius."""
    return TaylorModels(basis, middle[None], radius)


def polynomial(basis, coefficients):
    """Models without radius."""
    return TaylorModels(basis, coefficients, torch.zeros_like(coefficients[0]))


def _widened(models, radius):
    return TaylorModels(models.basis, models.coefficients, radius)


def enclosed(operator, polynomials):
    """Tubes that hold the solutions, and where that is proved: (K,).

    Args:
        operator: P, a list of models to a list of models.
        polynomials: near the solutions, a list of models (K, ...) without radius.
    """
    images = operator(polynomials)
    radii = [2 * _off(x, y) for x, y in zip(polynomials, images, strict=True)]
    proved = torch.zeros(len(radii[0]), dtype=torch.bool)
    tubes = polynomials
    for _ in range(_TRIES):
        trial = [_widened(x, r) for x, r in zip(polynomials, radii, strict=True)]
        images = operator(trial)
        offs = [_off(x, y) for x, y in zip(polynomials, images, strict=True)]
        inside = [
            ((off <= r) & r.isfinite()).flatten(1).all(1)
            for off, r in zip(offs, radii, strict=True)
        ]
        inside = torch.stack(inside).all(0)
        tubes = images if tubes is polynomials else _chosen(inside & ~proved, images, tubes)
        proved = proved | inside
        if proved.all():
            break
        radii = [torch.maximum(2 * off, r) for off, r in zip(offs, radii, strict=True)]
    return tubes, proved


def _off(polynomial, image):
    """How far an image may be from a polynomial, above."""
    length = max(len(polynomial.coefficients), len(image.coefficients))
    gap = image.padded(length) - polynomial.padded(length)
    sizes = norm(image.padded(length)) + norm(polynomial.padded(length))
    return up(norm(gap) + U * sizes + image.radius, length)


def _chosen(mask, one, other):
    """For each segment the first or the second."""
    found = []
    for a, b in zip(one, other, strict=True):
        chosen = mask.reshape(-1, *(1,) * (a.ndim - 1))
        length = len(a.basis)
        coefficients = torch.where(chosen, a.padded(length), b.padded(length))
        found.append(TaylorModels(a.basis, coefficients, torch.where(chosen, a.radius, b.radius)))
    return found


def _times(numbers, models):
    """Floats (K,) as constants that multiply models (K, ...)."""
    shaped = numbers.reshape(-1, *(1,) * (models.ndim - 1))
    return TaylorModels.constant(models.basis, shaped)
