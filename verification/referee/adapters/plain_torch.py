"""A control: what a textbook says, written down in torch.func by hand."""

import torch
from torch.func import grad, jacfwd, vmap


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = getattr(torch, dtype)
        self.weights = [self.array(w) for w in weights]
        point = lambda f: lambda z: vmap(f, (None, 0))(self.weights, z)  # noqa: E731
        value = lambda w, z: function(torch, w, z[None])[0]  # noqa: E731
        tangents = jacfwd(value, 1)
        metric = lambda w, z: tangents(w, z).T @ tangents(w, z)  # noqa: E731

        def christoffel(w, z):
            d = jacfwd(metric, 1)(w, z)
            first = (d.permute(1, 2, 0) + d.permute(1, 0, 2) - d.permute(2, 0, 1)) / 2
            return torch.einsum("km,mij->kij", torch.linalg.inv(metric(w, z)), first)

        def mixed(w, z):
            c, d = christoffel(w, z), jacfwd(christoffel, 1)(w, z)
            one = torch.einsum("mjli->mjil", d) + torch.einsum("mik,klj->mjil", c, c)
            return one - one.transpose(2, 3)

        ricci = lambda w, z: torch.einsum("ijil->jl", mixed(w, z))  # noqa: E731
        scalar = lambda w, z: (torch.linalg.inv(metric(w, z)) * ricci(w, z)).sum()  # noqa: E731
        loss = lambda w, z: vmap(scalar, (None, 0))(w, z).square().mean()  # noqa: E731
        self.jacobian, self.hessian = point(tangents), point(jacfwd(tangents, 1))
        self.metric, self.christoffel, self.ricci = point(metric), point(christoffel), point(ricci)
        self.riemann = point(lambda w, z: torch.tensordot(metric(w, z), mixed(w, z), 1))
        self.scalar = point(scalar)
        self.gradient_z = lambda z: grad(loss, 1)(self.weights, z)
        self.gradient_weights = lambda z: grad(loss)(self.weights, z)[0]

    def array(self, values):
        return torch.tensor(values, dtype=self.dtype)

    def numpy(self, values):
        return values.detach().numpy()
