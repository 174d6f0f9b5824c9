"""The same decoder in JAX, for ``--peers``: ``jit(vmap(R))`` with derivatives by two engines.

By JAX's own ``jacfwd ∘ jacfwd``, or by the forward Laplacian of folx along the lines z + t v, where
it is ∂²_v Ψ. Products are float32's own: by default JAX rounds them to TF32 on a GPU.
"""

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs memory too

import jax
import jax.numpy as jnp
import torch
from torch import nn

from verification.benchmark.directions import polarised


class JaxRoute:
    """R of an MLP of Linear and Tanh in JAX, on the weights and points of the torch decoder.

    ``scalar(weights, z)`` is R at one point (d,).
    """

    formula, is_torch = "gauss", False

    def __init__(self, name, decoder, z, scalar):
        self.name, self.chunk = name, len(z)
        jax.config.update("jax_enable_x64", z.dtype == torch.float64)
        jax.config.update("jax_default_matmul_precision", "highest")
        device = jax.devices("gpu" if z.is_cuda else "cpu")[0]
        linears = [layer for layer in decoder if isinstance(layer, nn.Linear)]
        weights = [(_numpy(layer.weight), _numpy(layer.bias)) for layer in linears]
        self._weights, self._z = jax.device_put((weights, _numpy(z)), device)
        self._scalar = jax.jit(jax.vmap(scalar, (None, 0)))
        self._gradient = jax.jit(jax.grad(lambda w, z: (self._scalar(w, z) ** 2).mean()))

    def forward(self):
        """R at all points."""
        scalar = jax.block_until_ready(self._scalar(self._weights, self._z))
        return torch.from_dlpack(scalar)

    def backward(self):
        """Gradient of mean(R²) in the weights."""
        gradient = jax.block_until_ready(self._gradient(self._weights, self._z))
        return [torch.from_dlpack(array) for layer in gradient for array in layer]


def gauss(weights, z):
    """R at one point (d,), by nested forward mode."""
    jacobian = jax.jacfwd(_decoder)(z, weights)
    hessian = jax.jacfwd(jax.jacfwd(_decoder))(z, weights)
    return _scalar(jacobian, hessian)


def by_folx():
    """R at one point (d,) as a function of weights and z, by folx.

    Raises:
        ImportError: folx is not installed.
    """
    from folx import forward_laplacian

    def line(weights, z, v):
        found = forward_laplacian(lambda t: _decoder(z + t[0] * v, weights))(jnp.zeros(1, z.dtype))
        return found.jacobian.dense_array[0], found.laplacian

    def scalar(weights, z):
        directions, pairs = polarised(len(z))
        v = jnp.asarray(directions, z.dtype)
        first, second = jax.vmap(line, (None, None, 0), -1)(weights, z, v)
        hessian = jnp.stack([sum(c * second[:, k] for k, c in terms) for terms in pairs], -1)
        return _scalar(first[:, : len(z)], hessian.reshape(-1, len(z), len(z)))

    return scalar


def _decoder(point, weights):
    for weight, bias in weights[:-1]:
        point = jnp.tanh(weight @ point + bias)
    weight, bias = weights[-1]
    return weight @ point + bias


def _scalar(jacobian, hessian):
    """R = |H|² − |II|², II_ij = (1 − J g⁻¹ Jᵀ) ∂_i∂_jΨ and H = g^{ij} II_ij."""
    inverse = jnp.linalg.inv(jacobian.T @ jacobian)
    tangent = jnp.einsum("kl,al,aij->kij", inverse, jacobian, hessian)
    normal = hessian - jnp.einsum("ak,kij->aij", jacobian, tangent)
    mean = jnp.einsum("ij,aij->a", inverse, normal)
    return mean @ mean - jnp.einsum("ij,kl,aik,ajl->", inverse, inverse, normal, normal)


def _numpy(tensor):
    return tensor.detach().cpu().numpy()
