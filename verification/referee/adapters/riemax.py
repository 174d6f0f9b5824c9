"""riemax: metric_tensor of an embedding, and its tensors of a metric, under jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
from riemax.manifold import geometry

jax.config.update("jax_enable_x64", True)


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = dtype
        weights = [self.array(w) for w in weights]

        def metric(z):
            return geometry.metric_tensor(z, lambda p: function(jnp, weights, p[None])[0])

        self.metric = _compiled(metric)
        self.christoffel = _compiled(lambda z: geometry.sk_christoffel(z, metric))
        self.riemann = _compiled(lambda z: geometry.fk_riemann_tensor(z, metric))
        self.ricci = _compiled(lambda z: geometry.ricci_tensor(z, metric))
        scalar = lambda z: geometry.ricci_scalar(z, metric)  # noqa: E731
        self.scalar = _compiled(scalar)
        gradient = jax.jit(jax.grad(lambda z: (jax.vmap(scalar)(z) ** 2).mean()))
        self.gradient_z = lambda z: gradient(z).block_until_ready()

    def array(self, values):
        return jnp.asarray(values, self.dtype)

    numpy = staticmethod(np.asarray)


def _compiled(function):
    batched = jax.jit(jax.vmap(function))
    return lambda z: batched(z).block_until_ready()
