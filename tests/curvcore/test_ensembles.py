"""Ensembles: their members, and the weights of these."""

import pytest
import torch

import curvcore


def test_weights_of_an_ensemble():
    net = torch.nn.Linear(2, 3).double()
    with pytest.raises(curvcore.InputError, match=r"weights must be positive, one for each of 2"):
        curvcore.Ensemble([net, net], [1.0])
    with pytest.raises(curvcore.InputError, match=r"sum to one; got \[0.5, 0.6\]"):
        curvcore.Ensemble([net, net], [0.5, 0.6])
    with pytest.raises(curvcore.InputError, match=r"one decoder or more"):
        curvcore.Ensemble([])


def test_an_ensemble_is_of_members_with_a_likelihood():
    torch.manual_seed(0)
    net, z = torch.nn.Linear(2, 4).double(), torch.randn(3, 2, dtype=torch.float64)
    bound = curvcore.bind(net, likelihood="bernoulli")
    found = curvcore.metric(curvcore.Ensemble([bound, bound]), z)
    torch.testing.assert_close(found, curvcore.metric(bound, z))
    with pytest.raises(curvcore.InputError, match=r"curvcore.Ensemble\(\[curvcore.bind\(member"):
        curvcore.metric(curvcore.Ensemble([net, net]), z, likelihood="bernoulli")
    with pytest.raises(curvcore.InputError, match="got one Linear"):
        curvcore.Ensemble(net)
    with pytest.raises(curvcore.DecoderError, match=r"output='mean' .* by curvcore.bind"):
        curvcore.metric(curvcore.Ensemble([lambda z: {"mean": net(z)}]), z)
