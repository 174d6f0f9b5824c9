"""torch-jet: derivatives of Ψ by its Taylor mode, along lines z + t v."""

import torch
from jet import jet


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = getattr(torch, dtype)
        weights = [self.array(w) for w in weights]
        self.decoder = lambda z: function(torch, weights, z)
        self.directions = torch.eye(shape[0], dtype=self.dtype)

    def array(self, values):
        return torch.tensor(values, dtype=self.dtype)

    def numpy(self, values):
        return values.detach().numpy()

    def along(self, z, v):
        """∂_v Ψ and ∂²_v Ψ, (B, D) each."""
        v = v.expand_as(z).contiguous()
        taylor = jet(self.decoder, 2, (torch.zeros_like(z),))
        _, (first, second) = taylor((z,), ((v, torch.zeros_like(v)),))
        return first, second

    def jacobian(self, z):
        return torch.stack([self.along(z, e)[0] for e in self.directions], -1)

    def hessian(self, z):
        # ∂_i ∂_j = (∂²_{i+j} − ∂²_{i−j})/4
        e = self.directions
        rows = [[(self.along(z, a + b)[1] - self.along(z, a - b)[1]) / 4 for b in e] for a in e]
        return torch.stack([torch.stack(row, -1) for row in rows], -2)
