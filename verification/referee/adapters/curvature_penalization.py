"""The talk's own code: RicciCurvature of the package ricci_regularization."""

import torch
from ricci_regularization.Ricci import RicciCurvature


class Peer:
    def __init__(self, function, weights, dtype, shape):
        self.dtype = getattr(torch, dtype)
        weights = [self.array(w) for w in weights]
        self.decoder = lambda z: function(torch, weights, z)
        self.calculator = RicciCurvature(latent_space_dim=shape[0])

    def array(self, values):
        return torch.tensor(values, dtype=self.dtype)

    def numpy(self, values):
        return values.detach().numpy()

    def _found(self, z):
        return self.calculator.compute_curvature_loss(z, self.decoder, reduction="dict")

    def metric(self, z):
        return self._found(z)["g"]

    def christoffel(self, z):
        return self._found(z)["Ch"]

    def riemann(self, z):
        found = self._found(z)
        return torch.einsum("bim,bmjkl->bijkl", found["g"], found["Riemann"])

    def ricci(self, z):
        return self._found(z)["Ricci"]

    def scalar(self, z):
        return self.calculator.compute_curvature_loss(z, self.decoder, "curvature_metric")[0]

    def gradient_z(self, z):
        return torch.func.grad(lambda z: self.scalar(z).square().mean())(z)
