"""latent-geometry: a LatentManifold over a TorchModelMapping."""

import numpy as np
import torch
from latent_geometry.manifold import LatentManifold
from latent_geometry.mapping import TorchModelMapping
from latent_geometry.metric import EuclideanMetric


class Model(torch.nn.Module):
    def __init__(self, function, weights):
        super().__init__()
        self.function = function
        self.weights = torch.nn.ParameterList(torch.tensor(w).float() for w in weights)

    def forward(self, z):
        return self.function(torch, list(self.weights), z)


class Peer:
    def __init__(self, function, weights, dtype, shape):
        model, (d, ambient) = Model(function, weights), shape
        self.mapping = TorchModelMapping(model, in_shape=(d,), out_shape=(ambient,))
        self.manifold = LatentManifold(self.mapping, EuclideanMetric(), solver_tol=1e-5)
        self.jacobian, self.hessian = self.mapping.jacobian, self.mapping.second_derivative
        self.metric = self.manifold.metric.metric_matrix
        self.christoffel = self.manifold.metric.christoffels

    def array(self, values):
        return values

    numpy = staticmethod(np.asarray)

    def exponential(self, z, v):
        # Its velocity is a direction, its length an argument.
        lengths = self.manifold.metric.vector_length(v, z)
        rows = zip(z, v, lengths, strict=True)
        return [self.manifold.geodesic(a, b, length)(1.0) for a, b, length in rows]

    def distance(self, z, w):
        pairs = zip(z, w, strict=True)
        return [self.manifold.shortest_path(a, b).manifold_length() for a, b in pairs]
