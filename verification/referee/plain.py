"""Decoders of the cases, written once for every array library: Ψ(xp, weights, z), (B, d) -> (B, D).

``xp`` is ``torch``, ``jax.numpy``, ``autograd.numpy`` or whatever has their functions. This module
is all of the project that a worker of another library imports, besides its adapter, and needs numpy
alone. Numbers are dyadic, so that they are the same in float32 and float64; so are weights, which
numpy's frozen generator makes anew in every environment. Where torch has an operation of its own
for a layer, it is used: that is what its users write.
"""

from itertools import pairwise

import numpy as np


def _rows(xp, *columns):
    return xp.stack(columns, axis=-1)


def _columns(z):
    return [z[:, i] for i in range(z.shape[1])]


def sphere(xp, weights, z):
    """S² of radius 1.25 in spherical coordinates."""
    u, v = _columns(z)
    return 1.25 * _rows(xp, xp.cos(u), xp.sin(u) * xp.cos(v), xp.sin(u) * xp.sin(v))


def three_sphere(xp, weights, z):
    """S³ of radius 1.25 in spherical coordinates."""
    u, v, w = _columns(z)
    s, t = xp.sin(u), xp.sin(u) * xp.sin(v)
    return 1.25 * _rows(xp, xp.cos(u), s * xp.cos(v), t * xp.cos(w), t * xp.sin(w))


def torus(xp, weights, z):
    """Radii 2 and 0.75."""
    u, v = _columns(z)
    ring = 2 + 0.75 * xp.cos(v)
    return _rows(xp, ring * xp.cos(u), ring * xp.sin(u), 0.75 * xp.sin(v))


def pseudosphere(xp, weights, z):
    """1.25 times the tractrix (sech v, v − tanh v), turned."""
    u, v = _columns(z)
    radius = 2 / (xp.exp(v) + xp.exp(-v))
    return 1.25 * _rows(xp, radius * xp.cos(u), radius * xp.sin(u), v - xp.tanh(v))


def paraboloid(xp, weights, z):
    """The graph of |z|²/2.5 over R³."""
    x, y, w = _columns(z)
    return _rows(xp, x, y, w, (x * x + y * y + w * w) / 2.5)


def veronese(xp, weights, z):
    """The projective plane as 1.25 ωωᵀ in R⁹, ω on S²."""
    u, v = _columns(z)
    omega = xp.cos(u), xp.sin(u) * xp.cos(v), xp.sin(u) * xp.sin(v)
    return 1.25 * _rows(xp, *(a * b for a in omega for b in omega))


def product(xp, weights, z):
    """S²(1.25) × S²(0.75) in R⁶."""
    a, b, u, v = _columns(z)
    first = xp.cos(a), xp.sin(a) * xp.cos(b), xp.sin(a) * xp.sin(b)
    second = xp.cos(u), xp.sin(u) * xp.cos(v), xp.sin(u) * xp.sin(v)
    return _rows(xp, *(1.25 * x for x in first), *(0.75 * x for x in second))


def perceptron(xp, weights, z):
    """Linear layers with tanh between them."""
    *hidden, last = _layers(weights)
    for layer in hidden:
        z = xp.tanh(_linear(xp, z, *layer))
    return _linear(xp, z, *last)


def normalised(xp, weights, z):
    """Linear layers with LayerNorm and SiLU between them."""
    *hidden, last = _layers(weights)
    for layer in hidden:
        z = _silu(xp, _layer_norm(xp, _linear(xp, z, *layer)))
    return _linear(xp, z, *last)


def _layers(weights):
    return list(zip(weights[::2], weights[1::2], strict=True))


def _is_torch(xp):
    return getattr(xp, "__name__", "") == "torch"


def _linear(xp, h, weight, bias):
    return xp.nn.functional.linear(h, weight, bias) if _is_torch(xp) else h @ weight.T + bias


def _silu(xp, h):
    return xp.nn.functional.silu(h) if _is_torch(xp) else h / (1 + xp.exp(-h))


def _layer_norm(xp, h):
    if _is_torch(xp):
        return xp.nn.functional.layer_norm(h, h.shape[-1:])
    centred = h - xp.mean(h, axis=-1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)


def _random_weights(seed, *widths):
    """W (out, in) and b (out,) of each layer, normal, W over the root of its inputs."""
    generator = np.random.RandomState(seed)
    weights = []
    for inputs, outputs in pairwise(widths):
        matrix = generator.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        weights += [matrix, 0.5 * generator.standard_normal(outputs)]
    return [w.astype(np.float32).astype(np.float64) for w in weights]


# Name -> Ψ and its weights, float64 arrays.
DECODERS = {
    "sphere": (sphere, []),
    "three-sphere": (three_sphere, []),
    "torus": (torus, []),
    "pseudosphere": (pseudosphere, []),
    "paraboloid": (paraboloid, []),
    "veronese": (veronese, []),
    "product": (product, []),
    "tanh": (perceptron, _random_weights(1, 2, 16, 16, 5)),
    "layer-norm": (normalised, _random_weights(2, 2, 16, 16, 5)),
    "images": (perceptron, _random_weights(3, 2, 64, 64, 784)),
}
