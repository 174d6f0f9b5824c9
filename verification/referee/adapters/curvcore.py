"""curvcore, in the present environment."""

import torch

import curvcore


class Peer(torch.nn.Module):
    def __init__(self, function, weights, dtype, shape):
        super().__init__()
        self.dtype = getattr(torch, dtype)
        self.function = function
        self.weights = torch.nn.ParameterList(torch.tensor(w, dtype=self.dtype) for w in weights)

    def forward(self, z):
        return self.function(torch, list(self.weights), z)

    def array(self, values):
        return torch.tensor(values, dtype=self.dtype)

    def numpy(self, values):
        return values.detach().numpy()

    def gradient_z(self, z):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(curvcore.scalar_curvature(self, z).square().mean(), z)[0]

    def gradient_weights(self, z):
        loss = curvcore.scalar_curvature(self, z).square().mean()
        return torch.autograd.grad(loss, self.weights[0])[0]

    def scalar(self, z):
        return curvcore.scalar_curvature(self, z)

    def exponential(self, z, v):
        return curvcore.exponential_map(self, z, v).point

    def distance(self, z, w):
        pairs = zip(z.split(1), w.split(1), strict=True)
        found = [curvcore.distance_matrix(self, a, b, tolerance=1e-8).distance for a, b in pairs]
        return torch.cat(found).flatten()


for name in ("jacobian", "hessian", "metric", "christoffel", "riemann", "ricci"):
    setattr(Peer, name, lambda self, z, name=name: getattr(curvcore.pullback(self, z), name))
