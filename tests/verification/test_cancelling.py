"""The estimate of R's rounding error where much cancels in the decoder, against certificates."""

from functools import cache

import numpy as np
import pytest
import torch

import curvcore
from curvcore.errors import MissingRuleError
from curvcore.providers import fused
from verification import certify
from verification.certified_errors import of_cancelling_decoders
from verification.decoders.cancelling import KINDS, Cancelling, cancelling

FACTOR = 30
DTYPES = [torch.float32, torch.float64]


@cache
def certified(decoder, dtype):
    """The decoder, its points and their certificate."""
    module, z = decoder.build(8, dtype)
    return module, z, certify(module, z, relative=1e-18)


def ratios(decoder, dtype, alone=False, **options):
    """True over estimated error of R; of the jet alone, without a second pass, if so asked."""
    module, z, certificate = certified(decoder, dtype)
    geometry = curvcore.pullback(module, z, **options)
    if alone:
        geometry = curvcore.PullbackGeometry(geometry.jet)
    return certificate.absolute_error(geometry.scalar) / geometry.scalar_error.double().numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_what_cancels_inside_the_decoder_is_seen(kind, dtype, derivatives):
    """Of the jet alone the estimate is a hundred times too small."""
    decoder = Cancelling(kind, 1000.0, seed=1)
    found = ratios(decoder, dtype, derivatives=derivatives)
    assert found.max() < FACTOR / 10
    assert np.median(found) > 1 / FACTOR
    assert ratios(decoder, dtype, alone=True, derivatives=derivatives).max() > FACTOR


@pytest.mark.slow
@pytest.mark.parametrize("formula", ["gauss", "intrinsic"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_the_estimate_is_never_much_too_small(formula, dtype, derivatives):
    """At hundreds of points of each kind, of sizes from 1 to 1000."""
    options = {"formula": formula, "derivatives": derivatives}
    found = np.concatenate([ratios(each, dtype, **options) for each in cancelling(15, seed=4)])
    assert len(found) == 360
    assert found.max() < FACTOR
    assert 1 / FACTOR < np.median(found) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_without_rules_is_seen_through(kind, monkeypatch):
    """By torch's own derivatives, the values of its operations moved."""

    def refuse(*arguments):
        raise MissingRuleError

    monkeypatch.setattr(fused, "rounded_jet", refuse)
    found = ratios(Cancelling(kind, 1000.0, seed=1), torch.float32, derivatives="autodiff")
    assert found.max() < FACTOR / 10
    assert np.median(found) > 1 / FACTOR


def test_no_curvature_is_silently_wrong_where_much_cancels():
    finding = of_cancelling_decoders(1, seed=0)
    assert finding.passed
    assert finding.subject == "3 decoders in which much cancels"
    assert finding.figure == "48 right, 0 nan, 0 error, 0 wrong"
