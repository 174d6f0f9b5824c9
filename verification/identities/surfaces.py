"""Immersions Ψ: (B, d) -> (B, D) as plain torch functions, and ways to make new ones of them.

All are analytic, so that quadrature converges geometrically. Coordinates of spheres and tori are
those of :mod:`verification.identities.meshes`.
"""

import math

import torch

LIPSCHITZ = 0.5
FREQUENCY = 1.5
WAVES = 6


def sphere(z, radius=1.0):
    """S^d in hyperspherical coordinates: (cos θ1, sin θ1 cos θ2, …, sin θ1 ⋯ sin φ)."""
    components, sines = [], radius
    for angle in z.unbind(1):
        components.append(sines * torch.cos(angle))
        sines = sines * torch.sin(angle)
    return torch.stack([*components, sines], 1)


def moebius_sphere(b):
    """S² moved by the Möbius map with x_1 ↦ (x_1 + b)/(1 + b x_1), |b| < 1: K = 1, uneven area."""

    def decoder(z):
        first, *others = sphere(z).unbind(1)
        scaled = [math.sqrt(1 - b * b) * x for x in others]
        return torch.stack([first + b, *scaled], 1) / (1 + b * first)[:, None]

    return decoder


def clifford_torus(z):
    """(cos z_i, sin z_i): flat and isometric, R^d -> R^{2d}, an embedded torus of period 2π."""
    return torch.cat([torch.cos(z), torch.sin(z)], 1)


def conformal_torus(a):
    """The ring torus of radii a > 1 and 1 in isothermal coordinates (φ, w).

    dθ/(a + cos θ) = dw/√(a² − 1) gives a + cos θ = (a² − 1)/(a − cos w) and hence

        g = (a + cos θ)² (dφ² + dw²/(a² − 1)),   conformal to a constant metric.
    """

    def decoder(z):
        phi, w = z.unbind(1)
        ring = (a * a - 1) / (a - torch.cos(w))
        height = math.sqrt(a * a - 1) * torch.sin(w) / (a - torch.cos(w))
        return torch.stack([ring * torch.cos(phi), ring * torch.sin(phi), height], 1)

    return decoder


def inverted(decoder, centre):
    """x ↦ (x − p)/|x − p|² after ``decoder``: conformal, with factor |x − p|⁻⁴."""

    def composed(z):
        x = decoder(z) - centre
        return x / x.square().sum(1, keepdim=True)

    return composed


def cigar(z):
    """Hamilton's cigar g = (dx² + dy²)/(1 + x² + y²), isometrically in R³.

    In polar coordinates with radius sinh s it is ds² + tanh²s dφ², a surface of revolution with
    radius tanh s and height h, h'² = 1 − sech⁴s. With w = √(1 + sech²s) that is integrated by
    h = log((1 + w) cosh s) − w, and cosh²s = 1 + x² + y² =: q.
    """
    q = 1 + z.square().sum(1, keepdim=True)
    w = torch.sqrt(1 + 1 / q)
    return torch.cat([z / torch.sqrt(q), torch.log(1 + w) + torch.log(q) / 2 - w], 1)


def cylinder(z, radius=1.0):
    """S² × R in R⁴: (θ, φ, x)."""
    return torch.cat([sphere(z[:, :2], radius), z[:, 2:]], 1)


def product_of_spheres(z):
    """S² × S² in R⁶: (θ, φ, θ', φ')."""
    return torch.cat([sphere(z[:, :2]), sphere(z[:, 2:])], 1)


def ellipsoid(z):
    """Semi-axes 0.7, 1.2 and 0.9: no symmetry of revolution."""
    return sphere(z) * torch.tensor([0.7, 1.2, 0.9], dtype=z.dtype)


def waves(d, D, generator, size=LIPSCHITZ, frequency=FREQUENCY):
    """A random entire map R^d -> R^D, x ↦ A sin(Bx + b), with Lipschitz constant ≤ ``size``.

    |A|₂ |B|₂ = ``size`` and |B|₂ = ``frequency`` in the operator norm.
    """
    outer, inner = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((D, WAVES), (WAVES, d))
    )
    phase = 2 * math.pi * torch.rand(WAVES, generator=generator, dtype=torch.float64)
    inner = inner * (frequency / torch.linalg.matrix_norm(inner, 2))
    outer = outer * (size / frequency / torch.linalg.matrix_norm(outer, 2))
    return lambda x: torch.sin(x @ inner.T + phase) @ outer.T


def diffeomorphism(d, generator, size=LIPSCHITZ, frequency=FREQUENCY):
    """A random analytic diffeomorphism of R^d: the identity and a map of Lipschitz constant < 1."""
    wave = waves(d, d, generator, size, frequency)
    return lambda x: x + wave(x)


def perturbed(decoder, D, generator, size=LIPSCHITZ, frequency=FREQUENCY):
    """``decoder`` followed by a random diffeomorphism of R^D: immersions stay, closed ones too."""
    moved = diffeomorphism(D, generator, size, frequency)
    return lambda z: moved(decoder(z))


def perceptron(d, D, generator, width=16):
    """A random decoder with two hidden tanh layers and a skip connection: z ↦ Q (z, h(z)).

    QᵀQ = I: isometric to the graph of h: R^d → R^{D−d}, hence an immersion.
    """
    shapes = ((d, width), (width, width), (width, D - d), (D, D))
    first, second, third, rotation = (
        torch.randn(shape, generator=generator, dtype=torch.float64) / math.sqrt(shape[0])
        for shape in shapes
    )
    rotation = torch.linalg.qr(rotation).Q
    bias = torch.randn(width, generator=generator, dtype=torch.float64)

    def decoder(z):
        hidden = torch.tanh(torch.tanh(z @ first + bias) @ second)
        return torch.cat([z, hidden @ third], 1) @ rotation

    return decoder
