"""stochman: an EmbeddedManifold, whose embedding and Jacobian are for its user to write."""

import torch
from stochman import CubicSpline
from stochman.geodesic import geodesic_minimizing_energy
from stochman.manifold import EmbeddedManifold
from torch.func import jacfwd, vmap


class Decoded(EmbeddedManifold):
    def __init__(self, decoder):
        self.decoder = decoder

    def embed(self, points, jacobian=False):
        rows = points.reshape(-1, points.shape[-1])
        embedded = self.decoder(rows).reshape(*points.shape[:-1], -1)
        if not jacobian:
            return embedded
        return embedded, vmap(jacfwd(lambda z: self.decoder(z[None])[0]))(rows)


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = getattr(torch, dtype)
        weights = [self.array(w) for w in weights]
        self.manifold = Decoded(lambda z: function(torch, weights, z))
        self.metric = self.manifold.metric

    def array(self, values):
        return torch.tensor(values, dtype=self.dtype)

    def numpy(self, values):
        return values.detach().numpy()

    def exponential(self, z, v):
        rows = zip(z, v, strict=True)
        return torch.cat([self.manifold.expmap(a, b) for a, b in rows])

    def distance(self, z, w):
        curve = CubicSpline(z, w, num_nodes=16)
        geodesic_minimizing_energy(curve, self.manifold, max_iter=1000, eval_grid=100)
        with torch.no_grad():
            times = torch.linspace(0, 1, 1000, dtype=self.dtype)
            return self.manifold.curve_length(curve(times))
