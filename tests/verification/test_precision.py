"""``python -m verification.precision``: the law of rounding holds, and breaks without a frame."""

import json
import os

import pytest
import torch
from typer.testing import CliRunner

import curvcore
from verification import precision
from verification.precision import app

SURFACE = "tanh 2→20"  # of which R is one product of II, and no frame loses little


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def one_decoder(monkeypatch):
    """Only one decoder: a third of the time. Not of a surface, where no frame loses little."""
    chosen = {"tanh 4→20": precision.decoders(0)["tanh 4→20"]}
    monkeypatch.setattr(precision, "decoders", lambda seed: chosen)


# --- what it measures with ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 1e-1, 1e-2])
def test_linear_maps_leave_curvature_alone(scale):
    torch.manual_seed(0)
    d, decoder = precision.decoders(0)["tanh 4→20"]
    composed, z = precision.ill_conditioned(decoder, d, scale, 4)
    with torch.no_grad():
        found, *_ = precision.truth(composed, z)
        u = composed.double()[0](z.double())
        torch.testing.assert_close(found, precision.truth(decoder, u)[0], rtol=1e-9, atol=1e-9)


def test_truth_on_the_sphere_is_the_textbooks():
    torch.manual_seed(0)
    composed, z = precision.ill_conditioned(precision.Sphere(), 3, 1e-2, 8)
    with torch.no_grad():
        scalar, unit, condition, amplification = precision.truth(composed, z)
    assert condition.min() > 100
    torch.testing.assert_close(scalar, torch.full_like(scalar, 6), rtol=1e-9, atol=0)
    torch.testing.assert_close(unit, torch.full_like(unit, 6), rtol=1e-9, atol=0)  # |II|² = 3
    assert (amplification > condition).all()


def test_frame_of_qr_is_orthonormal_whatever_the_scales():
    torch.manual_seed(0)
    jacobian = torch.randn(5, 9, 3, dtype=torch.float64) * torch.tensor([1e-9, 1, 1e9])
    frame = precision.qr_frame(jacobian)
    identity = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    orthonormal = jacobian @ frame.basis
    torch.testing.assert_close(orthonormal.mT @ orthonormal, identity)
    torch.testing.assert_close(frame.dual_basis @ frame.basis, identity)


def test_growth_is_the_exponent_between_floor_and_one():
    conditions = [10.0**n for n in range(6)]
    errors = [3, *(5 * k**1.5 for k in conditions[1:5]), 1e9]
    rows = [
        precision.Row("", 0, 1, k, {"QR": e}, {}, {}, 0)
        for k, e in zip(conditions, errors, strict=True)
    ]
    assert precision.growth(rows, "QR") == pytest.approx(1.5)
    assert precision.growth(rows[:2], "QR") is None


# --- it passes, and fails -----------------------------------------------------------------------


@pytest.mark.slow
def test_cholesky_keeps_the_law_and_no_frame_does_not(tmp_path):
    file = tmp_path / "precision.json"
    outcome = run("--quick", "--json", file)
    assert outcome.exit_code == 0, outcome.output
    assert "PASS: Cholesky" in outcome.output
    record = json.loads(file.read_text())
    assert record["passed"]
    assert len(record["results"]) == 3 * 5
    for name, exponents in record["exponents"].items():
        assert exponents["Cholesky"] < exponents["jet alone"] + 0.25
        assert name == SURFACE or exponents["no frame"] > exponents["Cholesky"] + 0.3
    for row in record["results"]:
        if row["decade"] == 4 and row["decoder"] != SURFACE:
            assert row["median"]["no frame"] > 10 * row["median"]["Cholesky"]


@pytest.mark.slow
def test_fails_without_a_frame(one_decoder, monkeypatch, tmp_path):
    def no_frame(metric):
        identity = torch.eye(metric.shape[-1], dtype=metric.dtype).expand_as(metric)
        return identity, identity

    monkeypatch.setattr("curvcore.frames.almost_orthonormal", no_frame)
    file = tmp_path / "precision.json"
    outcome = run("--quick", "--json", file)
    assert outcome.exit_code == 1, outcome.output
    assert "FAIL: Cholesky" in outcome.output
    highest = json.loads(file.read_text())["results"][-1]
    assert highest["median"]["Cholesky"] > 10 * highest["median"]["QR"]
    assert highest["share_of_law"] > 0.1  # with the frame a thousandth


@pytest.mark.slow
def test_nan_at_a_regular_point_fails(one_decoder, monkeypatch):
    def nan_somewhere(jet):
        scalar = curvcore.PullbackGeometry(jet, on_degenerate="nan").scalar
        return torch.where(torch.arange(len(scalar)) == 3, torch.nan, scalar)

    monkeypatch.setitem(precision.WAYS, precision.SHIPPED, nan_somewhere)
    outcome = run("--quick", "--points", 4)
    assert outcome.exit_code == 1, outcome.output
    assert "FAIL: Cholesky" in outcome.output


def test_a_much_better_referee_fails():
    median = {"Cholesky": 50.0, "QR": 20.0, "jet alone": 40.0}
    row = precision.Row("", 2, 9, 300.0, median, median, median, 0.01)
    assert not row.passed
    assert row.excess("QR") == 2.5
    median["QR"] = 30.0
    assert row.passed


@pytest.mark.slow
def test_a_decade_without_points_fails(one_decoder, monkeypatch):
    monkeypatch.setattr(precision, "SMALLEST_SCALE", 0.5)
    outcome = run("--quick", "--points", 4)
    assert outcome.exit_code == 1, outcome.output
    assert "without a point" in outcome.output


@pytest.mark.parametrize(
    "arguments",
    [("--json", os.sep), ("--json", "nowhere/results.json"), ("--points", 0), ("--seed", -1)],
)
def test_bad_usage_exits_with_2(arguments):
    assert run(*arguments).exit_code == 2
