"""Posterior means of Gaussian processes by gpytorch: the decoder of a GPLVM."""

from functools import partial

import torch

from verification.packages.case import Case, prepared

_OUTPUTS, _TRAINED = 5, 12


def _posterior(kernel):
    import gpytorch

    class Process(gpytorch.models.ExactGP):
        """D processes of d = 2 inputs."""

        def __init__(self, x, y, likelihood):
            super().__init__(x, y, likelihood)
            shape = torch.Size([_OUTPUTS])
            self.mean = gpytorch.means.ConstantMean(batch_shape=shape)
            base = getattr(gpytorch.kernels, kernel)(ard_num_dims=2, batch_shape=shape)
            self.kernel = gpytorch.kernels.ScaleKernel(base, batch_shape=shape)

        def forward(self, x):
            normal = gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))
            return gpytorch.distributions.MultitaskMultivariateNormal.from_batch_mvn(normal)

    likelihood = gpytorch.likelihoods.MultitaskGaussianLikelihood(num_tasks=_OUTPUTS)
    x = torch.randn(_TRAINED, 2, dtype=torch.float64)
    y = torch.randn(_TRAINED, _OUTPUTS, dtype=torch.float64)
    return prepared(Process(x, y, likelihood.double())), {"output": "mean"}


_case = partial(Case, "gpytorch", "gpytorch")
CASES = (
    _case("ExactGP, RBFKernel, mean", (2,), partial(_posterior, "RBFKernel")),
    _case("ExactGP, MaternKernel(5/2), mean", (2,), partial(_posterior, "MaternKernel")),
    _case("ExactGP, RQKernel, mean", (2,), partial(_posterior, "RQKernel")),
)
