"""Every decoder of the case table on other devices: without data, and on CUDA as on the CPU."""

import pytest
import torch

import curvcore
from tests.support.decoders import geometry
from tests.support.parametrisation import every_case, every_provider
from tests.support.tolerance import assert_close


@every_case
def test_shapes_without_data(case):
    """A decoder makes its constants where its input is."""
    output = case.decoder().to("meta")(case.points().to("meta"))
    assert output.device.type == "meta"
    assert output.shape == case.decoder()(case.points()).shape


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every_provider
@every_case
def test_a_gpu_computes_the_same(case, provider):
    decoder, z = case.decoder().cuda(), case.points().cuda()
    found = curvcore.pullback(decoder, z, derivatives=provider)
    expected = geometry(case, "gauss", provider)
    if case.name == "weight_norm":  # whose kernel is good to 1e-7 in float64
        torch.testing.assert_close(found.scalar.cpu(), expected.scalar, rtol=1e-5, atol=1e-5)
        return
    assert_close(found.metric.cpu(), expected.metric, scale=1e3 * expected.metric.abs().max())
    if case.d > 1:
        size = expected.condition_number * expected.mean_curvature.square().sum(1)
        size = size + expected.second_fundamental_form.flatten(1).square().sum(1)
        assert_close(found.scalar.cpu(), expected.scalar, scale=1e4 * size)
