"""Posterior means of Gaussian processes by gpytorch: the decoder of a GPLVM."""

from functools import partial

import torch
from torch import nn

from verification.packages.case import Case, Served, prepared

_OUTPUTS, _TRAINED = 5, 12


def _process(kernel):
    import gpytorch

    class Process(gpytorch.models.ExactGP):
        """D processes of d = 2 inputs."""

        def __init__(self, x, y, likelihood):
            super().__init__(x, y, likelihood)
            shape = torch.Size([_OUTPUTS])
            self.mean = gpytorch.means.ConstantMean(batch_shape=shape)
            self.kernel = getattr(gpytorch.kernels, kernel)(ard_num_dims=2, batch_shape=shape)

        def forward(self, x):
            normal = gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))
            return gpytorch.distributions.MultitaskMultivariateNormal.from_batch_mvn(normal)

    likelihood = gpytorch.likelihoods.MultitaskGaussianLikelihood(num_tasks=_OUTPUTS)
    x = torch.randn(_TRAINED, 2, dtype=torch.float64)
    y = torch.randn(_TRAINED, _OUTPUTS, dtype=torch.float64)
    return prepared(Process(x, y, likelihood.double()))


def _posterior(kernel):
    return _process(kernel), {"output": "mean"}


class _ByWeights(nn.Module):
    """The same mean, Σ_n k(z, x_n) α_n + m, without the lazy tensors of gpytorch."""

    def __init__(self, process):
        super().__init__()
        self.process = process
        (self.inputs,) = process.train_inputs
        with torch.no_grad():
            process(self.inputs[:1] + 1)  # solves for α
        self.weights = process.prediction_strategy.mean_cache.reshape(_TRAINED, _OUTPUTS)

    def forward(self, z):
        covariance = self.process.kernel.forward(z, self.inputs)  # (D, B, N)
        means = self.process.mean.constant  # (D,)
        return torch.einsum("abn,na->ba", covariance, self.weights) + means


def _by_weights(kernel):
    return _ByWeights(_process(kernel)), {}


_case = partial(Case, "gpytorch", "gpytorch")
CASES = (
    _case("ExactGP (RBFKernel), mean", (2,), partial(_posterior, "RBFKernel"),
          served=Served.REFUSED),
    *(
        _case(f"{name}.forward(z, x) @ weights", (2,), partial(_by_weights, name))
        for name in ("RBFKernel", "MaternKernel", "RQKernel")
    ),
)  # fmt: skip
