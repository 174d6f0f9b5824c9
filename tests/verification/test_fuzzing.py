"""Random architectures × weights × scales × dtypes: right, NaN, or a clear error."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curvcore
from verification.certified_errors import of_random_decoders
from verification.decoders import fuzzing
from verification.decoders.fuzzing import outcomes
from verification.decoders.random import ACTIVATIONS, Architecture

pytestmark = pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")


def scales(largest):
    """Powers of ten between 1/largest and largest."""
    return st.floats(-largest, largest).map(lambda x: 10.0**x)


architectures = st.builds(
    Architecture,
    latent=st.integers(1, 4),
    width=st.integers(4, 40),
    depth=st.integers(1, 4),
    ambient=st.integers(4, 60),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    residual=st.booleans(),
    normalised=st.booleans(),
    weight_scale=scales(1),
    latent_scale=scales(6),
    gain=scales(1),
    skew=st.floats(-3, 0).map(lambda x: 10.0**x),
    output_scale=scales(6),
    seed=st.integers(0, 2**31 - 1),
)


@settings(max_examples=10, deadline=None)
@given(architectures)
def test_no_curvature_is_silently_wrong(architecture):
    assert outcomes(architecture, points=2)["wrong"] == 0


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(architectures)
def test_no_curvature_is_silently_wrong_at_length(architecture):
    assert outcomes(architecture, points=2)["wrong"] == 0


def test_counts_are_reported():
    finding = of_random_decoders(3, seed=0)
    assert finding.passed
    assert finding.figure == "38 right, 10 nan, 0 error, 0 wrong"


def test_a_wrong_curvature_is_found(monkeypatch):
    """By a millionth in float64."""
    whole = curvcore.PullbackGeometry.scalar.__get__
    monkeypatch.setattr(
        curvcore.PullbackGeometry, "scalar",
        property(lambda self: whole(self) * (1 + 1e-6)),
    )  # fmt: skip
    monkeypatch.setattr(fuzzing, "certify", certified_without(whole))
    assert outcomes(Architecture())["wrong"] >= 8
    assert not of_random_decoders(2, seed=0).passed


def certified_without(whole):
    """Certificates of the unbroken formula."""
    certify = fuzzing.certify

    def certified(decoder, z, **options):
        broken = curvcore.PullbackGeometry.scalar
        curvcore.PullbackGeometry.scalar = property(whole)
        try:
            return certify(decoder, z, **options)
        finally:
            curvcore.PullbackGeometry.scalar = broken

    return certified


def test_a_number_at_a_degenerate_point_is_wrong(monkeypatch):
    def refuse(*arguments, **options):
        raise curvcore.CurvatureError

    monkeypatch.setattr(fuzzing, "certify", refuse)
    assert outcomes(Architecture()) == Counter(wrong=16)


def test_an_error_is_none_of_the_decoders_points(monkeypatch):
    def refuse(*arguments, **options):
        raise curvcore.CurvatureError

    monkeypatch.setattr(curvcore, "pullback", refuse)
    assert outcomes(Architecture()) == Counter(error=16)
