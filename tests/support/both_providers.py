"""The two providers against each other."""

import torch

import curvcore
from tests.support.tolerance import assert_close


def assert_gradients_of_both(decoder, z, parameters, factor):
    """2-jets, and gradients of a sum over them in z and parameters, agree: fused and autodiff."""
    parameters = list(parameters)

    def gradients(derivatives):
        points = z.detach().clone().requires_grad_()
        jet = curvcore.jet(decoder, points, 2, derivatives=derivatives)
        loss = sum(array.sin().sum() for array in jet.arrays())
        return [*jet.arrays(), *torch.autograd.grad(loss, [points, *parameters])]

    for one, other in zip(gradients("fused"), gradients("autodiff"), strict=True):
        assert_close(one, other, scale=1 + other.abs().max(), factor=factor)
