"""``python -m verification.numerics``: errors of R on certified truth."""

from io import StringIO

import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

import curvcore
from verification import numerics
from verification.decoders.random import Architecture

app = typer.Typer()
app.command()(numerics.main)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(numerics, "VARIED", {"skew": (1.0, 0.05)})
    monkeypatch.setattr(numerics, "BASE", Architecture(width=8, depth=2, ambient=5))
    monkeypatch.setattr(numerics, "SIZES", (100.0,))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_bar_is_drawn_on_a_terminal(is_terminal):
    console = Console(file=StringIO(), force_terminal=is_terminal)
    assert list(numerics._track([1, 2], console)) == [1, 2]
    assert bool(console.file.getvalue()) == is_terminal


@pytest.mark.slow
def test_the_error_grows_with_the_condition_number(small):
    outcome = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["--seeds", "1", "--dtype", "float64"])
    assert outcome.exit_code == 0, outcome.output
    rows = {line[:9].strip(): line.split() for line in outcome.output.splitlines()}
    assert float(rows["skew 0.05"][2]) > 10 * float(rows["skew 1"][2])
    assert "eps κ^" in outcome.output
    assert "digits decoder" in outcome.output
    assert "fourier 100" in outcome.output
    assert "times as long" in outcome.output


def test_the_error_is_that_of_the_certificate(monkeypatch):
    decoder, z = Architecture(width=8, depth=2, ambient=5).build(6)
    error, estimate, condition, alone = numerics.measured(decoder, z, torch.float64)
    assert error.max() < 1e-12
    scalar = curvcore.PullbackGeometry.scalar.__get__
    wrong = property(lambda self: scalar(self) * (1 if self.jet.is_symbolic else 1.001))
    monkeypatch.setattr(curvcore.PullbackGeometry, "scalar", wrong)
    found, *_ = numerics.measured(decoder, z, torch.float64)
    assert np.allclose(found, 1e-3)
    assert len(estimate) == len(condition) == len(alone) == 6


def test_an_unknown_dtype_is_refused(small):
    outcome = CliRunner().invoke(app, ["--dtype", "float16"])
    assert outcome.exit_code == 2
    assert "float32, float64" in outcome.output
