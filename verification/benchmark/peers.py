"""The same decoder in JAX: ``jit(vmap(gauss ∘ jacfwd ∘ jacfwd))``, for ``--peers``."""

import jax
import jax.numpy as jnp
import torch
from torch import nn


class JaxRoute:
    """R of an MLP of Linear and Tanh in JAX, on the weights and points of the torch decoder."""

    formula, is_torch = "gauss", False

    def __init__(self, name, decoder, z):
        self.name, self.chunk = name, len(z)
        jax.config.update("jax_enable_x64", z.dtype == torch.float64)
        device = jax.devices("gpu" if z.is_cuda else "cpu")[0]
        linears = [layer for layer in decoder if isinstance(layer, nn.Linear)]
        weights = [(_numpy(layer.weight), _numpy(layer.bias)) for layer in linears]
        self._weights, self._z = jax.device_put((weights, _numpy(z)), device)
        self._scalar = jax.jit(jax.vmap(gauss, (None, 0)))
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
    """R = |H|² − |II|², II_ij = (1 − J g⁻¹ Jᵀ) ∂_i∂_jΨ and H = g^{ij} II_ij, at one point (d,)."""

    def decoder(point):
        for weight, bias in weights[:-1]:
            point = jnp.tanh(weight @ point + bias)
        weight, bias = weights[-1]
        return weight @ point + bias

    jacobian = jax.jacfwd(decoder)(z)
    hessian = jax.jacfwd(jax.jacfwd(decoder))(z)
    inverse = jnp.linalg.inv(jacobian.T @ jacobian)
    tangent = jnp.einsum("kl,al,aij->kij", inverse, jacobian, hessian)
    normal = hessian - jnp.einsum("ak,kij->aij", jacobian, tangent)
    mean = jnp.einsum("ij,aij->a", inverse, normal)
    return mean @ mean - jnp.einsum("ij,kl,aik,ajl->", inverse, inverse, normal, normal)


def _numpy(tensor):
    return tensor.detach().cpu().numpy()
