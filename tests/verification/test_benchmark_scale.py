"""``python -m verification.benchmark --scale``: R right, estimates unbiased, or exit code 1."""

import json

import pytest
from typer.testing import CliRunner

from verification.benchmark import estimates, images, scale
from verification.benchmark.command import app

pytestmark = pytest.mark.slow


@pytest.fixture
def run(monkeypatch, tmp_path):
    """(exit code, what was printed, the numbers) of a small run."""
    monkeypatch.setattr(scale, "DIMENSIONS", (2, 4, 16, 20))
    monkeypatch.setattr(scale, "AMBIENTS", (64, 128))
    monkeypatch.setattr(scale, "POINTS", 8)
    monkeypatch.setattr(estimates, "DIMENSION", 4)
    monkeypatch.setattr(estimates, "SPHERE", 6)
    monkeypatch.setattr(estimates, "PROBES", (4, 8))
    monkeypatch.setattr(estimates, "REPEATS", 400)
    monkeypatch.setattr(images, "POINTS", 1)
    monkeypatch.setattr(images, "TOLERANCE", 0.1)
    monkeypatch.setattr(images, "MOST_MEMORY", 1000)

    def of():
        file = tmp_path / "scale.json"
        outcome = CliRunner().invoke(app, ["--scale", "--repeats", "2", "--json", str(file)])
        return outcome.exit_code, outcome.output, json.loads(file.read_text())

    return of


def test_exact_and_estimated(run):
    code, output, record = run()
    assert code == 0, output
    assert "PASS: all" in output
    lines = record["scale"]
    assert {(line["d"], line["D"]) for line in lines} == {
        *((d, 784) for d in (2, 4, 16, 20)), *((16, D) for D in (64, 128)),
    }  # fmt: skip
    for line in lines:
        assert line["seconds"] > 0
        assert line["peak_bytes"] > 0
        assert line["way"] == scale.METRIC or line["error"] < 10
    found = record["estimates"]
    assert {e["name"] for e in found} >= {"sphere", "product-of-spheres", "SiLU decoder"}
    # Seven standard deviations of a share of 400 below 95 %; those of few normal probes are skewed.
    of_signs = [e["coverage"] for e in found if e["distribution"] == "rademacher"]
    assert len(of_signs) == 11
    assert min(of_signs) > 0.87
    assert [(i["name"], i["d"], i["D"]) for i in record["images"]] == [
        ("attention", 256, 49152), ("convolutions", 256, 49152),
    ]  # fmt: skip
    assert all(i["residual"] <= 0.1 and i["memory"] > 1 for i in record["images"])


def test_wrong_curvature_fails(run, monkeypatch):
    right = scale.curvcore.scalar_curvature

    def wrong(decoder, z, **options):
        return right(decoder, z, **options) * (1.001 if options else 1)

    monkeypatch.setattr(scale.curvcore, "scalar_curvature", wrong)
    code, output, _ = run()
    assert code == 1
    assert "FAIL" in output


def test_biased_estimates_fail(run, monkeypatch):
    monkeypatch.setattr(estimates, "STANDARD_ERRORS", 1e-9)
    code, output, _ = run()
    assert code == 1
    assert "FAIL" in output


def test_slopes_are_those_of_powers():
    sizes = [(16, 784), (32, 784), (64, 784), (16, 64), (16, 256)]
    lines = [
        scale.Scaled(d, D, 8, way, 2, 1e-3 * d**1.5 * D, 100 * d**2, 1.0, 0.0)
        for d, D in sizes
        for way in (scale.EXACT, scale.BLOCKS, scale.ESTIMATED)
    ]
    found = scale.slopes(lines)
    assert found[scale.EXACT, "d", "seconds"] == pytest.approx(1.5)
    assert found[scale.BLOCKS, "d", "peak_bytes"] == pytest.approx(2)
    assert found[scale.ESTIMATED, "D", "seconds"] == pytest.approx(1)
    errors = [
        estimates.Estimated("a", estimates.DIMENSION, "gaussian", k, 9, k**-0.5, 0, 1)
        for k in (4, 8, 16)
    ]
    assert estimates.slopes(errors)["a", "gaussian"] == pytest.approx(-0.5)
