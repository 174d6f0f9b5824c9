"""A control: what a textbook says, written down in JAX by hand."""

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = dtype
        self.weights = [self.array(w) for w in weights]
        value = lambda w, z: function(jnp, w, z[None])[0]  # noqa: E731
        tangents = jax.jacfwd(value, 1)
        metric = lambda w, z: tangents(w, z).T @ tangents(w, z)  # noqa: E731

        def christoffel(w, z):
            d = jax.jacfwd(metric, 1)(w, z)
            first = (d.transpose(1, 2, 0) + d.transpose(1, 0, 2) - d.transpose(2, 0, 1)) / 2
            return jnp.einsum("km,mij->kij", jnp.linalg.inv(metric(w, z)), first)

        def mixed(w, z):
            c, d = christoffel(w, z), jax.jacfwd(christoffel, 1)(w, z)
            one = jnp.einsum("mjli->mjil", d) + jnp.einsum("mik,klj->mjil", c, c)
            return one - one.swapaxes(2, 3)

        ricci = lambda w, z: jnp.einsum("ijil->jl", mixed(w, z))  # noqa: E731
        scalar = lambda w, z: (jnp.linalg.inv(metric(w, z)) * ricci(w, z)).sum()  # noqa: E731
        lowered = lambda w, z: jnp.tensordot(metric(w, z), mixed(w, z), 1)  # noqa: E731
        loss = lambda w, z: (jax.vmap(scalar, (None, 0))(w, z) ** 2).mean()  # noqa: E731
        points = {"jacobian": tangents, "hessian": jax.jacfwd(tangents, 1), "metric": metric}
        points |= {"christoffel": christoffel, "riemann": lowered, "ricci": ricci, "scalar": scalar}
        all_points = {name: jax.vmap(f, (None, 0)) for name, f in points.items()}
        all_points["gradient_z"] = jax.grad(loss, 1)
        all_points["gradient_weights"] = lambda w, z: jax.grad(loss)(w, z)[0]
        for name, f in all_points.items():
            compiled = jax.jit(f)
            call = lambda z, f=compiled: f(self.weights, z).block_until_ready()  # noqa: E731
            setattr(self, name, call)

    def array(self, values):
        return jnp.asarray(values, self.dtype)

    numpy = staticmethod(np.asarray)
