"""``python -m verification.benchmark --distances``: right, or exit code 1."""

import json

import pytest
import torch
from typer.testing import CliRunner

from verification.benchmark import distances
from verification.benchmark.command import app

pytestmark = pytest.mark.slow


@pytest.fixture
def run(monkeypatch, tmp_path):
    """(exit code, the numbers) of a small run."""
    monkeypatch.setattr(distances, "POINTS", 12)
    monkeypatch.setattr(distances, "COMPARED", 5)
    monkeypatch.setattr(distances, "WIDTH", 64)
    monkeypatch.setattr(distances, "AMBIENT", 32)

    def of():
        file = tmp_path / "distances.json"
        outcome = CliRunner().invoke(app, ["--distances", "--json", str(file)])
        (line,) = json.loads(file.read_text())["distances"]
        return outcome.exit_code, line

    return of


def test_distances_are_right(run):
    code, line = run()
    assert code == 0
    assert line["compared"] == 5
    assert line["error"] <= 1e-4
    assert line["converged"] == line["within"] == 1


def test_wrong_distances_fail(run, monkeypatch):
    found = distances.reference

    def longer(*arguments):
        length, converged = found(*arguments)
        return 1.01 * length, converged

    monkeypatch.setattr(distances, "reference", longer)
    code, line = run()
    assert code == 1
    assert line["error"] == pytest.approx(1 - 1 / 1.01, rel=0.05)
    assert torch.tensor(line["within"]) == 0
